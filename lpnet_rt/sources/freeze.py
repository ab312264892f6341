"""Detection of frozen pictures and jumps in level: a thermal camera that calibrates or hangs.

Every few minutes a thermal camera closes its shutter to calibrate its offsets: it repeats one picture for 0.5 to 2 s
(some show the shutter instead, a uniform grey), and afterwards the level, sometimes the gain, differs. Tracking must
not count a repeated picture as new evidence, nor take the jump for motion. A camera that hangs repeats its picture
indefinitely, while its stream looks alive.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from lpnet_rt.frames import GreyImage
from lpnet_rt.preprocessing.frame_and_local import STD_FLOOR_8BIT, STD_FLOOR_RAW

__all__ = ["FreezeGuard", "Verdict"]

Verdict = Literal["live", "calibrating", "frozen"]

_GRID_HW = (24, 32)
# Encoders and frame grabbers repeat a picture up to four times in a row (0.13 s at 30 frames/s) in the measured clips;
# a shutter is closed for at least 0.5 s.
_STILL_S = 0.25
_STILL_FRAMES = 4
# Key frames refresh an encoded still picture, so some of its frames differ slightly.
_SHARE_S = 0.5
_STILL_SHARE = 0.5
# A jump in level, in standard deviations of the scene, or in gain, as a factor. Between consecutive frames, 99.9 % of
# the clips stay under 0.11 and 1.10.
_LEVEL_SPREADS = 0.2
_GAIN_LOG = math.log(1.15)
# Correlation of two pictures of the same scene at another scale; a jump of twice the size needs less.
_KEPT_CORRELATION = 0.95
_NEARLY_KEPT_CORRELATION = 0.9
_SAME_SIGN = 0.9
# Spread of a shutter's uniform grey, as a share of the spread before; the scene is back at half of it.
_FLAT_SHARE = 0.3
_SCENE_SHARE = 0.5


@dataclass(slots=True)
class _Past:
    """State kept from earlier pictures.

    Attributes:
        image: The latest picture.
        grid: Its counts on the grid.
        t_s: Its time.
        mean: Mean of the grid; NaN before the first picture.
        spread: Standard deviation of the grid.
        repeats: Number of consecutive pictures equal to their predecessor.
        repeats_since_s: Time of the first of them.
        share: Share of repeated pictures, smoothed over 0.5 s.
        still_since_s: Time since which the picture stands still, or None.
        settling: Number of new pictures that must still agree.
        scene_spread: Spread of the scene before the shutter was seen, or None.
        flat_since_s: Time since which the shutter is seen.
    """

    image: GreyImage | None = None
    grid: NDArray[np.generic] = field(default_factory=lambda: np.empty(0))
    t_s: float = 0.0
    mean: float = math.nan
    spread: float = math.nan
    repeats: int = 0
    repeats_since_s: float = 0.0
    share: float = 0.0
    still_since_s: float | None = None
    settling: int = 0
    scene_spread: float | None = None
    flat_since_s: float = 0.0


class FreezeGuard:
    """Compares the pictures of one source with earlier ones."""

    def __init__(self, frozen_after_s: float = 2.5, settle_frames: int = 5) -> None:
        """Start without a picture.

        Args:
            frozen_after_s: A picture that stands still for longer is frozen; longer than a calibration of 0.5 to 2 s.
            settle_frames: Number of new pictures that must agree before a source is live again.
        """
        self._frozen_after_s, self._settle_frames = frozen_after_s, settle_frames
        self._past = _Past()

    def update(self, image: GreyImage, t_s: float) -> Verdict:
        """Judge the next picture.

        Args:
            image: (H, W) uint8 or uint16; kept until the next call and must not change.
            t_s: Capture time, seconds on any monotonic clock.

        Returns:
            ``calibrating`` while the picture stands still, shows a uniform grey, or has just changed in level or gain;
            ``frozen`` if it stands still for too long; else ``live``.
        """
        last = self._past.image
        if last is not None and (last.shape != image.shape or last.dtype != image.dtype):
            self._past = _Past()  # another format; no comparison is possible
            last = None
        past = self._past
        grid = _sample(image)
        repeated = last is not None and np.array_equal(grid, past.grid) and _same(image, last)
        self._note_repeat(repeated, t_s)
        if not repeated:
            jumped = self._has_jumped(grid, t_s)
            past.settling = self._settle_frames if jumped else max(past.settling - 1, 0)
        past.image, past.grid, past.t_s = image, grid, t_s
        if past.still_since_s is not None and t_s - past.still_since_s >= self._frozen_after_s:
            return "frozen"
        # After a shutter pause the pictures settle, as after a jump.
        return "calibrating" if past.still_since_s is not None or past.settling else "live"

    def _note_repeat(self, repeated: bool, t_s: float) -> None:
        """Track how long the picture has stood still."""
        past = self._past
        past.share += (repeated - past.share) * (1 - math.exp(-max(t_s - past.t_s, 0.0) / _SHARE_S))
        if not repeated:
            past.repeats = 0
            if past.still_since_s is not None and past.share < _STILL_SHARE:
                past.still_since_s, past.settling = None, self._settle_frames
            return
        if past.repeats == 0:
            past.repeats_since_s = past.t_s
        past.repeats += 1
        long_s = t_s - past.repeats_since_s
        if past.still_since_s is None and past.repeats >= _STILL_FRAMES and long_s >= _STILL_S:
            past.still_since_s, past.share = past.repeats_since_s, 1.0

    def _has_jumped(self, grid: NDArray[np.generic], t_s: float) -> bool:
        """Return whether level or gain have jumped since the previous picture, or the shutter is seen."""
        past = self._past
        now = grid.astype(np.float32)
        mean, spread = float(now.mean()), float(now.std())
        before_mean, before_spread = past.mean, past.spread
        past.mean, past.spread = mean, spread
        if math.isnan(before_spread):
            return False  # the first picture
        floor = STD_FLOOR_8BIT if grid.dtype == np.uint8 else STD_FLOOR_RAW
        if self._is_flat(spread, before_spread, floor, t_s):
            return True
        level = max(_LEVEL_SPREADS * before_spread, floor)
        gain = abs(math.log(max(spread, floor) / max(before_spread, floor)))
        size = max(abs(mean - before_mean) / level, gain / _GAIN_LOG)
        if size < 1.0:
            return False
        before = past.grid.astype(np.float32)
        covariance = float(np.mean((now - mean) * (before - before_mean)))
        kept = _KEPT_CORRELATION if size < 2.0 else _NEARLY_KEPT_CORRELATION
        if covariance > 0 and covariance >= kept * spread * before_spread:
            return True
        step = now - before
        risen, fallen = np.count_nonzero(step > 0), np.count_nonzero(step < 0)
        return bool(max(risen, fallen) >= _SAME_SIGN * step.size) and abs(float(np.median(step))) >= level

    def _is_flat(self, spread: float, before_spread: float, floor: float, t_s: float) -> bool:
        past = self._past
        if past.scene_spread is None:
            if before_spread < 2 * floor or spread >= _FLAT_SHARE * before_spread:
                return False
            past.scene_spread, past.flat_since_s = before_spread, t_s
            return True
        if spread < _SCENE_SHARE * past.scene_spread and t_s - past.flat_since_s < self._frozen_after_s:
            return True
        past.scene_spread = None  # the scene is back, or this is the scene now
        return True


def _sample(image: GreyImage) -> NDArray[np.generic]:
    """Return the counts on a grid of about 24x32 pixels."""
    rows, columns = (max(side // parts, 1) for side, parts in zip(image.shape, _GRID_HW, strict=True))
    return image[rows // 2 :: rows, columns // 2 :: columns].copy()


def _same(image: GreyImage, other: GreyImage) -> bool:
    return image is other or float(cv2.norm(image, other, cv2.NORM_INF)) == 0.0
