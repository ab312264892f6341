"""Frames and crops of LPNetGA's training: resized with their targets kept, reproducible, splits checked."""

from __future__ import annotations

from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
import torch
from lpnetga_data import frame, small_lpnetga_recipe

from lpnet_rt.errors import DataError
from lpnet_rt.training.crops.lpnetga import PaperCrops, load_frames, shrink


def test_the_shorter_side_is_resized_and_the_shape_kept() -> None:
    image, mask = frame(0, (60, 90))
    small_frame = shrink("a", image, mask, 30)
    assert small_frame.image.shape == small_frame.truth.shape == (30, 45)
    assert small_frame.image.dtype == np.float32
    assert 0 <= small_frame.image.min() < small_frame.image.max() <= 1
    expected = np.argwhere(mask).mean(axis=0) / 2 - 0.25
    np.testing.assert_allclose(np.argwhere(small_frame.truth == 255).mean(axis=0), expected, atol=0.5)
    assert shrink("a", image.T, mask.T, 120).truth.shape == (180, 120)


def test_no_target_is_lost_to_resizing() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        truth = np.zeros((300, 410), np.uint8)
        y, x = rng.integers(2, 298), rng.integers(2, 408)
        truth[y, x] = 255
        found = np.argwhere(shrink("a", truth, truth, 120).truth == 255)
        assert 1 <= len(found) <= 4
        np.testing.assert_allclose(found.mean(axis=0), (np.array([y, x]) + 0.5) * 120 / 300 - 0.5, atol=1)


def test_crops_follow_from_seed_and_epoch_and_take_every_frame_once(plain: Path) -> None:
    recipe = small_lpnetga_recipe(plain).data
    frames, video, validation = load_frames(recipe)
    assert ([f.name for f in frames], video, [f.name for f in validation]) == (
        [f"f{i}" for i in range(6)],
        [],
        ["f6", "f7"],
    )
    first, again, other = (PaperCrops(frames, [], recipe, 3, epoch) for epoch in (0, 0, 1))
    assert len(first) == 6
    for index in range(6):
        image, truth = first[index]
        assert (image.shape, image.dtype, truth.shape, truth.dtype) == (
            (1, 24, 24),
            torch.float32,
            (1, 24, 24),
            torch.uint8,
        )
        assert torch.equal(image, again[index][0])
        assert torch.equal(truth, again[index][1])
    assert not all(torch.equal(first[i][0], other[i][0]) for i in range(6))
    marked = [f.image.copy() for f in frames]
    for i, pixels in enumerate(marked):
        pixels[:] = i
    numbered = [type(f)(f.name, pixels, f.truth) for f, pixels in zip(frames, marked, strict=True)]
    seen = PaperCrops(numbered, [], recipe, 3)
    assert sorted(float(seen[i][0][0, 0, 0]) for i in range(6)) == [0, 1, 2, 3, 4, 5]


def test_video_frames_are_an_option(plain: Path) -> None:
    recipe = msgspec.structs.replace(small_lpnetga_recipe(plain).data, video_crops=4)
    frames, _, _ = load_frames(recipe)
    image, mask = frame(9)
    crops = PaperCrops(frames, [shrink("clip:0", image, mask, 24)], recipe, 0)
    assert len(crops) == 10
    assert all(crops[i][0].shape == (1, 24, 24) for i in range(10))


def test_a_mask_that_is_missing_or_of_another_size_is_named(plain: Path, tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "a.png"), frame(0)[folder == "masks"])
    (tmp_path / "train.txt").write_text("a\n")
    (tmp_path / "val.txt").write_text("a\n")
    recipe = small_lpnetga_recipe(tmp_path).data
    assert len(load_frames(recipe)[0]) == 1
    cv2.imwrite(str(tmp_path / "masks" / "a.png"), np.zeros((9, 9), np.uint8))
    with pytest.raises(DataError, match=r"a\.png: expected the image's size 90x60, found 9x9"):
        load_frames(recipe)
    (tmp_path / "masks" / "a.png").unlink()
    with pytest.raises(DataError, match="a: expected an image and its mask, found no mask"):
        load_frames(recipe)
    (tmp_path / "train.txt").write_text("\n")
    with pytest.raises(DataError, match=r"train\.txt: expected one image name a line, found none"):
        load_frames(recipe)
