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
_MIN_CONTRAST_SPREADS = 2.5
_BORDER_BLUR_PX = 5


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

        Contrast is against the middle of the box's border or, where nothing stands out from that, as beside the edge of
        a cloud or a roof, against a background that is interpolated from the border.

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
    counts, region = image[y1:y2, x1:x2].astype(np.float32), mask[y1:y2, x1:x2]
    region[region == 0] = IGNORE
    # Raw counts carry more noise than an 8-bit picture does, as in the floors of a frame's deviation.
    floor = _MIN_CONTRAST_8BIT * (1.0 if image.dtype == np.uint8 else STD_FLOOR_RAW / STD_FLOOR_8BIT)
    window = smooth[y1:y2, x1:x2]
    border = _border(window)
    blob = _blob(counts, window, float(np.median(border)), (_spread(border), floor))
    if blob is None:
        # Against the edge of a cloud or a steep sky no level is the background's: what lies between the borders is.
        background = _between_borders(window)
        rest = window - background
        blob = _blob(counts - background, rest, 0.0, (_spread(_border(rest)), floor))
        if blob is not None and (_border(blob.astype(np.float32)).any() or not _stands_out(counts, blob)):
            blob = None  # an edge of the background, not a target
    if blob is not None:
        region[blob] = 255


def _blob(
    counts: NDArray[np.float32], smooth: NDArray[np.float32], background: float, limits: tuple[float, float]
) -> NDArray[np.bool_] | None:
    """The pixels over half the contrast of the brightest place in the middle, or None where nothing stands out.

    Args:
        counts: (H, W) of a box.
        smooth: The same, smoothed.
        background: Level around the target.
        limits: Spread of the background, of which the contrast must be two and a half times, and its least value.
    """
    skip_y, skip_x = smooth.shape[0] // 4, smooth.shape[1] // 4
    inner = smooth[skip_y:-skip_y, skip_x:-skip_x]
    peak_y, peak_x = np.unravel_index(int(inner.argmax()), inner.shape)
    seed = (int(peak_y) + skip_y, int(peak_x) + skip_x)
    contrast = float(smooth[seed]) - background
    if contrast < max(_MIN_CONTRAST_SPREADS * limits[0], limits[1]):
        return None
    bright = (counts >= background + contrast / 2).astype(np.uint8)
    bright[seed] = 1
    _, labels = cv2.connectedComponents(bright, connectivity=8)
    return np.asarray(labels == labels[seed])


def _stands_out(counts: NDArray[np.float32], blob: NDArray[np.bool_]) -> bool:
    """Whether a blob is brighter than what is around it on all four sides: the edge of a cloud is not on one."""
    ring = cv2.dilate(blob.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(np.bool_) & ~blob
    rows, columns = np.nonzero(blob)
    ys, xs = np.nonzero(ring)
    below, right = ys - rows.mean(), xs - columns.mean()
    # Sides are told apart by the diagonals of the blob's box.
    flat = np.abs(below) * (np.ptp(columns) + 1) > np.abs(right) * (np.ptp(rows) + 1)
    sides = (flat & (below < 0), flat & (below >= 0), ~flat & (right < 0), ~flat & (right >= 0))
    around = [float(counts[ys[side], xs[side]].mean()) for side in sides if side.any()]
    return float(counts[blob].mean()) > max(around, default=0.0)


def _border(window: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate((window[0], window[-1], window[:, 0], window[:, -1]))


def _spread(values: NDArray[np.float32]) -> float:
    return float(np.subtract(*np.percentile(values, (84, 16)))) / 2


def _between_borders(window: NDArray[np.float32]) -> NDArray[np.float32]:
    """Interpolate a window from its four borders, smoothed (Coons, 1967)."""
    top, bottom, left, right = (
        cv2.blur(line.reshape(1, -1), (_BORDER_BLUR_PX, 1)).ravel()
        for line in (window[0], window[-1], window[:, 0], window[:, -1])
    )
    down = np.linspace(0.0, 1.0, window.shape[0], dtype=np.float32)[:, None]
    across = np.linspace(0.0, 1.0, window.shape[1], dtype=np.float32)[None]
    corners = (1 - down) * ((1 - across) * top[0] + across * top[-1]) + down * (
        (1 - across) * bottom[0] + across * bottom[-1]
    )
    ruled = (1 - down) * top + down * bottom + (1 - across) * left[:, None] + across * right[:, None]
    return np.asarray(ruled - corners, np.float32)
