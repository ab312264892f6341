"""Image files and split files: found by stem, read at full depth, refused in one line."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from lpnet_rt.errors import DataError
from lpnet_rt.training.data.data_set import Entry, read_frame
from lpnet_rt.training.data.files import files_by_stem, read_grey, read_split
from lpnet_rt.training.data.pairs import pair_files


def write(path: Path, image: np.ndarray | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.zeros((9, 8), np.uint8) if image is None else image)
    return path


def test_names_with_dots_are_kept_whole(tmp_path):
    split = tmp_path / "split.txt"
    split.write_text("frame.001\nframe.002.png\n")
    assert read_split(split) == ("frame.001", "frame.002")


@pytest.mark.parametrize(
    ("text", "reason"), [("\n \n", "found none"), ("a\nb\na.png\n", "a stands there twice"), (None, "split.txt")]
)
def test_bad_splits(tmp_path, text, reason):
    path = tmp_path / "split.txt"
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataError, match=reason):
        read_split(path)


def test_bad_folders(tmp_path):
    with pytest.raises(DataError, match="expected a folder, found nothing"):
        files_by_stem(tmp_path / "nowhere")
    with pytest.raises(DataError, match="expected a folder, found a file"):
        files_by_stem(write(tmp_path / "a.png"))
    write(tmp_path / "a.bmp")
    with pytest.raises(DataError, match=r"a\.bmp and a\.png share a stem"):
        files_by_stem(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="found none"):
        pair_files(tmp_path / "empty", tmp_path / "empty")


def test_images_keep_their_depth(tmp_path):
    deep = np.arange(72, dtype=np.uint16).reshape(9, 8) * 900
    np.testing.assert_array_equal(read_grey(write(tmp_path / "deep.png", deep)), deep)
    assert read_grey(write(tmp_path / "colour.png", np.full((9, 8, 3), 90, np.uint8))).shape == (9, 8)


def test_bad_images(tmp_path):
    text = tmp_path / "a.png"
    text.write_text("no image")
    with pytest.raises(DataError, match="expected a PNG, BMP, JPEG or TIFF image"):
        read_grey(text)
    deep = write(tmp_path / "a.tiff", np.zeros((9, 8), np.float32))
    with pytest.raises(DataError, match="float32"):
        read_grey(deep)
    image, mask = write(tmp_path / "b.png", np.zeros((9, 9), np.uint8)), write(tmp_path / "b_gt.png")
    with pytest.raises(DataError, match="expected the image's size 9x9, found 8x9"):
        read_frame(Entry("b", None, image, mask))


def test_an_image_over_the_limits_is_refused_before_it_is_decoded(tmp_path):
    path = write(tmp_path / "a.png")
    content = bytearray(path.read_bytes())
    content[16:24] = (30_000).to_bytes(4, "big") * 2
    path.write_bytes(content)
    with pytest.raises(DataError, match="found 30000x30000"):
        read_grey(path)
