from pathlib import Path

import cv2
import numpy as np
import pytest

from lpnet_rt.errors import DataError
from lpnet_rt.training.data.layouts import open_data_set, recognise

PIXEL = np.zeros((4, 4), np.uint8)


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".txt":
            path.write_text("")
        else:
            assert cv2.imwrite(str(path), PIXEL)


def write(root: Path, name: str, text: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def found(root: Path, **options) -> list[tuple[str, str | None, str | None, str | None]]:
    entries = open_data_set(root, **options).entries
    return [(e.name, e.split, name_of(e.image), name_of(e.mask)) for e in entries]


def name_of(path: Path | None) -> str | None:
    return None if path is None else path.name


def test_sirst_v1(tmp_path):
    for name in ("Misc_1", "Misc_2", "Misc_3"):
        touch(tmp_path, f"images/{name}.png", f"masks/{name}_pixels0.png")
    write(tmp_path, "idx_427/train.txt", "Misc_3\nMisc_1\n")
    write(tmp_path, "idx_427/trainval.txt", "Misc_3\nMisc_1\n")
    write(tmp_path, "idx_427/test.txt", "Misc_2\n")
    assert recognise(tmp_path) == "sirst-v1"
    assert found(tmp_path) == [
        ("Misc_3", "train", "Misc_3.png", "Misc_3_pixels0.png"),
        ("Misc_1", "train", "Misc_1.png", "Misc_1_pixels0.png"),
        ("Misc_2", "test", "Misc_2.png", "Misc_2_pixels0.png"),
    ]


def test_sirst_v2(tmp_path):
    touch(tmp_path, "mixed/S1_1.png", "annotations/masks/S1_1_pixels0.png", "mixed/S1_2.png")
    write(tmp_path, "splits/train_full.txt", "S1_1\n")
    write(tmp_path, "splits/val_full.txt", "S1_2\n")
    write(tmp_path, "splits/trainval_full.txt", "S1_1\nS1_2\n")
    assert recognise(tmp_path) == "sirst-v2"
    assert found(tmp_path) == [("S1_1", "train", "S1_1.png", "S1_1_pixels0.png"), ("S1_2", "val", "S1_2.png", None)]


@pytest.mark.parametrize("base", ["data/", ""])
def test_mdvsfa(tmp_path, base):
    touch(tmp_path, f"{base}training/000000_1.png", f"{base}training/000000_2.png", f"{base}training/000009_2.png")
    touch(tmp_path, f"{base}test_org/00000.png", f"{base}test_gt/00000.png")
    assert recognise(tmp_path) == "mdvsfa"
    assert found(tmp_path) == [
        ("000000", "train", "000000_1.png", "000000_2.png"),
        ("00000", "test", "00000.png", "00000.png"),
    ]
    assert [path.name for path in open_data_set(tmp_path).stray_masks] == ["000009_2.png"]


@pytest.mark.parametrize("splits", ["50_50/{}.txt", "img_idx/{}_NUDT-SIRST.txt"])
def test_nudt_sirst(tmp_path, splits):
    touch(tmp_path, "images/000001.png", "masks/000001.png", "images/000002.png", "masks/000002.png")
    write(tmp_path, splits.format("train"), "000001\n")
    write(tmp_path, splits.format("test"), "000002\n")
    assert recognise(tmp_path) == "nudt-sirst"
    assert [entry[:2] for entry in found(tmp_path)] == [("000001", "train"), ("000002", "test")]


def test_irstd_1k(tmp_path):
    touch(tmp_path, "IRSTD1k_Img/XDU0.png", "IRSTD1k_Label/XDU0.png", "IRSTD1k_Img/XDU1.png", "IRSTD1k_Label/XDU1.png")
    write(tmp_path, "trainval.txt", "XDU1\n")
    write(tmp_path, "test.txt", "XDU0\n")
    assert recognise(tmp_path) == "irstd-1k"
    assert [entry[:2] for entry in found(tmp_path)] == [("XDU1", "train"), ("XDU0", "test")]


def test_plain_takes_every_split_file(tmp_path):
    touch(tmp_path, "images/a.bmp", "masks/a.png", "images/b.png", "masks/b.png", "masks/c.png")
    assert recognise(tmp_path) == "plain"
    assert [entry[:2] for entry in found(tmp_path)] == [("a", None), ("b", None)]
    write(tmp_path, "night.txt", "a\nz\n")
    write(tmp_path, "splits/day.txt", "b\n")
    assert found(tmp_path) == [
        ("a", "night", "a.bmp", "a.png"),
        ("z", "night", None, None),
        ("b", "day", "b.png", "b.png"),
    ]
    assert [path.name for path in open_data_set(tmp_path).stray_masks] == ["c.png"]


def test_paper(tmp_path):
    touch(tmp_path, "train/a.bmp", "train/gt/a_gt.bmp", "test/b.bmp", "test/gt/b.bmp")
    assert recognise(tmp_path) == "paper"
    assert found(tmp_path) == [("a", "train", "a.bmp", "a_gt.bmp"), ("b", "test", "b.bmp", None)]
    assert [path.name for path in open_data_set(tmp_path).stray_masks] == ["b.bmp"]


def test_given_splits_stand_in_for_the_own(tmp_path):
    touch(tmp_path, "IRSTD1k_Img/XDU0.png", "IRSTD1k_Label/XDU0.png")
    write(tmp_path, "trainval.txt", "XDU7\n")
    mine = write(tmp_path, "mine.txt", "XDU0\n")
    assert [entry[:2] for entry in found(tmp_path, splits={"test": mine})] == [("XDU0", "test")]


def test_bad_folders(tmp_path):
    with pytest.raises(DataError, match="found nothing"):
        recognise(tmp_path / "none")
    with pytest.raises(DataError, match="known layout"):
        recognise(tmp_path)
    (tmp_path / "training").mkdir()
    with pytest.raises(DataError, match="known layout"):  # a folder of that name alone says nothing
        recognise(tmp_path)
    with pytest.raises(DataError, match="found yolo"):
        open_data_set(tmp_path, "yolo")
    with pytest.raises(DataError, match="IRSTD1k_Img: expected a folder"):
        open_data_set(tmp_path, "irstd-1k")
