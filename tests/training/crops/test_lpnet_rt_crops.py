"""Crops of LPNet-RT's training: reproducible, with truth on targets, hard negatives and synthetic targets."""

from __future__ import annotations

import dataclasses

import cv2
import msgspec
import numpy as np
import torch
from lpnet_rt_data import sample

from lpnet_rt.training.crops.augment import cut_crop, lay_targets
from lpnet_rt.training.crops.lpnet_rt import CropDataset
from lpnet_rt.training.data.frames import IGNORE
from lpnet_rt.training.data.roles import training_frames
from lpnet_rt.training.recipes.lpnet_rt import Recipe


def dataset(whole: Recipe, **changes: object) -> CropDataset:
    return dataclasses.replace(CropDataset.of(training_frames(whole.data), whole.data, 1), **changes)  # type: ignore[arg-type]


def test_crops_follow_from_seed_epoch_and_index(recipe: Recipe) -> None:
    first, again = dataset(recipe), dataset(recipe)
    other_seed, other_epoch = dataset(recipe, seed=2), dataset(recipe, epoch=1)
    assert len(first) == 8
    for index in reversed(range(8)):
        image, truth = again[index]
        assert (image.shape, image.dtype) == ((2, 64, 64), torch.float32)
        assert (truth.shape, truth.dtype) == ((1, 64, 64), torch.uint8)
        assert set(truth.unique().tolist()) <= {0, IGNORE, 255}
        assert torch.equal(first[index][0], image)
        assert torch.equal(first[index][1], truth)
        assert not torch.equal(other_seed[index][0], image)
        assert not torch.equal(other_epoch[index][0], image)


def test_empty_frames_hold_targets_only_where_synthetic_ones_are_laid(recipe: Recipe) -> None:
    for share, holds in ((0.0, False), (1.0, True)):
        data = msgspec.structs.replace(recipe.data, empty_crops=6, mask_crops=0, video_crops=0, synthetic_share=share)
        crops = dataset(recipe, recipe=data, masked=[], video=[])
        assert [bool((crops[i][1] == 255).any()) for i in range(len(crops))] == [holds] * 6


def test_hard_negatives_lie_in_their_crops(recipe: Recipe) -> None:
    marked = sample(50, None)
    marked.image[70:73, 20:23] = 255
    data = msgspec.structs.replace(recipe.data, hard_share=1.0, empty_crops=8)
    alarms = [(0, 21.0, 71.0)]
    crops = dataset(recipe, recipe=data, masked=[], video=[], empty=[marked], false_alarms=alarms)
    for index in range(8):
        image, truth = crops[index]
        assert image[0].max() - image[0].median() > 3
        assert not (truth == 255).any()


def test_a_crop_keeps_truth_on_its_target() -> None:
    one = sample(0, (40.0, 50.0))
    for seed in range(30):
        image, truth = cut_crop(one, 64, (40.0, 50.0), False, np.random.default_rng(seed))
        on_target = image[0][truth == 255]
        assert on_target.size >= 4
        assert on_target.mean() > image[0][truth == 0].mean() + 1


def test_synthetic_targets_are_bright_and_marked() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        image, truth = np.zeros((64, 64), np.float32), np.zeros((64, 64), np.uint8)
        lay_targets(image, truth, rng)
        assert 1 <= cv2.connectedComponents(truth)[0] - 1 <= 3
        assert (image[truth == 255] > 0).all()
        assert image[truth == 255].mean() > 1.9  # at least half of four times the least deviation
