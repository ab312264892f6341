import argparse
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from lpnet_rt.errors import DataError
from lpnet_rt.training.commands.data import add_arguments, run
from lpnet_rt.training.data.check import check, target_contrast
from lpnet_rt.training.evaluation.components import components

REPOSITORY = Path(__file__).resolve().parents[3]
SIRST = Path(os.environ.get("LPNET_DATA", REPOSITORY.parent / "shared" / "data")) / "sirst"


def write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(90, 110, (30, 40), np.uint8)


def target(*places: tuple[int, int, int], level: int = 255) -> np.ndarray:
    mask = np.zeros((30, 40), np.uint8)
    for x, y, size in places:
        mask[y : y + size, x : x + size] = level
    return mask


@pytest.fixture
def data(tmp_path) -> Path:
    masks = {"a": target((5, 5, 2), (20, 20, 3)), "b": target(), "c": target((8, 8, 4)), "d": target((2, 2, 1))}
    for i, (name, mask) in enumerate(masks.items()):
        image = picture(i)
        image[mask > 0] = 200
        write(tmp_path / "images" / f"{name}.png", image)
        write(tmp_path / "masks" / f"{name}.png", mask)
    (tmp_path / "train.txt").write_text("a\nb\n")
    (tmp_path / "test.txt").write_text("c\nd\n")
    return tmp_path


def kinds(root: Path) -> list[tuple[str, str]]:
    return sorted((problem.kind, problem.name) for problem in check(root).problems)


def test_a_sound_set(data):
    report = check(data)
    assert report.layout == "plain"
    assert report.problems == ()
    test, train = report.splits
    assert (train.split, train.images, train.images_without_target, train.targets) == ("train", 2, 1, 2)
    assert (train.area_px.least, train.area_px.median, train.area_px.greatest) == (4.0, 6.5, 9.0)
    assert train.targets_per_image.median == 2.0
    assert (test.width_px.least, test.height_px.greatest) == (40.0, 30.0)
    assert test.contrast.least is not None
    assert test.contrast.least > 10  # 100 counts over noise of about 6


def test_missing_and_misnamed_masks(data):
    (data / "masks" / "a.png").rename(data / "masks" / "aa.png")
    (data / "test.txt").write_text("c\nd\nz\n")
    report = check(data)
    assert sorted((p.kind, p.name) for p in report.problems) == [
        ("missing_image", "z"),
        ("missing_mask", "a"),
        ("stray_mask", "aa.png"),
    ]
    stray = next(p for p in report.problems if p.kind == "stray_mask")
    assert "a has no mask: is it misnamed?" in stray.detail


def test_sizes_values_and_damage(data):
    write(data / "masks" / "a.png", np.zeros((30, 41), np.uint8))
    write(data / "masks" / "c.png", target((8, 8, 4), level=1))
    (data / "images" / "d.png").write_bytes(b"damaged")
    report = check(data)
    assert sorted((p.kind, p.name) for p in report.problems) == [
        ("mask_values", "c"),
        ("size", "a"),
        ("unreadable", "d"),
    ]
    assert report.splits[0].targets == 1  # the 0/1 mask is counted all the same


def test_duplicates_by_content_in_another_format(data):
    image = cv2.imread(str(data / "images" / "a.png"), cv2.IMREAD_UNCHANGED)
    (data / "images" / "c.png").unlink()
    write(data / "images" / "c.bmp", image)
    (problem,) = check(data).problems
    assert problem.kind == "duplicate"
    assert "across splits" in problem.detail
    assert {problem.name, *problem.detail.split()} >= {"a", "c"}


def test_an_image_in_two_splits(data):
    (data / "test.txt").write_text("a\nc\nd\n")
    assert kinds(data) == [("two_splits", "a")]


def test_contrast_is_measured_against_the_surroundings():
    image = np.full((60, 60), 100, np.uint8)
    image[::2] = 110  # mean 105, deviation 5
    mask = np.zeros((60, 60), bool)
    mask[30:32, 30:32] = True
    mask[30:32, 37:39] = True
    image[mask] = 155
    found = components(mask)
    assert target_contrast(image, found, 0) == pytest.approx(10.0, abs=0.2)
    whole = components(np.ones((3, 3), bool))
    assert target_contrast(np.zeros((3, 3), np.uint8), whole, 0) is None


def test_the_verb(data, tmp_path, capsys):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    out = tmp_path / "report.json"
    assert run(parser.parse_args(["check", str(data), "--json", str(out)])) == 0
    assert json.loads(out.read_text())["splits"][1]["targets"] == 2
    (data / "masks" / "b.png").unlink()
    assert run(parser.parse_args(["check", str(data)])) == DataError.exit_code
    printed = capsys.readouterr().out
    assert "missing_mask: train/b" in printed
    assert "problems: 1" in printed


def test_nothing_to_check(tmp_path):
    with pytest.raises(DataError, match="known layout"):
        check(tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    with pytest.raises(DataError, match="found none"):
        check(tmp_path)


@pytest.mark.data
@pytest.mark.skipif(not SIRST.is_dir(), reason=f"infrared data not found at {SIRST}; set LPNET_DATA")
def test_real_frames_are_sound(tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        for stem in (SIRST / "splits" / "v1_val.txt").read_text().split():
            (tmp_path / folder / f"{stem}.png").symlink_to(SIRST / folder / f"{stem}.png")
    report = check(tmp_path)
    (whole,) = report.splits
    assert (whole.images, whole.images_without_target, whole.targets) == (85, 0, 97)
    assert report.problems == ()
