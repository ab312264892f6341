"""A shutter calibration and the time after it, until the picture can be believed again."""

from __future__ import annotations

import cv2
import numpy as np

from lpnet_rt.frames import GreyImage

__all__ = ["Settling"]

_AGREEING_FRAMES = 5
_LEVEL_SHARE = 0.1  # of a frame's standard deviation
_LEVEL_COUNTS = 1.0
_WARY_S = 2.0


class Settling:
    """Whether a calibration is on, and how many frames in a row have agreed since it ended."""

    def __init__(self) -> None:
        self.calibrating = False
        self._missing = 0  # frames that must agree yet
        self._last: tuple[GreyImage, float] | None = None
        self._wary_s = 0.0

    @property
    def wary(self) -> bool:
        """Whether a calibration ended less than two seconds ago: scores may have jumped with the level."""
        return self._wary_s > 0.0

    def set_calibrating(self, active: bool) -> None:
        """Begin or end a calibration."""
        if self.calibrating and not active:
            self._missing, self._last, self._wary_s = _AGREEING_FRAMES, None, _WARY_S
        self.calibrating = active

    def steady(self, image: GreyImage, dt_s: float) -> bool:
        """Take in a frame outside a calibration; whether enough frames in a row agree.

        A frame agrees with the one before it when its mean is the same but for a tenth of its standard deviation, and
        it is not that very picture again.

        Args:
            image: (H, W) raw counts.
            dt_s: Seconds since the last frame.
        """
        self._wary_s = max(self._wary_s - dt_s, 0.0)
        if not self._missing:
            return True
        mean, std = (float(v[0, 0]) for v in cv2.meanStdDev(image))
        last, self._last = self._last, (image, mean)
        if last is None:
            return False
        near = abs(mean - last[1]) <= max(_LEVEL_SHARE * std, _LEVEL_COUNTS)
        agrees = near and not np.array_equal(image, last[0])
        self._missing = self._missing - 1 if agrees else _AGREEING_FRAMES
        return not self._missing
