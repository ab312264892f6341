from pathlib import Path

import cv2
import numpy as np
import pytest

from lpnet_rt.errors import DataError
from lpnet_rt.training.pairs import (
    files_by_stem,
    pair_files,
    read_grey,
    read_mask,
    read_prediction,
    read_split,
)


def write(path: Path, image: np.ndarray | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.zeros((6, 8), np.uint8) if image is None else image)
    return path


def test_masks_are_found_under_each_of_their_names(tmp_path):
    for stem, mask in (("a", "a.png"), ("b", "b_gt.bmp"), ("c", "c_pixels0.png")):
        write(tmp_path / "images" / f"{stem}.bmp")
        write(tmp_path / "masks" / mask)
    pairs = pair_files(tmp_path / "images", tmp_path / "masks")
    assert [(pair.stem, pair.mask.name) for pair in pairs] == [
        ("a", "a.png"),
        ("b", "b_gt.bmp"),
        ("c", "c_pixels0.png"),
    ]
    assert all(pair.prediction is None for pair in pairs)


def test_masks_may_lie_beside_the_images(tmp_path):
    write(tmp_path / "a.png")
    write(tmp_path / "a_gt.png")
    assert [pair.stem for pair in pair_files(tmp_path, tmp_path)] == ["a"]


def test_split_chooses_and_orders(tmp_path):
    for stem in "abc":
        write(tmp_path / "images" / f"{stem}.png")
        write(tmp_path / "masks" / f"{stem}.png")
        np.save(tmp_path / f"{stem}.npy", np.zeros((6, 8), np.float32))
    split = tmp_path / "split.txt"
    split.write_text("c.png\n\n  a \n")
    pairs = pair_files(tmp_path / "images", tmp_path / "masks", split, tmp_path)
    assert [pair.stem for pair in pairs] == ["c", "a"]
    assert pairs[0].prediction == tmp_path / "c.npy"


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


def test_missing_files_are_named(tmp_path):
    for stem in "abcde":
        write(tmp_path / "images" / f"{stem}.png")
    write(tmp_path / "masks" / "a.png")
    with pytest.raises(DataError, match=r"one mask for each of 5 images, 4 missing: b, c, d, \.\.\."):
        pair_files(tmp_path / "images", tmp_path / "masks")
    split = tmp_path / "split.txt"
    split.write_text("a\nz\n")
    with pytest.raises(DataError, match="one image for each of 2 images, 1 missing: z"):
        pair_files(tmp_path / "images", tmp_path / "masks", split)
    split.write_text("a\n")
    with pytest.raises(DataError, match="prediction for each of 1 images, 1 missing: a"):
        pair_files(tmp_path / "images", tmp_path / "masks", split, tmp_path)


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
    deep = np.arange(48, dtype=np.uint16).reshape(6, 8) * 1000
    np.testing.assert_array_equal(read_grey(write(tmp_path / "deep.png", deep)), deep)
    assert read_grey(write(tmp_path / "colour.png", np.full((6, 8, 3), 90, np.uint8))).shape == (6, 8)


def test_bad_images(tmp_path):
    text = tmp_path / "a.png"
    text.write_text("no image")
    with pytest.raises(DataError, match="cannot be decoded"):
        read_grey(text)
    deep = write(tmp_path / "a.tiff", np.zeros((6, 8), np.float32))
    with pytest.raises(DataError, match="float32"):
        read_grey(deep)
    with pytest.raises(DataError, match="expected the image's size 9x6, found 8x6"):
        read_mask(write(tmp_path / "b.png"), (6, 9))


def test_predictions(tmp_path):
    score = np.linspace(0, 1, 48, dtype=np.float32).reshape(6, 8)
    path = tmp_path / "a.npy"
    np.save(path, score)
    np.testing.assert_array_equal(read_prediction(path, (6, 8)), score)
    np.save(path, score.astype(np.float16))
    assert read_prediction(path, (6, 8)).dtype == np.float32
    np.save(path, score > 0.5)
    assert read_prediction(path, (6, 8)).dtype == np.bool_


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.full((6, 8), 2.0), "0 to 1, found 2 to 2"),
        (np.full((6, 8), np.nan), "found nan to nan"),
        (np.zeros((6, 8), np.int64), "int64"),
        (np.zeros((1, 6, 8)), r"8x6, found \(1, 6, 8\)"),
        (np.array([{}], object), "cannot be read"),
    ],
)
def test_bad_predictions(tmp_path, array, reason):
    path = tmp_path / "a.npy"
    np.save(path, array, allow_pickle=True)
    with pytest.raises(DataError, match=reason):
        read_prediction(path, (6, 8))
