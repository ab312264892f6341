"""The rule ``paper-tiles``: overlapping squares of the frame at native resolution, their scores blended."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lpnet_rt.frames import GreyImage
from lpnet_rt.models.card import InputRule
from lpnet_rt.preprocessing.tiles import Span, blending_weights, fuse, split, spread_spans
from lpnet_rt.preprocessing.unit_range import stretched, unit_range

__all__ = ["prepare", "restore"]

_OVERLAP_SHARE = 1 / 3
_MARGIN_SHARE = 1 / 15


def prepare(image: GreyImage, rule: InputRule) -> NDArray[np.float32]:
    """See :func:`lpnet_rt.preprocessing.rules.prepare`."""
    rows, columns = (_spans(size_px, rule.side_px) for size_px in image.shape)
    return np.stack(list(split(unit_range(image)[None], rows, columns)))


def restore(scores: NDArray[np.float32], size_hw: tuple[int, int], rule: InputRule) -> NDArray[np.float32]:
    """See :func:`lpnet_rt.preprocessing.rules.restore`."""
    side = rule.side_px
    overlap, margin = round(side * _OVERLAP_SHARE), round(side * _MARGIN_SHARE)
    rows, columns = (_spans(size_px, side) for size_px in size_hw)
    down, across = (
        blending_weights(spans, size_px, overlap - 2 * margin, margin)
        for spans, size_px in zip((rows, columns), size_hw, strict=True)
    )
    height, width = size_hw
    total = np.zeros((max(height, side), max(width, side)), np.float32)
    fuse(scores[:, 0], total, (rows, columns), (down, across))
    score_map = total[:height, :width]
    return stretched(score_map) if rule.stretch else score_map


def _spans(size_px: int, side_px: int) -> list[Span]:
    return spread_spans(size_px, side_px, round(side_px * _OVERLAP_SHARE))
