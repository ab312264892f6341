"""Chips, small pictures of a target, as files."""

from __future__ import annotations

import cv2
import numpy as np

from lpnet_rt.frames import GreyImage
from lpnet_rt.tracking.updates import CHIP_PX

__all__ = ["chip_png", "view_png"]

_ENLARGED = 4
_MIN_SPAN = 16.0


def chip_png(chip: GreyImage) -> bytes:
    """Return a chip as PNG, at its own depth."""
    return cv2.imencode(".png", chip)[1].tobytes()


def view_png(chip: GreyImage) -> bytes:
    """Return a chip as 8-bit PNG for people: stretched from its lowest to its highest count, four times as large."""
    low, high = float(chip.min()), float(chip.max())
    grey = np.clip((chip.astype(np.float32) - low) * (255.0 / max(high - low, _MIN_SPAN)), 0, 255).astype(np.uint8)
    side = CHIP_PX * _ENLARGED
    return cv2.imencode(".png", cv2.resize(grey, (side, side), interpolation=cv2.INTER_CUBIC))[1].tobytes()
