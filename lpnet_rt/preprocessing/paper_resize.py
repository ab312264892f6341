"""The rule ``paper-resize``: the whole frame resized to one small square, and the scores resized back."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from lpnet_rt.frames import GreyImage
from lpnet_rt.models.card import InputRule
from lpnet_rt.preprocessing.unit_range import stretched, unit_range

__all__ = ["prepare", "resized", "restore"]


def prepare(image: GreyImage, rule: InputRule) -> NDArray[np.float32]:
    """See :func:`lpnet_rt.preprocessing.rules.prepare`."""
    return resized(image, (rule.side_px, rule.side_px))[None, None]


def restore(scores: NDArray[np.float32], size_hw: tuple[int, int], rule: InputRule) -> NDArray[np.float32]:
    """See :func:`lpnet_rt.preprocessing.rules.restore`."""
    small = stretched(scores[0, 0]) if rule.stretch else scores[0, 0]
    height, width = size_hw
    whole: NDArray[np.float32] = _sampling(small.shape[0], height) @ small @ _sampling(small.shape[1], width).T
    return whole


def resized(image: GreyImage, size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Resize counts bilinearly and scale them to 0..1.

    The paper resizes the 8-bit picture, rounding included; deeper counts are never rounded.

    Args:
        image: (H, W) uint8 or uint16, raw counts.
        size_hw: Height and width of the result, in pixels.

    Returns:
        (*size_hw) float32 in 0..1.
    """
    size_wh = (size_hw[1], size_hw[0])
    if image.dtype == np.uint8:
        return unit_range(np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_LINEAR), np.uint8))
    return np.asarray(cv2.resize(unit_range(image), size_wh, interpolation=cv2.INTER_LINEAR), np.float32)


def _sampling(inputs: int, outputs: int) -> NDArray[np.float32]:
    """Return the published evaluation's bilinear weights, (outputs, inputs), sampled at i * inputs / outputs."""
    position = np.arange(outputs)[:, None] * (inputs / outputs)
    weights: NDArray[np.float32] = np.maximum(1 - np.abs(position - np.arange(inputs)[None, :]), 0).astype(np.float32)
    return weights
