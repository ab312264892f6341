from pathlib import Path

import cv2
import numpy as np
import pytest

from lpnet_rt.errors import DataError
from lpnet_rt.training.data.pairs import pair_files, read_prediction


def write(path: Path, image: np.ndarray | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.zeros((9, 8), np.uint8) if image is None else image)
    return path


def test_masks_are_found_under_each_of_their_names(tmp_path):
    for stem, mask in (("a", "a.png"), ("b", "b_gt.bmp"), ("c", "c_pixels0.png")):
        write(tmp_path / "images" / f"{stem}.bmp")
        write(tmp_path / "masks" / mask)
    pairs = pair_files(tmp_path / "images", tmp_path / "masks")
    assert [(pair.entry.name, pair.entry.mask.name) for pair in pairs] == [
        ("a", "a.png"),
        ("b", "b_gt.bmp"),
        ("c", "c_pixels0.png"),
    ]
    assert all(pair.prediction is None for pair in pairs)


def test_masks_may_lie_beside_the_images(tmp_path):
    write(tmp_path / "a.png")
    write(tmp_path / "a_gt.png")
    assert [pair.entry.name for pair in pair_files(tmp_path, tmp_path)] == ["a"]


def test_split_chooses_and_orders(tmp_path):
    for stem in "abc":
        write(tmp_path / "images" / f"{stem}.png")
        write(tmp_path / "masks" / f"{stem}.png")
        np.save(tmp_path / f"{stem}.npy", np.zeros((9, 8), np.float32))
    split = tmp_path / "split.txt"
    split.write_text("c.png\n\n  a \n")
    pairs = pair_files(tmp_path / "images", tmp_path / "masks", split, tmp_path)
    assert [pair.entry.name for pair in pairs] == ["c", "a"]
    assert pairs[0].prediction == tmp_path / "c.npy"


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


def test_predictions(tmp_path):
    score = np.linspace(0, 1, 72, dtype=np.float32).reshape(9, 8)
    path = tmp_path / "a.npy"
    np.save(path, score)
    np.testing.assert_array_equal(read_prediction(path, (9, 8)), score)
    np.save(path, score.astype(np.float16))
    assert read_prediction(path, (9, 8)).dtype == np.float32
    np.save(path, score > 0.5)
    assert read_prediction(path, (9, 8)).dtype == np.bool_


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.full((9, 8), 2.0), "0 to 1, found 2 to 2"),
        (np.full((9, 8), np.nan), "found nan to nan"),
        (np.zeros((9, 8), np.int64), "int64"),
        (np.zeros((1, 9, 8)), r"8x9, found \(1, 9, 8\)"),
        (np.array([{}], object), "found object"),
    ],
)
def test_bad_predictions(tmp_path, array, reason):
    path = tmp_path / "a.npy"
    np.save(path, array, allow_pickle=True)
    with pytest.raises(DataError, match=reason):
        read_prediction(path, (9, 8))


def header(shape: str, descr: str = "'<f4'", version: bytes = b"\x01\x00") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY" + version + len(text).to_bytes(2 if version[0] == 1 else 4, "little") + text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (header("(1000000, 1000000)"), "expected the image's size 8x9, found 1000000x1000000"),
        (header("(9, 8)"), "expected 288 bytes of scores, found 0"),
        (header("(9, 8)") + bytes(300), "expected 288 bytes of scores, found 300"),
        (header("(9, 8", "'<f4'"), "cannot be read"),
        (header("(" * 300), "cannot be read"),
        (header("(9, 8)", "'|V999999999999'"), r"cannot be read|expected float scores"),
        (header("(9, 8)", version=b"\x02\x00")[:8] + b"\xff\xff\xff\xff", "cannot be read"),
        (header("(9, 8)", version=b"\x03\x00"), "cannot be read"),
        (b"\x93NUMPY", "cannot be read"),
        (b"", "cannot be read"),
    ],
)
def test_npy_headers_that_lie(tmp_path, content, reason):
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    with pytest.raises(DataError, match=reason) as error:
        read_prediction(path, (9, 8))
    assert "\n" not in str(error.value)


def test_npy_by_columns_and_of_another_byte_order(tmp_path):
    score = np.linspace(0, 1, 72, dtype=np.float32).reshape(9, 8)
    path = tmp_path / "a.npy"
    np.save(path, np.asfortranarray(score).astype(">f4"))
    read = read_prediction(path, (9, 8))
    np.testing.assert_array_equal(read, score)
    assert read.dtype == np.float32
