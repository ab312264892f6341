import dataclasses
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from lpnet_rt.detections import detect
from lpnet_rt.errors import SinkError
from lpnet_rt.sinks.masks import MaskSink


def read(path: Path) -> np.ndarray:
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    return picture


def test_one_black_and_white_png_of_the_same_stem_and_size(tmp_path: Path, make_report) -> None:
    sink = MaskSink(str(tmp_path / "new" / "masks"), 0.5)
    sizes = {"a.b": (48, 64), "empty sky": (31, 77), "tiny": (12, 11)}
    for i, (stem, size_hw) in enumerate(sizes.items()):
        report = make_report(i, size_hw, file=f"{stem}.png")
        sink.write(report)
        mask = read(tmp_path / "new" / "masks" / f"{stem}.png")
        assert mask.dtype == np.uint8
        assert np.array_equal(mask, np.where(report.score_map >= 0.5, 255, 0))
        assert mask.any()
    sink.close()
    sink.close()
    assert len(list((tmp_path / "new" / "masks").iterdir())) == 3


def test_a_score_equal_to_the_threshold_is_white(tmp_path: Path, make_report) -> None:
    report = make_report(0, file="edge.png")
    MaskSink(str(tmp_path), 0.9).write(report)
    assert read(tmp_path / "edge.png").sum() == 9 * 255
    report = make_report(0, file="over.png")
    MaskSink(str(tmp_path), 0.91).write(report)
    assert not read(tmp_path / "over.png").any()


def test_a_failed_frame_gets_no_mask(tmp_path: Path, make_report) -> None:
    MaskSink(str(tmp_path), 0.5).write(make_report(0, file="lost.png", error="no answer"))
    assert not list(tmp_path.iterdir())


def test_a_source_without_stems_is_refused(tmp_path: Path, make_report) -> None:
    with pytest.raises(SinkError, match="expected a source of single images, found clip"):
        MaskSink(str(tmp_path), 0.5).write(make_report(0))


def test_two_images_of_one_stem_are_refused(tmp_path: Path, make_report) -> None:
    sink = MaskSink(str(tmp_path), 0.5)
    sink.write(make_report(0, file="a.png"))
    with pytest.raises(SinkError, match=r"a\.png and a\.tif would both be written as a\.png"):
        sink.write(make_report(1, file="a.tif"))
    with pytest.raises(SinkError, match=r"a\.png and a\.tif would both be written as a\.png"):
        MaskSink(str(tmp_path), 0.5, ["a.png", "a.tif"])


def test_every_page_of_a_stack_gets_a_mask(tmp_path: Path, make_report) -> None:
    sink = MaskSink(str(tmp_path), 0.5)
    for index in range(3):
        sink.write(make_report(index, file="stack.tif"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stack-2.png", "stack-3.png", "stack.png"]


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name in ("file", "file/masks"):
        with pytest.raises(SinkError, match="the folder cannot be made"):
            MaskSink(str(tmp_path / name), 0.5)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(SinkError, match="permission denied"):
        MaskSink(str(tmp_path), 0.5)


def test_a_file_that_is_no_mask_is_refused_before_the_first_frame(tmp_path: Path, make_report) -> None:
    picture = cv2.imencode(".png", np.full((48, 64), 7, np.uint8))[1].tobytes()
    (tmp_path / "a.png").write_bytes(picture)
    with pytest.raises(SinkError, match="--overwrite"):
        MaskSink(str(tmp_path), 0.5, ["a.tif"])
    sink = MaskSink(str(tmp_path), 0.5)
    with pytest.raises(SinkError, match="--overwrite"):
        sink.write(make_report(0, file="a.tif"))
    assert (tmp_path / "a.png").read_bytes() == picture


def test_masks_of_an_earlier_run_are_replaced(tmp_path: Path, make_report) -> None:
    for frame in (0, 20):
        MaskSink(str(tmp_path), 0.5, ["a.png"]).write(make_report(frame, file="a.png"))
    assert read(tmp_path / "a.png")[24:27, 25:28].all()
    assert not read(tmp_path / "a.png")[24:27, 5:8].any()


def test_a_link_in_the_folder_is_never_written_through(tmp_path: Path, make_report) -> None:
    (tmp_path / "masks").mkdir()
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "masks" / "a.png").symlink_to(tmp_path / "precious")
    for overwrite in (False, True):
        sink = MaskSink(str(tmp_path / "masks"), 0.5, overwrite=overwrite)
        with pytest.raises(SinkError, match="a link"):
            sink.write(make_report(0, file="a.png"))
    assert (tmp_path / "precious").read_bytes() == b"precious"


def test_a_mask_is_the_union_of_the_published_detections(tmp_path: Path, make_report) -> None:
    report = make_report(0, file="a.png")
    rows, columns = np.indices(report.score_map.shape)
    near = (rows - 25) ** 2 + (columns - 6) ** 2 < 16
    report.score_map[near] = np.maximum(report.score_map[near], np.float32(0.6))  # part of a blob with a higher peak
    report.score_map[40, 50] = 0.6  # a peak that is not over the threshold
    MaskSink(str(tmp_path), 0.8).write(report)
    mask = read(tmp_path / "a.png")
    assert (mask == 255).sum() == near.sum()
    assert not mask[40, 50]


def test_a_detection_that_a_zone_has_dropped_is_not_in_the_mask(tmp_path: Path, make_report) -> None:
    image = np.full((48, 64), 40, np.uint8)
    scores = np.zeros((48, 64), np.float32)
    scores[5:8, 5:8], scores[30:34, 40:46] = 0.9, 0.8
    found = detect(scores, image, 0.5)
    given = make_report(0, (48, 64), file="a.png")
    kept = found.rows(found.box_xyxy[:, 0] == 40)
    MaskSink(str(tmp_path), 0.5).write(dataclasses.replace(given, detections=kept, score_map=scores))
    mask = read(tmp_path / "a.png")
    assert (mask > 0).sum() == 24
    assert (mask[30:34, 40:46] == 255).all()
