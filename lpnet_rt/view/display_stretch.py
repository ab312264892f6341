"""Stretch raw counts to 8 bits for display."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lpnet_rt.frames import GreyImage

__all__ = ["display_stretch"]


def display_stretch(image: GreyImage) -> NDArray[np.uint8]:
    """Return an 8-bit picture for display; the model does not use it.

    An 8-bit frame is returned unchanged. A deeper one is stretched between its 0.5 and 99.8 percentiles, at least
    64 counts apart, measured on every fourth row and column.

    Args:
        image: (H, W) uint8 or uint16.

    Returns:
        (H, W) uint8.
    """
    if image.dtype == np.uint8:
        return image  # type: ignore[return-value]
    low, high = np.percentile(image[::4, ::4], (0.5, 99.8))
    span = max(float(high - low), 64.0)
    scale = 255.0 / span
    stretched = np.clip((image.astype(np.float32) - np.float32(low)) * np.float32(scale), 0.0, 255.0)
    picture: NDArray[np.uint8] = stretched.astype(np.uint8)
    return picture
