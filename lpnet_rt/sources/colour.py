"""How colourful a source's pictures are: a colour palette is no picture of temperatures.

Sources keep grey counts only, so they measure colour where they still have it: in the first pictures, and then in one
of thirty.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["SMALL_WH", "channel_spread", "is_sampled", "shrunk_colour"]

SMALL_WH = (64, 48)
_FIRST, _EVERY = 3, 30


def is_sampled(number: int) -> bool:
    """Return whether a source measures the colour of its picture with this number, from 0."""
    return number < _FIRST or number % _EVERY == 0


def channel_spread(image: NDArray[np.uint8] | NDArray[np.uint16]) -> float:
    """Return the mean over the pixels of the largest minus the smallest channel, as a share of full scale, 0 to 1.

    Args:
        image: (H, W, C) colour counts; an alpha channel must be left out.
    """
    spread = image.max(axis=2).astype(np.float32) - image.min(axis=2)
    return float(spread.mean()) / float(np.iinfo(image.dtype).max)


def shrunk_colour(image: NDArray[np.generic]) -> float | None:
    """Return the :func:`channel_spread` of a camera's picture, from a small copy; None for grey ones.

    Args:
        image: (H, W, 3) uint8 or uint16; any other shape or type is grey.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype not in (np.uint8, np.uint16):
        return None
    return channel_spread(cv2.resize(image, SMALL_WH, interpolation=cv2.INTER_AREA))  # type: ignore[arg-type]
