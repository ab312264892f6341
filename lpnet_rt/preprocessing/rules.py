"""Input rules: how a frame becomes what a model wants, and how its scores become a score map of the frame.

| rule | the model is given | its scores |
| --- | --- | --- |
| ``frame-and-local`` | the frame at native resolution, on two scales, padded | cropped |
| ``paper-resize`` | the whole frame resized to one small square, 0..1 | resized back |
| ``paper-tiles`` | overlapping squares of the frame at native resolution, 0..1 | blended without a seam |

The last two are those of the paper's network (Chen et al., TAES 2022) and of its extension to large frames.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from lpnet_rt.frames import GreyImage
from lpnet_rt.models.card import InputRule
from lpnet_rt.preprocessing.frame_and_local import ModelInput, model_input

__all__ = ["prepare", "restore", "unit_range"]

ScoreMap = NDArray[np.float32]

# Counts a raw frame must span before it is stretched to the whole range, so that the noise of an empty frame is not;
# and the percentiles it is stretched between: wide enough that a target of a few pixels is not clipped away.
_SPAN_FLOOR_COUNTS = 64.0
_PERCENTILES = (0.01, 99.99)

_OVERLAP_SHARE = 1 / 3
_MARGIN_SHARE = 1 / 15


def prepare(image: GreyImage, rule: InputRule) -> ModelInput:
    """Make a model's input of a frame.

    Args:
        image: (H, W) uint8 or uint16, raw counts.
        rule: Of the model's card.

    Returns:
        (B, C, h, w) float32, contiguous; B is the number of tiles, else 1.
    """
    if rule.normalisation == "frame-and-local":
        return model_input(image, rule.multiple, rule.least)
    side = rule.side_px
    if rule.normalisation == "paper-tiles":
        return _cut(unit_range(image), side)
    if image.dtype == np.uint8:  # the paper resizes the 8-bit picture, rounding included
        small = unit_range(np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8))
    else:
        small = np.asarray(cv2.resize(unit_range(image), (side, side), interpolation=cv2.INTER_LINEAR), np.float32)
    return small[None, None]


def restore(scores: NDArray[np.float32], size_hw: tuple[int, int], rule: InputRule) -> ScoreMap:
    """Make a frame's score map of a model's scores.

    Args:
        scores: (B, 1, h, w) float32 in 0..1, for what :func:`prepare` made.
        size_hw: H and W of the frame.
        rule: Of the model's card.

    Returns:
        (H, W) float32 in 0..1; may share memory with ``scores``.
    """
    height, width = size_hw
    if rule.normalisation == "frame-and-local":
        return scores[0, 0, :height, :width]
    if rule.normalisation == "paper-tiles":
        score_map = _blend(scores[:, 0], size_hw)
        return _stretched(score_map) if rule.stretch else score_map
    small = _stretched(scores[0, 0]) if rule.stretch else scores[0, 0]
    resized: ScoreMap = _sampling(small.shape[0], height) @ small @ _sampling(small.shape[1], width).T
    return resized


def unit_range(image: GreyImage) -> NDArray[np.float32]:
    """Bring counts to 0..1.

    8-bit counts are divided by 255, as the paper does. Deeper ones, which the paper does not know, are stretched
    between their 0.01 and 99.99 percentiles, at least 64 counts apart, and never rounded to 8 bits.

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


def _stretched(score_map: ScoreMap) -> ScoreMap:
    """The paper's per-image min-max normalisation; a map of one value becomes 0."""
    low, high = float(score_map.min()), float(score_map.max())
    stretched: ScoreMap = (score_map - np.float32(low)) / np.float32(high - low if high > low else 1.0)
    return stretched


def _sampling(inputs: int, outputs: int) -> NDArray[np.float32]:
    """(outputs, inputs): the published evaluation's bilinear weights, sampled at i * inputs / outputs, 0 beyond."""
    place = np.arange(outputs)[:, None] * (inputs / outputs)
    weights: NDArray[np.float32] = np.maximum(1 - np.abs(place - np.arange(inputs)[None, :]), 0).astype(np.float32)
    return weights


def _starts(size_px: int, side_px: int) -> list[int]:
    """First pixel of every tile along one axis: evenly spread, the first and the last flush with the frame's edges."""
    if size_px <= side_px:
        return [0]
    overlap = round(side_px * _OVERLAP_SHARE)
    number = math.ceil((size_px - overlap) / (side_px - overlap))
    return [round(index * (size_px - side_px) / (number - 1)) for index in range(number)]


def _cut(image: NDArray[np.float32], side_px: int) -> ModelInput:
    """(H, W) to (tiles, 1, side, side), row by row; a frame that is smaller has its last row and column repeated."""
    height, width = image.shape
    below, right = max(side_px - height, 0), max(side_px - width, 0)
    if below or right:
        image = np.pad(image, ((0, below), (0, right)), mode="edge")
    corners = [(y, x) for y in _starts(height, side_px) for x in _starts(width, side_px)]
    return np.stack([image[None, y : y + side_px, x : x + side_px] for y, x in corners])


def _blend(maps: NDArray[np.float32], size_hw: tuple[int, int]) -> ScoreMap:
    """(tiles, side, side) to (H, W): weighted means whose weights fall to 0 towards the edges of a tile."""
    side = maps.shape[1]
    height, width = size_hw
    rows, columns = _starts(height, side), _starts(width, side)
    down, across = _weights(height, side, rows), _weights(width, side, columns)
    total = np.zeros((max(height, side), max(width, side)), np.float32)
    for index, tile in enumerate(maps):
        i, j = divmod(index, len(columns))
        window = (slice(rows[i], rows[i] + side), slice(columns[j], columns[j] + side))
        total[window] += tile * down[i][:, None] * across[j][None, :]
    return total[:height, :width]


def _weights(size_px: int, side_px: int, starts: list[int]) -> NDArray[np.float32]:
    """(tiles, side): weights along one axis that add up to 1 over every pixel; a raised cosine where tiles overlap."""
    overlap, margin = round(side_px * _OVERLAP_SHARE), round(side_px * _MARGIN_SHARE)
    inward = np.arange(side_px) + 0.5 - margin
    rise = np.sin(0.5 * math.pi * np.clip(inward / max(overlap - 2 * margin, 0.5), 0, 1)) ** 2
    weights = np.ones((len(starts), side_px))
    weights[1:] *= rise
    weights[:-1] *= rise[::-1]
    places = np.asarray(starts)[:, None] + np.arange(side_px)
    total = np.bincount(places.ravel(), weights.ravel(), minlength=max(size_px, side_px))
    return (weights / total[places]).astype(np.float32)
