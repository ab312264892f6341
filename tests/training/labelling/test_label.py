"""``lpnet-rt label``: proposals for a deep recording, corrected as a tool would, and taken back onto the originals."""

from __future__ import annotations

import json
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from lpnet_rt_data import blob, sky

from lpnet_rt.cli import main
from lpnet_rt.training.data.check import check
from lpnet_rt.training.data.data_set import read_frame
from lpnet_rt.training.data.layouts import open_data_set
from lpnet_rt.training.data.roles import training_frames
from lpnet_rt.training.imports.regions import fill_rings
from lpnet_rt.training.labelling.proposals import Proposal, ProposedFrame, choose_frames
from lpnet_rt.training.recipes.data import DataSetsRecipe

SIZE = 128
FRAMES = 40
FIRST_SEEN = 8


def frame_counts(index: int, recording: str = "mast_1") -> np.ndarray:
    """14-bit counts; from a frame on, a target that moves two pixels a frame."""
    target = 120 * blob(20 + 2 * index, 60, size=SIZE) if index >= FIRST_SEEN else 0
    return (6000 + 20 * (sky(index + 100 * (recording != "mast_1"), SIZE) + target)).astype(np.uint16)


def write_recording(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=30)
        stream.height = stream.width = SIZE
        stream.pix_fmt = "gray16le"
        for index in range(FRAMES):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame_counts(index, path.stem), "gray16le")))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``label`` writes for two recordings, every fifth frame at least."""
    root = tmp_path_factory.mktemp("labels")
    sources = [write_recording(root / name) for name in ("mast_1.mkv", "roof_2.mkv")]
    flags = [value for path in sources for value in ("--source", str(path))]
    flags += ["--every", "5", "--segments", "--engine", "onnxruntime", "--out", str(root / "out")]
    assert main(["label", *flags]) == 0
    return root / "out"


def test_what_is_proposed(labelled: Path) -> None:
    tree = json.loads((labelled / "labels.json").read_text())
    images = {image["id"]: image for image in tree["images"] if image["source"] == "mast_1"}
    assert [image["frame"] for image in images.values() if image["frame"] % 5 == 0] == list(range(0, FRAMES, 5))
    found = {images[one["image_id"]]["frame"]: one for one in tree["annotations"] if one["image_id"] in images}
    assert set(range(10, FRAMES, 5)) <= found.keys()
    assert min(found) >= FIRST_SEEN
    assert len({one["track_id"] for one in found.values()}) == 1
    for index, one in found.items():
        x, y, width, height = one["bbox"]
        assert x + width / 2 - 0.5 == pytest.approx(20 + 2 * index, abs=1.5)
        assert y + height / 2 - 0.5 == pytest.approx(60, abs=1.5)
        assert 0 < one["score"] <= 1
        region = fill_rings([np.array(one["segmentation"][0]).reshape(-1, 2)], (SIZE, SIZE))
        assert region is not None
        assert region.box_xywh == (x + 2, y + 2, width - 4, height - 4)
    for image in images.values():
        name = image["file_name"]
        original = cv2.imread(str(labelled / "originals" / name), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(original, frame_counts(image["frame"]))
        picture = cv2.imread(str(labelled / "pictures" / name), cv2.IMREAD_UNCHANGED)
        assert (picture.dtype, picture.shape) == (np.uint8, (SIZE, SIZE))
        assert int(picture.max()) - int(picture.min()) > 200


def test_corrected_labels_go_back_onto_the_originals(labelled: Path, tmp_path: Path) -> None:
    tree = json.loads((labelled / "labels.json").read_text())
    number = {(image["source"], image["frame"]): image["id"] for image in tree["images"]}
    deleted, moved, emptied, drawn = (number["mast_1", frame] for frame in (15, 20, 25, 5))
    tree["images"] = [image for image in tree["images"] if image["id"] != deleted]
    gone = (deleted, emptied)
    tree["annotations"] = [one for one in tree["annotations"] if one["image_id"] not in gone]
    for one in tree["annotations"]:
        one["segmentation"] = []  # as most tools export boxes
        if one["image_id"] == moved:
            one["bbox"] = [50, 50, 20, 20]
    tree["annotations"].append({"id": 999, "image_id": drawn, "category_id": 1, "bbox": [90, 20, 8, 8], "iscrowd": 0})
    for image in tree["images"]:
        image["file_name"] = f"0a1b2c3d-{image['file_name']}"  # as Label Studio names what is uploaded
        del image["source"], image["frame"]
    corrected = tmp_path / "corrected.json"
    corrected.write_text(json.dumps(tree))
    flags = ["data", "import", str(corrected), "--images", str(labelled / "originals"), "--out"]
    assert main([*flags, str(tmp_path / "data")]) == 0
    report = check(tmp_path / "data")
    assert report.problems == ()
    assert {split.split: split.images > 0 for split in report.splits} == {"train": True, "val": True}
    frames = {frame.name: frame for frame in map(read_frame, open_data_set(tmp_path / "data").entries)}
    assert "mast_1_000015" not in frames
    assert frames["mast_1_000020"].truth.boxes_xywh.tolist() == [[50, 50, 20, 20]]
    assert frames["mast_1_000020"].truth.mask[60, 60] == 255
    assert frames["mast_1_000025"].role == "target-free"
    assert frames["mast_1_000005"].truth.boxes_xywh.tolist() == [[90, 20, 8, 8]]
    for name, frame in frames.items():
        assert frame.image.dtype == np.uint16
        np.testing.assert_array_equal(frame.image, frame_counts(int(name[-6:]), name[:6]))
    validated = (tmp_path / "data" / "val.txt").read_text().split()
    assert len({name[:6] for name in validated}) == 1
    trained = list(training_frames(DataSetsRecipe(root=str(tmp_path / "data"))))
    assert trained
    assert {frame.name for frame in trained} <= frames.keys() - set(validated)
    assert all(frame.image.dtype == np.uint16 for frame in trained)


def test_segments_come_back_as_masks(labelled: Path, tmp_path: Path) -> None:
    flags = [str(labelled / "labels.json"), "--images", str(labelled / "originals"), "--out", str(tmp_path / "data")]
    assert main(["data", "import", *flags]) == 0
    frames = [read_frame(entry) for entry in open_data_set(tmp_path / "data").entries]
    masked = [frame for frame in frames if frame.role == "targets"]
    assert len(masked) > 8
    for frame in masked:
        assert frame.truth.mask[60, 20 + 2 * int(frame.name[-6:])] == 255
        assert 3 <= (frame.truth.mask == 255).sum() <= 60


def test_images_are_a_sequence_if_their_rate_is_given(tmp_path: Path) -> None:
    (tmp_path / "night").mkdir()
    for index in range(10, 34):
        assert cv2.imwrite(str(tmp_path / "night" / f"{index}.tiff"), frame_counts(index))
    flags = ["label", "--source", str(tmp_path / "night"), "--engine", "onnxruntime", "--out"]
    assert main([*flags, str(tmp_path / "tracked"), "--rate", "30"]) == 0
    assert main([*flags, str(tmp_path / "single")]) == 0
    for name, tracked in (("tracked", True), ("single", False)):
        tree = json.loads((tmp_path / name / "labels.json").read_text())
        assert tree["annotations"]
        assert all((one["track_id"] is not None) == tracked for one in tree["annotations"])
        assert tree["images"][0]["file_name"] == "night_000000.png"


def test_uncertain_frames_are_chosen_besides_every_nth() -> None:
    proposal = Proposal((1, 1, 3, 3), 0.7, 1, np.zeros((4, 2)))
    values = [0, 0.2, 0.9, 0, 0, 0, 0, 0, 1.0, 0.5]
    frames = [ProposedFrame(n, (proposal,), value) for n, value in enumerate(values)]
    assert [frame.index for frame in choose_frames(frames, 4)] == [0, 2, 4, 8, 9]


@pytest.mark.parametrize(
    ("flags", "code"),
    [(["--every", "0"], 2), (["--frames", "0"], 2), (["--rate", "-1"], 2), (["--threshold", "2"], 2), ([], 3)],
)
def test_wrong_flags_and_missing_sources(flags: list[str], code: int, tmp_path: Path) -> None:
    base = ["label", "--source", str(tmp_path / "none.mp4"), "--engine", "onnxruntime", "--out", str(tmp_path / "out")]
    assert main([*base, *flags]) == code
    assert not (tmp_path / "out").exists()


def test_a_full_folder_is_refused_before_any_work(tmp_path: Path) -> None:
    assert main(["label", "--source", "demo", "--out", str(tmp_path.parent)]) == 2
