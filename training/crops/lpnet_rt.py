"""CropDataset: the crops of one epoch, a function of the seed, the epoch and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.utils.data import Dataset

from lpnet_rt.training.crops.augment import Crop, cut_crop
from lpnet_rt.training.data.frames import LabelledFrame
from lpnet_rt.training.recipes.lpnet_rt import DataRecipe

__all__ = ["CropDataset", "FalseAlarms", "limit_threads"]

FalseAlarms = list[tuple[int, float, float]]
"""Index of a target-free sample and the place (x, y) at which the network fired there."""


@dataclass(slots=True)
class CropDataset(Dataset[tuple[Tensor, Tensor]]):
    """Crops of one epoch: frames with masks first, then target-free ones, then video.

    Attributes:
        recipe: How many of each.
        masked: Frames with pixel masks and targets.
        empty: Frames without targets.
        video: Video frames with truth made from boxes.
        seed: Of the run.
        epoch: Set before each epoch.
        false_alarms: Where the network last fired on ``empty``.
    """

    recipe: DataRecipe
    masked: list[LabelledFrame]
    empty: list[LabelledFrame]
    video: list[LabelledFrame]
    seed: int
    epoch: int = 0
    false_alarms: FalseAlarms = field(default_factory=list)

    @classmethod
    def of(cls, frames: Iterable[LabelledFrame], recipe: DataRecipe, seed: int) -> CropDataset:
        """Take the frames of a run, each by its role."""
        found = list(frames)
        masked, empty, video = ([f for f in found if f.role == role] for role in ("targets", "target-free", "video"))
        return cls(recipe, masked, empty, video, seed)

    def __len__(self) -> int:
        recipe = self.recipe
        return sum(
            count
            for count, samples in (
                (recipe.mask_crops, self.masked),
                (recipe.empty_crops, self.empty),
                (recipe.video_crops, self.video),
            )
            if samples
        )

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """(2, S, S) float32 input and (1, S, S) uint8 truth."""
        # Some of each kind in every batch: batch norm would otherwise learn to tell an empty batch from a full one.
        index = int(np.random.default_rng((self.seed, 11, self.epoch)).permutation(len(self))[index])
        rng = np.random.default_rng((self.seed, self.epoch, index))
        first = self.recipe.mask_crops if self.masked else 0
        second = first + (self.recipe.empty_crops if self.empty else 0)
        if index < first:
            image, truth = self._target_crop(self._in_turn(self.masked, index, first), rng)
        elif index < second:
            image, truth = self._empty_crop(index - first, second - first, rng)
        else:
            sample = self.video[int(rng.integers(len(self.video)))]
            image, truth = self._target_crop(sample, rng)
        return torch.from_numpy(image), torch.from_numpy(truth)[None]

    def _in_turn(self, samples: list[LabelledFrame], index: int, count: int) -> LabelledFrame:
        """Walk through a shuffled order that goes on from epoch to epoch, so that every frame is seen as often."""
        lap, place = divmod(self.epoch * count + index, len(samples))
        order = np.random.default_rng((self.seed, 7, lap)).permutation(len(samples))
        return samples[int(order[place])]

    def _target_crop(self, sample: LabelledFrame, rng: Generator) -> Crop:
        centre = None
        if rng.random() < 0.8:
            ys, xs = np.nonzero(sample.truth.mask == 255)
            pick = int(rng.integers(len(xs)))
            centre = (float(xs[pick]), float(ys[pick]))
        return cut_crop(sample, self.recipe.crop_px, centre, False, rng)

    def _empty_crop(self, index: int, count: int, rng: Generator) -> Crop:
        if self.false_alarms and rng.random() < self.recipe.hard_share:
            which, x, y = self.false_alarms[int(rng.integers(len(self.false_alarms)))]
            return cut_crop(self.empty[which], self.recipe.crop_px, (x, y), False, rng)
        synthetic = rng.random() < self.recipe.synthetic_share
        return cut_crop(self._in_turn(self.empty, index, count), self.recipe.crop_px, None, synthetic, rng)


def limit_threads(_worker: int) -> None:
    """Keep a data worker to one thread; called in each worker process."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
