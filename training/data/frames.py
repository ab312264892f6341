"""LabelledFrame: one frame of any data set, at the depth that it was recorded in, with its truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from lpnet_rt.frames import GreyImage
from lpnet_rt.preprocessing.frame_and_local import STD_FLOOR_8BIT, STD_FLOOR_RAW
from lpnet_rt.training.evaluation.components import IGNORED_RADIUS_PX

__all__ = ["IGNORE", "Boxes", "LabelledFrame", "Points", "Role", "Truth"]

IGNORE = 128
"""Value of a truth mask where pixels count neither as target nor as background."""

Boxes = NDArray[np.float64]
Points = NDArray[np.float64]
Role = Literal["targets", "target-free", "video"]

_BOX_MARGIN_PX = 2
_MIN_CONTRAST_8BIT = 3.0


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known of the targets of one frame.

    Coordinates are pixels; the centre of the first pixel is (0, 0).

    Attributes:
        mask: (H, W) uint8: 255 target, 0 background, ``IGNORE`` neither.
        boxes_xywh: (N, 4) float64, boxes that were drawn by hand: top left corner, width, height. Empty where the truth
            is a pixel mask.
        ignored_xy: (N, 2) float64, places at which what is found counts neither way.
    """

    mask: NDArray[np.uint8]
    boxes_xywh: Boxes
    ignored_xy: Points

    @classmethod
    def from_mask(cls, mask: GreyImage | NDArray[np.bool_]) -> Truth:
        """Take a pixel mask, (H, W); anything but 0 is a target."""
        return cls(np.where(mask != 0, np.uint8(255), np.uint8(0)), np.zeros((0, 4)), np.zeros((0, 2)))

    @classmethod
    def from_boxes(cls, image: GreyImage, boxes_xywh: Boxes, ignored_xy: Points | None = None) -> Truth:
        """Draw a mask from loose boxes: pixels over half the contrast of the bright blob in the middle of each box.

        The rest of a box, and two pixels around it, is ignored; so is a whole box in which no blob stands out, and what
        lies within 10 pixels of an ignored place.

        Args:
            image: (H, W) uint8 or uint16, raw counts.
            boxes_xywh: (N, 4).
            ignored_xy: (N, 2), or None.
        """
        mask = np.zeros(image.shape, np.uint8)
        smooth = np.asarray(cv2.GaussianBlur(image, (3, 3), 0.8)).astype(np.float32)
        for box in boxes_xywh:
            _draw_box(mask, image, smooth, box)
        ignored = np.zeros((0, 2)) if ignored_xy is None else ignored_xy
        ys, xs = np.ogrid[: image.shape[0], : image.shape[1]]
        for x, y in ignored:
            near = (xs - x) ** 2 + (ys - y) ** 2 <= IGNORED_RADIUS_PX**2
            mask[near & (mask == 0)] = IGNORE
        return cls(mask, boxes_xywh, ignored)

    @property
    def has_target(self) -> bool:
        """Whether any pixel is a target's."""
        return bool((self.mask == 255).any())


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledFrame:
    """One frame with its truth, and what it is for.

    Attributes:
        name: For messages.
        image: (H, W) uint8 or uint16, raw counts at the depth of the file.
        truth: Of the same size.
        role: What it is for: ``targets`` or ``target-free`` for single images, ``video`` for frames of clips.
        bit_depth: Significant bits of a count: 8 for uint8, 9 to 16 for uint16.
        source: Name of the data set.
        licence: Licence of the frame as far as it is known.
        clip: Name of the clip, or None for a single image.
        index: Number of the frame in its clip, from 0; 0 for a single image.
    """

    name: str
    image: GreyImage
    truth: Truth
    role: Role = "targets"
    bit_depth: int = 8
    source: str = ""
    licence: str = ""
    clip: str | None = None
    index: int = 0

    def __post_init__(self) -> None:
        image, mask = self.image, self.truth.mask
        if image.ndim != 2 or image.dtype not in (np.uint8, np.uint16) or mask.shape != image.shape:
            found = f"found {image.shape} {image.dtype} and a mask of {mask.shape}"
            raise ValueError(f"{self.name}: expected (H, W) uint8 or uint16 and a mask of its size, {found}")
        if not (self.bit_depth == 8 if image.dtype == np.uint8 else 8 < self.bit_depth <= 16):
            raise ValueError(f"{self.name}: expected the bit depth of {image.dtype}, found {self.bit_depth}")


def _draw_box(mask: NDArray[np.uint8], image: GreyImage, smooth: NDArray[np.float32], box_xywh: Boxes) -> None:
    """Draw the target of one box into a mask."""
    height, width = image.shape
    x, y, w, h = box_xywh
    x1, y1 = max(0, round(x) - _BOX_MARGIN_PX), max(0, round(y) - _BOX_MARGIN_PX)
    x2, y2 = min(width, round(x + w) + _BOX_MARGIN_PX), min(height, round(y + h) + _BOX_MARGIN_PX)
    if x2 - x1 < 4 or y2 - y1 < 4:
        return
    window, region = smooth[y1:y2, x1:x2], mask[y1:y2, x1:x2]
    region[region == 0] = IGNORE
    border = np.concatenate((window[0], window[-1], window[:, 0], window[:, -1]))
    background, spread = float(np.median(border)), float(np.subtract(*np.percentile(border, (84, 16)))) / 2
    skip_y, skip_x = window.shape[0] // 4, window.shape[1] // 4
    inner = window[skip_y:-skip_y, skip_x:-skip_x]
    peak_y, peak_x = np.unravel_index(int(inner.argmax()), inner.shape)
    seed = (int(peak_y) + skip_y, int(peak_x) + skip_x)
    contrast = float(window[seed]) - background
    # Raw counts carry more noise than an 8-bit picture does, as in the floors of a frame's deviation.
    floor = _MIN_CONTRAST_8BIT * (1.0 if image.dtype == np.uint8 else STD_FLOOR_RAW / STD_FLOOR_8BIT)
    if contrast < max(2.5 * spread, floor):
        return
    bright = (image[y1:y2, x1:x2] >= background + contrast / 2).astype(np.uint8)
    bright[seed] = 1
    _, labels = cv2.connectedComponents(bright, connectivity=8)
    region[labels == labels[seed]] = 255
