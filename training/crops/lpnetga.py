"""What LPNetGA is trained on and chosen by: frames of any data set, cut as the paper cuts them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from lpnet_rt.frames import GreyImage
from lpnet_rt.preprocessing.unit_range import unit_range
from lpnet_rt.training.data.frames import IGNORE, LabelledFrame
from lpnet_rt.training.data.roles import spread_over, training_frames, validation_frames
from lpnet_rt.training.recipes.lpnetga import LPNetGADataRecipe

__all__ = ["PaperCrops", "PaperFrame", "load_frames", "shrink"]


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


def load_frames(recipe: LPNetGADataRecipe) -> tuple[list[PaperFrame], list[PaperFrame], list[LabelledFrame]]:
    """Read what a run needs: images and frames of clips to train on, images to choose the best model by.

    Raises:
        DataError: A data set, a split or a file is missing or damaged.
        SettingsError: The best model would be chosen by a test split.
    """
    images: list[PaperFrame] = []
    video: list[PaperFrame] = []
    for frame in training_frames(recipe):
        small = shrink(frame.name, frame.image, frame.truth.mask, recipe.side_px)
        (video if frame.role == "video" else images).append(small)
    judged = [frame for frame in validation_frames(recipe) if frame.role != "video"]
    return images, video, spread_over(judged, recipe.validation_frames)
