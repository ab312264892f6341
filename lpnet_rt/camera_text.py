"""Find the text that a camera writes into its own picture, to offer it as ignore zones.

Text differs from the scene in two ways: its contrast with what is around it lasts while the scene moves, and it changes
from dark to bright and back many times along a row. Both are needed, so nothing is found where the scene stands still:
there, a fence has them, too. Numbers that change all the time are not found.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lpnet_rt.frames import GreyImage
from lpnet_rt.settings.zones import ZoneSettings

__all__ = ["TextFinder", "TextFindings"]

_MIN_CONTRAST = 10 / 255  # of the range of counts: fainter text misleads no detector
_MIN_LASTING = 4.0  # mean contrast over its standard deviation in time
_MAX_LASTING_SHARE = 0.05  # of the frame; where more of it lasts, the scene stands still
_MIN_CHANGES = 6  # along a row, from dark to bright or back: some two characters
_MIN_QUIET = 0.95  # deviation in time around a row over that of its strokes
_MIN_HEIGHT_PX, _MIN_WIDTH_PX = 5, 8
_MIN_ASPECT = 1.5
_MAX_HEIGHT, _MAX_WIDTH = 0.12, 0.6  # of the frame's
_GAP_PX = 13  # between characters of a row
_RING_PX = 8
_MARGIN_PX = 4  # of a proposed zone
# Sizes in pixels are for frames of up to this width, and grow with wider ones.
_REFERENCE_W = 330


@dataclass(frozen=True, slots=True)
class TextFindings:
    """What looks like text.

    Attributes:
        boxes_xyxy: (N, 4) int32, pixel indices; x2 and y2 are exclusive.
        stands_still: The scene does not move enough to tell text from it; there are no boxes.
    """

    boxes_xyxy: NDArray[np.int32]
    stands_still: bool

    def zones(self, source: str, size_hw: tuple[int, int]) -> list[ZoneSettings]:
        """The boxes as ignore zones, with a margin of 4 pixels, kept inside the frame.

        Args:
            source: Name of the source.
            size_hw: Height and width of the frame, pixels.
        """
        height, width = size_hw
        zones = []
        for number, (x1, y1, x2, y2) in enumerate(self.boxes_xyxy.tolist(), start=1):
            left, right = max(x1 - _MARGIN_PX, 0), min(x2 - 1 + _MARGIN_PX, width - 1)
            top, bottom = max(y1 - _MARGIN_PX, 0), min(y2 - 1 + _MARGIN_PX, height - 1)
            points = ((left, top), (right, top), (right, bottom), (left, bottom))
            zones.append(ZoneSettings(points=points, name=f"text-{number}", source=source))
        return zones


class TextFinder:
    """Watches frames of one size, and tells where text is; a few sums over all frames are kept, no frame."""

    def __init__(self, size_hw: tuple[int, int]) -> None:
        """Start without a frame.

        Args:
            size_hw: Height and width of the frames, pixels.
        """
        self.size_hw = size_hw
        self.count = 0
        self._scale = max(1.0, size_hw[1] / _REFERENCE_W)
        self._span = 255.0
        self._sums = np.zeros((4, *size_hw))  # of contrast, its square, counts, their square

    def add(self, image: GreyImage) -> None:
        """Watch a frame.

        Args:
            image: (H, W) uint8 or uint16, raw counts.
        """
        counts = image.astype(np.float32)
        if image.dtype != np.uint8:
            low, high = np.percentile(counts[::4, ::4], (0.5, 99.8))
            self._span = max(float(high - low), 64.0) if self.count == 0 else self._span
        contrast = counts - cv2.blur(counts, (self._px(11), self._px(11)))
        for total, value in zip(self._sums, (contrast, contrast**2, counts, counts**2), strict=True):
            total += value
        self.count += 1

    def find(self) -> TextFindings:
        """Tell where text is in the frames so far; nowhere before the second frame."""
        mean = self._sums / max(self.count, 1)
        contrast = mean[0]
        contrast_deviation = np.sqrt(np.maximum(mean[1] - mean[0] ** 2, 0))
        deviation = np.sqrt(np.maximum(mean[3] - mean[2] ** 2, 0))
        sign = np.sign(contrast) * (np.abs(contrast) >= _MIN_CONTRAST * self._span)
        lasting = (sign != 0) & (np.abs(contrast) >= _MIN_LASTING * contrast_deviation)
        if self.count < 2 or lasting.mean() > _MAX_LASTING_SHARE:
            return TextFindings(np.zeros((0, 4), np.int32), stands_still=True)
        kernel = np.ones((self._px(3), self._px(_GAP_PX)), np.uint8)
        joined = cv2.morphologyEx(lasting.astype(np.uint8), cv2.MORPH_CLOSE, kernel)
        boxes = cv2.connectedComponentsWithStats(joined, connectivity=8)[2][1:, :4]
        boxes = np.hstack((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]))
        found = [box for box in boxes if self._is_text(box, sign, lasting, deviation)]
        return TextFindings(np.array(found, np.int32).reshape(-1, 4), stands_still=False)

    def _is_text(
        self,
        box_xyxy: NDArray[np.int32],
        sign: NDArray[np.float64],
        lasting: NDArray[np.bool_],
        deviation: NDArray[np.float64],
    ) -> bool:
        x1, y1, x2, y2 = box_xyxy.tolist()
        height, width = y2 - y1, x2 - x1
        if height < _MIN_HEIGHT_PX or height > _MAX_HEIGHT * self.size_hw[0]:
            return False
        if width < max(_MIN_WIDTH_PX, _MIN_ASPECT * height) or width > _MAX_WIDTH * self.size_hw[1]:
            return False
        inside = np.s_[y1:y2, x1:x2]
        changes = sorted(_changes(row) for row in sign[inside])
        if np.median(changes[-max(1, height // 2) :]) < _MIN_CHANGES:
            return False
        ring_px = self._px(_RING_PX)
        around = np.s_[max(0, y1 - ring_px) : y2 + ring_px, max(0, x1 - ring_px) : x2 + ring_px]
        surrounding = ~lasting
        surrounding[inside] = False
        if not surrounding[around].any():
            return False
        strokes = np.median(deviation[inside][lasting[inside]])
        return bool(np.median(deviation[around][surrounding[around]]) >= _MIN_QUIET * strokes)

    def _px(self, size: int) -> int:
        """A size in pixels for frames of this width, odd where it was."""
        scaled = round(size * self._scale)
        return scaled + 1 if size % 2 and scaled % 2 == 0 else scaled


def _changes(signs: NDArray[np.float64]) -> int:
    """How often a row turns from dark to bright or back; what is neither is passed over."""
    present = signs[signs != 0]
    return int((present[1:] != present[:-1]).sum())
