from pathlib import Path

import cv2
import pytest

from lpnet_rt.errors import SinkError
from lpnet_rt.sinks.pictures import PictureSink
from lpnet_rt.view.overlay import Painter, picture_size_hw


def test_every_image_gets_a_picture_with_its_marks(tmp_path: Path, make_report, clock) -> None:
    folder = tmp_path / "new" / "pictures"
    sink = PictureSink(str(folder), Painter("set", clock, 0.5))
    sink.write(make_report(0, (48, 64), file="a.bmp"))
    sink.write(make_report(1, (400, 300), file="b.c.tif", error="cut off"))
    sink.close()
    sink.close()
    assert sorted(path.name for path in folder.iterdir()) == ["a.png", "b.c.png"]
    assert cv2.imread(str(folder / "a.png")).shape[:2] == picture_size_hw((48, 64))
    assert cv2.imread(str(folder / "b.c.png")).shape[:2] == picture_size_hw((400, 300))
    assert (folder / "a.png").stat().st_mode & 0o7777 == 0o640
    picture = cv2.imread(str(folder / "a.png")).astype(int)
    assert (picture[:, :, 2] - picture[:, :, 0]).max() > 100


def test_what_is_there_is_replaced_only_where_that_was_asked_for(tmp_path: Path, make_report, clock) -> None:
    report = make_report(0, file="a.png")
    (tmp_path / "a.png").write_bytes(b"mine")
    with pytest.raises(SinkError, match="--overwrite"):
        PictureSink(str(tmp_path), Painter("set", clock)).write(report)
    assert (tmp_path / "a.png").read_bytes() == b"mine"
    PictureSink(str(tmp_path), Painter("set", clock), overwrite=True).write(report)
    assert cv2.imread(str(tmp_path / "a.png")) is not None


def test_two_images_of_one_stem_do_not_share_a_picture(tmp_path: Path, make_report, clock) -> None:
    sink = PictureSink(str(tmp_path), Painter("set", clock), overwrite=True)
    sink.write(make_report(0, file="a.png"))
    before = (tmp_path / "a.png").read_bytes()
    with pytest.raises(SinkError, match=r"a\.png and a\.bmp would both be written"):
        sink.write(make_report(1, file="a.bmp"))
    assert (tmp_path / "a.png").read_bytes() == before


def test_a_source_without_files_and_a_folder_that_cannot_be_made_are_one_line(tmp_path, make_report, clock) -> None:
    with pytest.raises(SinkError, match=r"expected a source of single images"):
        PictureSink(str(tmp_path), Painter("set", clock)).write(make_report(0))
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match="cannot be made"):
        PictureSink(str(tmp_path / "file"), Painter("set", clock))
