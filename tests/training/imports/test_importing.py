"""``data import`` from end to end: counts unchanged, splits by recording, strangers' files refused in one line."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from export_files import coco, counts, write_image, write_json, write_text

from lpnet_rt.cli import main
from lpnet_rt.training.data.check import check
from lpnet_rt.training.data.clips import clip_frames
from lpnet_rt.training.data.data_set import read_frame
from lpnet_rt.training.data.frames import IGNORE
from lpnet_rt.training.data.layouts import open_data_set
from lpnet_rt.training.imports.recordings import recording_of, validation_recordings


def export(root: Path, recordings: int = 3, frames: int = 4, suffix: str = ".png") -> Path:
    """A COCO export of deep images of several recordings: a box, a mask, and a frame without a target in each."""
    names, annotations = [], []
    for recording in range(recordings):
        for frame in range(frames):
            names.append(f"flight{recording}_{frame:04d}{suffix}")
            xy = None if frame == 0 else (22, 11)
            write_image(root / "images" / names[-1], 100 * recording + frame, xy)
            if frame == 1:
                segment = {"size": [40, 56], "counts": [20 * 40 + 10, 3, 37, 3, 37, 3, 56 * 40 - 20 * 40 - 93]}
                annotations.append({"image_id": len(names), "bbox": [20, 10, 3, 3], "segmentation": segment})
            elif frame > 1:
                annotations.append({"image_id": len(names), "bbox": [18, 7, 9, 9], "segmentation": []})
    write_json(root / "annotations.json", coco(names, annotations))
    return root


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_images_with_boxes_and_masks(tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = export(tmp_path / "mine", suffix=suffix), tmp_path / "data"
    assert main(["data", "import", str(source), "--out", str(out)]) == 0
    assert "from coco: train 8, val 4; without target 3, recordings 3" in capsys.readouterr().out
    report = check(out)
    assert (report.layout, report.problems) == ("plain", ())
    frames = {frame.name: frame for frame in map(read_frame, open_data_set(out).entries)}
    assert len(frames) == 12
    for name, frame in frames.items():
        recording, number = int(name[6]), int(name[-1])
        np.testing.assert_array_equal(frame.image, counts(100 * recording + number, None if number == 0 else (22, 11)))
        assert frame.role == ("target-free", "targets", "video", "video")[number]
        assert frame.truth.has_target == (number > 0)
    assert np.argwhere(frames["flight0_0001"].truth.mask).tolist() == [
        [y, x] for y in (10, 11, 12) for x in (20, 21, 22)
    ]
    boxed = frames["flight0_0002"].truth
    assert (boxed.boxes_xywh.tolist(), boxed.mask[11, 22], boxed.mask[8, 19]) == ([[18, 7, 9, 9]], 255, IGNORE)
    validated = (out / "val.txt").read_text().split()
    assert len({name[:7] for name in validated}) == 1
    assert (out / "recordings.csv").read_text().splitlines()[1] == f"flight0_0000,flight0,images/flight0_0000{suffix}"


def test_a_frame_with_a_mask_and_a_box_has_both(tmp_path: Path) -> None:
    write_image(tmp_path / "mine" / "a_1.png")
    annotations = [
        {"image_id": 1, "bbox": [18, 7, 9, 9], "segmentation": []},
        {"image_id": 1, "bbox": [40, 30, 3, 3], "segmentation": [[40, 30, 43, 30, 40, 33]]},
    ]
    write_json(tmp_path / "mine" / "x.json", coco(["a_1.png"], annotations))
    assert main(["data", "import", str(tmp_path / "mine"), "--out", str(tmp_path / "data")]) == 0
    assert check(tmp_path / "data").problems == ()
    frame = read_frame(open_data_set(tmp_path / "data").entries[0])
    assert frame.truth.boxes_xywh.tolist() == [[18, 7, 9, 9], [40, 30, 2, 2]]
    assert (frame.truth.mask[30, 40], frame.truth.mask[11, 22]) == (255, 255)
    assert main(["data", "convert", str(tmp_path / "data"), str(tmp_path / "converted")]) == 9


def write_mot(root: Path, name: str, row: str = "1,1,19,8,9,9,1,1,1", suffix: str = ".png") -> None:
    for n in (1, 2):
        write_image(root / name / "img1" / f"{n:06d}{suffix}", n)
    info = f"[Sequence]\nname={name}\nimDir=img1\nframeRate=25\nseqLength=2\nimWidth=56\nimHeight=40\n"
    write_text(root / name / "seqinfo.ini", info)
    write_text(root / name / "gt" / "gt.txt", f"{row}\n2,2,40,30,4,4,0,1,1\n")


def test_sequences_become_lossless_clips(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("s1", "s2"):
        write_mot(tmp_path / "mine", name)
    assert main(["data", "import", str(tmp_path / "mine"), "--out", str(tmp_path / "data")]) == 0
    assert "from mot: train 1, val 1; without target 0, recordings 2" in capsys.readouterr().out
    data = open_data_set(tmp_path / "data")
    assert check(tmp_path / "data").problems == ()
    assert (data.layout, sorted(clip.name for clip in data.entries)) == ("clips", ["s1", "s2"])
    (frame,) = clip_frames(data.entries[0], 1)
    np.testing.assert_array_equal(frame.image, counts(1))
    assert (frame.truth.mask[11, 22], frame.bit_depth) == (255, 16)
    assert (tmp_path / "data" / "unlabelled.csv").read_text().splitlines()[1] == "s1,1,41.00,31.00"


def video_task(frames: int, first: object = 1) -> dict[str, object]:
    """A task of Label Studio with one box that stays to the end of a video of so many frames."""
    key = {"frame": first, "x": 25, "y": 25, "width": 25, "height": 25, "enabled": True}
    value = {"framesCount": frames, "labels": ["drone"], "sequence": [key]}
    results = [{"id": "a", "type": "videorectangle", "value": value}]
    return {"data": {"video": "/data/upload/1/0a1b2c3d-s1.mkv"}, "annotations": [{"result": results}]}


def test_a_video_is_copied(tmp_path: Path) -> None:
    write_mot(tmp_path / "first", "s1")
    assert main(["data", "import", str(tmp_path / "first"), "--out", str(tmp_path / "data")]) == 0
    video = tmp_path / "data" / "clips" / "s1.mkv"
    labels = write_json(tmp_path / "ls" / "labels.json", [video_task(2)])
    flags = ["data", "import", str(labels), "--images", str(video.parent), "--out"]
    assert main([*flags, str(tmp_path / "second")]) == 0
    assert (tmp_path / "second" / "clips" / "s1.mkv").read_bytes() == video.read_bytes()
    assert video.stat().st_mode & 0o777 == (tmp_path / "second" / "clips" / "s1.mkv").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "second" / "boxes" / "s1.csv").read_text().splitlines()[1:] == [
        "0,14.00,10.00,14.00,10.00", "1,14.00,10.00,14.00,10.00"
    ]  # fmt: skip
    for task in (video_task(40), video_task(2, "inf"), video_task(2, -3), video_task(2, 10**9)):
        write_json(labels, [task])
        assert main([*flags, str(tmp_path / "third")]) == 9


def test_categories_recordings_and_splits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "mine"
    for part, name in (("train", "x1y"), ("valid", "x2y")):
        write_image(source / part / f"{name}.png", len(part))
        annotations = [{"image_id": 1, "bbox": [18, 7, 9, 9], "category_id": 2}]
        write_json(source / part / "_annotations.coco.json", coco([f"{name}.png"], annotations))
    base = ["data", "import", str(source), "--out"]
    assert main([*base, str(tmp_path / "a"), "--keep-splits"]) == 0
    assert (tmp_path / "a" / "val.txt").read_text() == "valid_x2y\n"
    assert main([*base, str(tmp_path / "b"), "--category", "sun", "--recording", r"(x)\d"]) == 0
    assert "only one recording" in capsys.readouterr().err
    assert not (tmp_path / "b" / "val.txt").exists()
    assert main([*base, str(tmp_path / "c"), "--category", "bird"]) == 9
    assert "found only: sun" in capsys.readouterr().err
    assert main([*base, str(tmp_path / "d"), "--recording", "x"]) == 2
    assert main([*base, str(tmp_path / "d"), "--validation-share", "1"]) == 2


def broken(root: Path, kind: str) -> None:
    """An export with something wrong."""
    write_image(root / "a_1.png")
    box = {"image_id": 1, "bbox": [18, 7, 9, 9]}
    tree = coco(["a_1.png"], [box])
    if kind == "leads out":
        tree = coco(["../a_1.png"], [box])
    elif kind == "image missing":
        tree = coco(["b_1.png"], [box])
    elif kind == "out of frame":
        tree = coco(["a_1.png"], [box | {"bbox": [60, 7, 9, 9]}])
    elif kind == "no area":
        tree = coco(["a_1.png"], [box | {"bbox": [18, 7, 9, 0]}])
    elif kind == "wrong size":
        tree["images"][0]["width"] = 640
    elif kind == "huge size":
        tree["images"][0]["width"] = 10**9
    elif kind == "stray annotation":
        tree = coco(["a_1.png"], [box | {"image_id": 5}])
    elif kind == "twice":
        write_json(root / "again.json", tree)
    elif kind == "damaged":
        (root / "a_1.png").write_bytes((root / "a_1.png").read_bytes()[:200])
    elif kind == "link":
        (root / "a_1.png").rename(root.parent / "secret.png")
        (root / "a_1.png").symlink_to(root.parent / "secret.png")
    write_json(root / "x.json", tree)


KINDS = {
    "leads out": "expected the name of a file in",
    "image missing": "expected the image b_1.png in",
    "out of frame": "expected objects inside of 56x40 pixels",
    "no area": "expected an annotation with a bbox",
    "wrong size": "expected the size that the labels state, 640x40, found 56x40",
    "huge size": "expected an image of at most",
    "stray annotation": "expected every annotation to name an image, found image_id 5",
    "twice": "found labels of a_1.png twice",
    "damaged": "truncated",
    "link": "expected the image a_1.png in",
}


@pytest.mark.parametrize("kind", KINDS)
def test_broken_exports_are_refused_in_one_line(tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    broken(tmp_path / "mine", kind)
    assert main(["data", "import", str(tmp_path / "mine"), "--out", str(tmp_path / "data")]) == 9
    error = capsys.readouterr().err
    assert KINDS[kind] in error
    assert error.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_bad_items_can_be_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = export(tmp_path / "mine")
    (source / "images" / "flight1_0002.png").unlink()
    assert main(["data", "import", str(source), "--out", str(tmp_path / "data"), "--skip-bad"]) == 0
    said = capsys.readouterr()
    assert "expected the image flight1_0002.png" in said.err
    assert sum(len((tmp_path / "data" / f"{split}.txt").read_text().split()) for split in ("train", "val")) == 11


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c"><!ENTITY d "&b;&b;">]>'
    "<annotations><version>&d;</version></annotations>"
)


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.xml", BOMB, "expected XML without a document type"),
        ("a.xml", "<annotations><image", "expected an XML file"),
        ("data.yaml", "names: [a, b", "expected a YAML file"),
        ("data.yaml", "!!python/object/apply:os.system [ls]", "expected a YAML file"),
        ("labels/a_1.txt", "0 0.5 0.5 0.1", "labels/a_1.txt: line 1: expected class, x, y, w, h"),
        ("labels/a_1.txt", "0 25 20 4 4", "in shares from 0 to 1, found 0 25 20 4 4"),
        ("labels/a_2.txt", "0 0.5 0.5 0.1 0.1", "expected an image for every text file"),
        ("s/gt/gt.txt", "0,1,1,1,5,5,1,1,1", "expected a frame number from 1"),
        ("s/gt/gt.txt", "1,1,1,1,nan,5,1,1,1", "expected a box with a width"),
        ("s/gt/gt.txt", "frame,id", "expected frame,id,left,top"),
    ],
)
def test_malformed_files_are_refused(
    tmp_path: Path, name: str, text: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_image(tmp_path / "mine" / "images" / "a_1.png")
    write_text(tmp_path / "mine" / name, text)
    assert main(["data", "import", str(tmp_path / "mine"), "--out", str(tmp_path / "data")]) == 9
    assert line in capsys.readouterr().err


def test_the_destination_is_never_the_source(tmp_path: Path) -> None:
    source = export(tmp_path / "mine", 1)
    assert main(["data", "import", str(source), "--out", str(source / "data")]) == 9
    (tmp_path / "full").mkdir()
    write_text(tmp_path / "full" / "mine.txt", "")
    assert main(["data", "import", str(source), "--out", str(tmp_path / "full")]) == 9


@pytest.mark.parametrize(
    ("path", "recording"),
    [
        ("images/mast/flight3_0012.png", "mast/flight3"),
        ("images/train/flight3_0012.png", "flight3"),
        ("0012.png", "mine"),
        ("frame_0012.png", "mine"),
        ("day-2/0012.png", "day-2"),
        ("cloud.png", "cloud"),
    ],
)
def test_recordings_are_known_by_folder_and_name(path: str, recording: str) -> None:
    assert recording_of(path, "mine") == recording


def test_validation_takes_whole_recordings() -> None:
    frames = {f"r{n}": 10 for n in range(10)} | {"empty1": 40, "empty2": 5}
    targets = {f"r{n}": 3 for n in range(10)}
    held = validation_recordings(frames, targets, 0.2)
    assert len([name for name in held if name.startswith("r")]) == 2
    assert {name for name in held if name.startswith("e")} == {"empty2"}
    assert validation_recordings({"only": 50}, {"only": 50}, 0.2) == frozenset()
    assert validation_recordings(frames, targets, 0.0) == frozenset()


def test_supervision_writes_what_is_read(tmp_path: Path) -> None:
    supervision = pytest.importorskip("supervision", reason="supervision, which writes these formats, is not installed")
    path = write_image(tmp_path / "pics" / "a_1.png", deep=False)
    found = supervision.Detections(xyxy=np.array([[18.0, 7.0, 27.0, 16.0]]), class_id=np.array([0]))
    data = supervision.DetectionDataset(["drone"], [str(path)], {str(path): found})
    data.as_coco(str(tmp_path / "coco" / "images"), str(tmp_path / "coco" / "labels.json"))
    data.as_yolo(
        str(tmp_path / "yolo" / "images"), str(tmp_path / "yolo" / "labels"), str(tmp_path / "yolo" / "data.yaml")
    )
    data.as_pascal_voc(str(tmp_path / "voc" / "JPEGImages"), str(tmp_path / "voc" / "Annotations"))
    for name in ("coco", "yolo", "voc"):
        assert main(["data", "import", str(tmp_path / name), "--out", str(tmp_path / f"{name}-data")]) == 0
        boxes = (tmp_path / f"{name}-data" / "boxes").glob("*.csv")
        x, y, width, height = (float(value) for value in next(boxes).read_text().splitlines()[1].split(","))
        assert (x, y, width, height) == pytest.approx((18, 7, 9, 9), abs=1.0)
    assert cv2.imread(str(path)) is not None
