"""Counts and scores scaled to 0..1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lpnet_rt.frames import GreyImage

__all__ = ["stretched", "unit_range"]

# Minimum span in counts, so that the noise of an empty frame is not stretched to the full range; and the percentiles
# between which a raw frame is stretched: wide enough that a target of a few pixels is not clipped.
_SPAN_FLOOR_COUNTS = 64.0
_PERCENTILES = (0.01, 99.99)


def unit_range(image: GreyImage) -> NDArray[np.float32]:
    """Scale counts to 0..1.

    8-bit counts are divided by 255, as the paper does. Deeper ones, which the paper does not cover, are
    stretched between their 0.01 and 99.99 percentiles, at least 64 counts apart, and never rounded to 8 bits.

    Args:
        image: (H, W) uint8 or uint16.

    Returns:
        (H, W) float32 in 0..1.
    """
    if image.dtype == np.uint8:
        return image.astype(np.float32) / np.float32(255)
    low, high = np.percentile(image, _PERCENTILES)
    span = max(float(high - low), _SPAN_FLOOR_COUNTS)
    unit: NDArray[np.float32] = np.clip((image.astype(np.float32) - np.float32(low)) / np.float32(span), 0, 1)
    return unit


def stretched(score_map: NDArray[np.float32]) -> NDArray[np.float32]:
    """The paper's min-max normalisation of a score map (H, W) to 0..1; a map of one value becomes 0."""
    low, high = float(score_map.min()), float(score_map.max())
    whole: NDArray[np.float32] = (score_map - np.float32(low)) / np.float32(high - low if high > low else 1.0)
    return whole
