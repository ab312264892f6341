import argparse
from pathlib import Path

import cv2
import numpy as np
import pytest

from lpnet_rt.errors import DataError, SettingsError
from lpnet_rt.training.data.check import check
from lpnet_rt.training.data.convert import ConvertOptions, add_arguments, binary_mask, convert, run
from lpnet_rt.training.data.layouts import recognise


def write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def read(path: Path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert image is not None, path
    return image


def picture(seed: int, shape: tuple[int, ...] = (30, 40)) -> np.ndarray:
    return np.random.default_rng(seed).integers(40, 200, shape, np.uint8)


def target(x: int, level: int = 255) -> np.ndarray:
    mask = np.zeros((30, 40), np.uint8)
    mask[10:12, x : x + 2] = level
    return mask


@pytest.fixture
def sirst(tmp_path) -> Path:
    root = tmp_path / "sirst"
    for i in range(1, 5):
        write(root / "images" / f"Misc_{i}.png", picture(i))
        write(root / "masks" / f"Misc_{i}_pixels0.png", target(i))
    for split, names in (("train", "Misc_1\nMisc_2\n"), ("val", "Misc_3\n"), ("test", "Misc_4\n")):
        (root / "idx_427").mkdir(exist_ok=True)
        (root / "idx_427" / f"{split}.txt").write_text(names)
    return root


def test_sirst_v1_to_plain(sirst, tmp_path):
    done = convert(ConvertOptions(sirst, tmp_path / "out"))
    assert done.layout == "sirst-v1"
    assert done.frames == {"train": 2, "val": 1, "test": 1}
    assert (tmp_path / "out" / "train.txt").read_text() == "Misc_1\nMisc_2\n"
    np.testing.assert_array_equal(read(tmp_path / "out" / "images" / "Misc_3.png"), picture(3))
    np.testing.assert_array_equal(read(tmp_path / "out" / "masks" / "Misc_3.png"), target(3))
    assert recognise(tmp_path / "out") == "plain"
    assert check(tmp_path / "out").problems == ()


def test_sirst_v1_to_the_papers_layout(sirst, tmp_path):
    done = convert(ConvertOptions(sirst, tmp_path / "SIRST", target="paper"))
    assert done.frames == {"train": 3, "test": 1}  # the paper trains on train and val
    np.testing.assert_array_equal(read(tmp_path / "SIRST" / "train" / "Misc_3.bmp"), picture(3))
    np.testing.assert_array_equal(read(tmp_path / "SIRST" / "test" / "gt" / "Misc_4_gt.bmp"), target(4))
    assert recognise(tmp_path / "SIRST") == "paper"
    assert check(tmp_path / "SIRST").problems == ()
    again = convert(ConvertOptions(tmp_path / "SIRST", tmp_path / "plain"))
    assert again.frames == {"train": 3, "test": 1}
    np.testing.assert_array_equal(read(tmp_path / "plain" / "masks" / "Misc_4.png"), target(4))


def test_mdvsfa_colour_images_become_grey(tmp_path):
    root = tmp_path / "MDvsFA_cGAN"
    grey = picture(1)
    write(root / "data" / "training" / "000000_1.png", np.dstack([grey] * 3))
    write(root / "data" / "training" / "000000_2.png", np.dstack([target(3)] * 3))
    write(root / "data" / "test_org" / "00000.png", picture(2))
    write(root / "data" / "test_gt" / "00000.png", target(5))
    done = convert(ConvertOptions(root, tmp_path / "MFIRST", target="paper"))
    assert (done.layout, done.frames) == ("mdvsfa", {"train": 1, "test": 1})
    np.testing.assert_array_equal(read(tmp_path / "MFIRST" / "train" / "000000.bmp"), grey)
    np.testing.assert_array_equal(read(tmp_path / "MFIRST" / "train" / "gt" / "000000_gt.bmp"), target(3))


def test_irstd_1k_soft_masks_are_binarised(tmp_path):
    root = tmp_path / "IRSTD-1k"
    soft = target(3)
    soft[9, 3:5] = 64
    write(root / "IRSTD1k_Img" / "XDU0.png", picture(1))
    write(root / "IRSTD1k_Label" / "XDU0.png", soft)
    done = convert(ConvertOptions(root, tmp_path / "out"))
    assert done.frames == {"all": 1}
    np.testing.assert_array_equal(read(tmp_path / "out" / "masks" / "XDU0.png"), target(3))


def test_nudt_sirst(tmp_path):
    root = tmp_path / "NUDT-SIRST"
    for i, split in ((1, "train"), (2, "test")):
        write(root / "images" / f"00000{i}.png", picture(i))
        write(root / "masks" / f"00000{i}.png", target(i))
        (root / "50_50").mkdir(exist_ok=True)
        (root / "50_50" / f"{split}.txt").write_text(f"00000{i}\n")
    assert convert(ConvertOptions(root, tmp_path / "out", target="paper")).frames == {"train": 1, "test": 1}


def test_sirst_v2_frames_without_mask(tmp_path):
    root = tmp_path / "v2"
    write(root / "mixed" / "S1_1.png", picture(1))
    write(root / "mixed" / "S1_2.png", picture(2))
    write(root / "annotations" / "masks" / "S1_1_pixels0.png", target(3))
    (root / "splits").mkdir()
    (root / "splits" / "train_full.txt").write_text("S1_1\nS1_2\n")
    with pytest.raises(DataError, match=r"S1_2\.png: expected a mask.*--missing-mask-is-empty"):
        convert(ConvertOptions(root, tmp_path / "strict"))
    convert(ConvertOptions(root, tmp_path / "out", missing_mask_is_empty=True))
    assert not read(tmp_path / "out" / "masks" / "S1_2.png").any()


def test_depth_is_kept_or_refused(tmp_path):
    deep = np.arange(1200, dtype=np.uint16).reshape(30, 40) * 50
    write(tmp_path / "in" / "images" / "a.png", deep)
    write(tmp_path / "in" / "masks" / "a.png", target(3))
    (tmp_path / "in" / "train.txt").write_text("a\n")
    convert(ConvertOptions(tmp_path / "in", tmp_path / "out"))
    np.testing.assert_array_equal(read(tmp_path / "out" / "images" / "a.png"), deep)
    with pytest.raises(DataError, match="BMP holds no more"):
        convert(ConvertOptions(tmp_path / "in", tmp_path / "bmp", target="paper"))


def test_a_mask_of_another_size_is_refused_or_left_out(sirst, tmp_path):
    write(sirst / "masks" / "Misc_2_pixels0.png", np.zeros((30, 41), np.uint8))
    with pytest.raises(DataError, match=r"Misc_2_pixels0\.png: expected the image's size 40x30, found 41x30"):
        convert(ConvertOptions(sirst, tmp_path / "strict"))
    done = convert(ConvertOptions(sirst, tmp_path / "out", skip_bad=True))
    assert done.frames["train"] == 1
    assert len(done.skipped) == 1
    assert (tmp_path / "out" / "train.txt").read_text() == "Misc_1\n"
    assert not (tmp_path / "out" / "images" / "Misc_2.png").exists()


def test_old_files_are_never_mixed_with_new(sirst, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("x")
    with pytest.raises(DataError, match="empty folder"):
        convert(ConvertOptions(sirst, tmp_path / "out"))


def test_an_image_in_two_splits_is_refused(sirst, tmp_path):
    (sirst / "idx_427" / "val.txt").write_text("Misc_1\n")
    with pytest.raises(DataError, match="Misc_1 would be written twice"):
        convert(ConvertOptions(sirst, tmp_path / "out"))


def test_the_papers_layout_needs_splits(sirst, tmp_path):
    for path in (sirst / "idx_427").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="--split train=FILE"):
        convert(ConvertOptions(sirst, tmp_path / "out", target="paper"))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 255], [0, 255]),
        ([0, 1], [0, 255]),
        ([0, 0], [0, 0]),
        ([0, 64, 127, 128, 255], [0, 0, 0, 255, 255]),
    ],
)
def test_binary_mask(values, expected):
    assert binary_mask(np.array([values], np.uint8)).tolist() == [expected]
    assert binary_mask(np.array([[0, 40000]], np.uint16)).tolist() == [[0, 255]]


def test_faint_masks_are_refused():
    with pytest.raises(DataError, match="values up to 38"):
        binary_mask(np.array([[0, 38]], np.uint8))


def test_the_verb(sirst, tmp_path, capsys):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    (tmp_path / "mine.txt").write_text("Misc_2\nMisc_9\n")
    flags = [str(sirst), str(tmp_path / "out"), "--split", f"train={tmp_path / 'mine.txt'}", "--skip-bad"]
    assert run(parser.parse_args(flags)) == 0
    printed = capsys.readouterr()
    assert "sirst-v1 to plain, frames: train 1; left out: 1" in printed.out
    assert "Misc_9" in printed.err
    with pytest.raises(SettingsError, match="NAME=FILE"):
        run(parser.parse_args([str(sirst), str(tmp_path / "out2"), "--split", "train"]))
    with pytest.raises(SettingsError, match="found coco"):
        ConvertOptions(sirst, tmp_path / "x", target="coco")
