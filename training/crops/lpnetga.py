"""What LPNetGA is trained on and chosen by: frames of any data set, cut as the paper cuts them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from lpnet_rt.errors import DataError, SettingsError
from lpnet_rt.frames import GreyImage
from lpnet_rt.preprocessing.unit_range import unit_range
from lpnet_rt.training.data.layouts import DataSet, Entry, open_data_set
from lpnet_rt.training.data.pairs import read_grey, read_mask
from lpnet_rt.training.data.samples import IGNORE, load_video, spread_over
from lpnet_rt.training.recipes.lpnetga import LPNetGADataRecipe

__all__ = ["PaperCrops", "PaperFrame", "Truthful", "load_frames", "shrink", "split_entries"]

_SPLIT_SEED = 11


@dataclass(frozen=True, slots=True)
class PaperFrame:
    """A frame resized for training.

    Attributes:
        name: For messages.
        image: (H, W) float32 in 0..1.
        truth: (H, W) uint8: 255 target, 0 background, 128 neither.
    """

    name: str
    image: NDArray[np.float32]
    truth: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Truthful:
    """A frame as it is, for validation.

    Attributes:
        name: For messages.
        image: (H, W) uint8 or uint16, raw counts.
        mask: (H, W) bool.
    """

    name: str
    image: GreyImage
    mask: NDArray[np.bool_]


@dataclass(slots=True)
class PaperCrops(Dataset[tuple[Tensor, Tensor]]):
    """One random crop of every frame, in a new order each epoch, then crops of video frames drawn at random.

    Attributes:
        frames: Frames of the data set, resized.
        video: Video frames, resized.
        recipe: Size of the crops, number of video crops.
        seed: Of the run.
        epoch: Set before each epoch.
    """

    frames: list[PaperFrame]
    video: list[PaperFrame]
    recipe: LPNetGADataRecipe
    seed: int
    epoch: int = 0

    def __len__(self) -> int:
        return len(self.frames) + (self.recipe.video_crops if self.video else 0)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """(1, S, S) float32 in 0..1 and (1, S, S) uint8 truth."""
        rng = np.random.default_rng((self.seed, self.epoch, index))
        place = int(np.random.default_rng((self.seed, self.epoch)).permutation(len(self))[index])
        frame = self.frames[place] if place < len(self.frames) else self.video[int(rng.integers(len(self.video)))]
        side = self.recipe.side_px
        height, width = frame.truth.shape
        top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
        window = (slice(top, top + side), slice(left, left + side))
        image, truth = frame.image[window], frame.truth[window]
        return torch.from_numpy(image.copy())[None], torch.from_numpy(truth.copy())[None]


def shrink(name: str, image: GreyImage, truth: NDArray[np.uint8], side_px: int) -> PaperFrame:
    """Resize a frame so that its shorter side is ``side_px``, its shape kept.

    The image is resized as at run time. Truth must not lose a target to resizing: a pixel is target where the target
    covers at least half as much of it as of the pixel that it covers most.

    Args:
        name: Of the frame.
        image: (H, W) uint8 or uint16, raw counts.
        truth: (H, W) uint8: 255 target, 0 background, 128 neither.
        side_px: The new shorter side.
    """
    height, width = truth.shape
    scale = side_px / min(height, width)
    size_wh = (max(side_px, round(width * scale)), max(side_px, round(height * scale)))
    if image.dtype == np.uint8:  # the paper resizes the 8-bit picture, rounding included
        small = unit_range(np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_LINEAR), np.uint8))
    else:
        small = np.asarray(cv2.resize(unit_range(image), size_wh, interpolation=cv2.INTER_LINEAR), np.float32)
    smaller = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    share = np.asarray(cv2.resize((truth == 255).astype(np.float32), size_wh, interpolation=smaller), np.float32)
    count, labels = cv2.connectedComponents((share > 0).astype(np.uint8), connectivity=8)
    max_share = np.zeros(count, np.float32)
    np.maximum.at(max_share, labels.ravel().astype(np.intp), share.ravel())
    target = (share > 0) & (share >= 0.5 * max_share[labels])
    ignored = np.asarray(cv2.resize((truth == IGNORE).astype(np.uint8), size_wh, interpolation=cv2.INTER_NEAREST)) > 0
    small_truth = np.where(target, 255, np.where(ignored, IGNORE, 0)).astype(np.uint8)
    return PaperFrame(name, small, small_truth)


def load_frames(recipe: LPNetGADataRecipe) -> tuple[list[PaperFrame], list[PaperFrame], list[Truthful]]:
    """Read what a run needs: frames and video frames to train on, frames to choose the best model by.

    Raises:
        DataError: The data set is none, or a split, an image, a mask or a clip is missing or damaged.
        SettingsError: The best model would be chosen by a test split.
    """
    data = open_data_set(Path(recipe.root), recipe.layout or None)
    train, validation = split_entries(data, recipe)
    frames = [shrink(f.name, f.image, _truth(f.mask), recipe.side_px) for f in map(_read, train)]
    video: list[PaperFrame] = []
    if recipe.video and recipe.video_crops:
        held_back = (recipe.held_back, recipe.held_back_of)
        samples = load_video(Path(recipe.video), recipe.video_stride, held_back, keep_held_back=False)
        video = [shrink(s.name, s.image, s.truth, recipe.side_px) for s in samples if s.has_target]
    return frames, video, [_read(entry) for entry in spread_over(validation, recipe.validation_frames)]


def split_entries(data: DataSet, recipe: LPNetGADataRecipe) -> tuple[list[Entry], list[Entry]]:
    """Divide a data set into what is trained on and what the best model is chosen by.

    Raises:
        DataError: A split is not there, or nothing is left to train on or to choose by.
        SettingsError: The best model would be chosen by a test split.
    """
    if any("test" in split for split in recipe.validation_splits):
        raise SettingsError(
            f"data.validation_splits: expected splits to choose the best model by, found {recipe.validation_splits}; "
            "a model chosen by its test frames cannot be judged by them"
        )
    train, validation = _of(data, recipe.train_splits), _of(data, recipe.validation_splits)
    if not recipe.validation_splits:
        order = np.random.default_rng(_SPLIT_SEED).permutation(len(train))
        kept_back = set(order[: max(1, round(recipe.validation_share * len(train)))].tolist())
        validation = [entry for i, entry in enumerate(train) if i in kept_back]
        train = [entry for i, entry in enumerate(train) if i not in kept_back]
    if not train or not validation:
        raise DataError(f"{data.root}: expected frames to train on and to choose by, found {len(train)} and none")
    return train, validation


def _of(data: DataSet, splits: Sequence[str]) -> list[Entry]:
    known = {entry.split for entry in data.entries}
    if not splits and known == {None}:
        return list(data.entries)
    for split in splits:
        if split not in known:
            there = ", ".join(sorted(name for name in known if name)) or "none"
            raise DataError(
                f"{data.root}: expected the split {split}, found {there}; set data.train_splits and "
                "data.validation_splits (none of the latter holds part of the training frames back)"
            )
    return [entry for entry in data.entries if entry.split in splits]


def _read(entry: Entry) -> Truthful:
    if entry.image is None or entry.mask is None:
        missing = "image" if entry.image is None else "mask"
        raise DataError(f"{entry.name}: expected an image and its mask, found no {missing}; see 'lpnet-rt data check'")
    image = read_grey(entry.image)
    return Truthful(entry.name, image, read_mask(entry.mask, image.shape))


def _truth(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return np.where(mask, 255, 0).astype(np.uint8)
