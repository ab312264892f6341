"""The most telling errors of an evaluation: small pictures of misses and false alarms."""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lpnet_rt.frames import GreyImage
from lpnet_rt.training.evaluation.components import (
    BoolMask,
    Components,
    Prediction,
    components,
    detected,
    match,
    score_map,
)
from lpnet_rt.training.evaluation.field_metrics import MATCH_LIMIT_PX

__all__ = ["ErrorCollector", "ErrorExample"]

_SIDE_PX = 48
_FALSE_ALARMS_PER_FRAME = 3
# A component this close to a target is a part of its answer, such as one half of a target that was split: no false
# alarm to look at, though the metrics count it.
_PART_OF_TARGET_PX = 3


@dataclass(frozen=True, slots=True)
class ErrorExample:
    """One miss or one false alarm, cut out of its frame.

    Attributes:
        stem: Name of the image.
        centre_xy: Centroid of the component in the frame, pixels.
        score: Highest score inside the component, 0..1.
        area_px: Pixels of the component.
        image: (h, w) raw counts around it.
        predicted: (h, w) bool, what was predicted there.
        true: (h, w) bool, what is true there.
    """

    stem: str
    centre_xy: tuple[float, float]
    score: float
    area_px: int
    image: GreyImage
    predicted: BoolMask
    true: BoolMask


class ErrorCollector:
    """Keeps the misses of the largest targets and the false alarms with the highest scores."""

    def __init__(self, threshold: float, limit: int = 12) -> None:
        self.threshold = threshold
        self._limit = limit
        self._tie = itertools.count()
        self._misses: list[tuple[float, int, ErrorExample]] = []
        self._false_alarms: list[tuple[float, int, ErrorExample]] = []

    def add(self, stem: str, image: GreyImage, prediction: Prediction, true: BoolMask) -> None:
        """Take one frame; image, prediction and truth are (H, W)."""
        score = score_map(prediction)
        predicted = detected(score, self.threshold)
        found, wanted = components(predicted), components(true)
        partners, matched = match(found.centroid_xy, wanted.centroid_xy, MATCH_LIMIT_PX)
        layers = (image, predicted, true)
        for i in np.setdiff1d(np.arange(len(wanted)), matched):
            example = _cut(stem, wanted.centroid_xy[i], score[wanted.labels == i + 1], layers)
            self._keep(self._misses, float(example.area_px), example)
        # The strongest few of a frame: one frame full of clutter must not hide what fails in all others.
        unmatched = np.setdiff1d(np.arange(len(found)), [*partners, *_near_targets(found, true)])
        peaks = _peaks(found.labels, score, len(found))[unmatched]
        for i in unmatched[np.argsort(-peaks, kind="stable")[:_FALSE_ALARMS_PER_FRAME]]:
            example = _cut(stem, found.centroid_xy[i], score[found.labels == i + 1], layers)
            self._keep(self._false_alarms, example.score, example)

    @property
    def misses(self) -> tuple[ErrorExample, ...]:
        """Missed targets, largest first."""
        return tuple(example for _, _, example in sorted(self._misses, key=lambda entry: (-entry[0], -entry[1])))

    @property
    def false_alarms(self) -> tuple[ErrorExample, ...]:
        """Predicted components that match no target and lie over 3 pixels from all, highest score first."""
        return tuple(example for _, _, example in sorted(self._false_alarms, key=lambda entry: (-entry[0], -entry[1])))

    def _keep(self, heap: list[tuple[float, int, ErrorExample]], rank: float, example: ErrorExample) -> None:
        # The tie-breaker falls, so that of equals the first seen stays.
        heapq.heappush(heap, (rank, -next(self._tie), example))
        if len(heap) > self._limit:
            heapq.heappop(heap)


def _near_targets(found: Components, true: BoolMask) -> NDArray[np.int64]:
    """Indices of the components that have a pixel on a target or within a few pixels of one."""
    side = 2 * _PART_OF_TARGET_PX + 1
    near = cv2.dilate(np.ascontiguousarray(true).view(np.uint8), np.ones((side, side), np.uint8)) > 0
    touched = np.unique(found.labels[near]).astype(np.int64)
    return touched[touched > 0] - 1


def _peaks(labels: NDArray[np.int32], score: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """(count,) highest score of each component."""
    peaks = np.zeros(count, np.float32)
    inside = labels > 0
    np.maximum.at(peaks, labels[inside] - 1, score[inside])
    return peaks


def _cut(
    stem: str,
    centre_xy: NDArray[np.float64],
    scores: NDArray[np.float32],
    layers: tuple[GreyImage, BoolMask, BoolMask],
) -> ErrorExample:
    image, predicted, true = layers
    height, width = image.shape
    left = int(np.clip(round(float(centre_xy[0])) - _SIDE_PX // 2, 0, max(0, width - _SIDE_PX)))
    top = int(np.clip(round(float(centre_xy[1])) - _SIDE_PX // 2, 0, max(0, height - _SIDE_PX)))
    window = (slice(top, top + _SIDE_PX), slice(left, left + _SIDE_PX))
    return ErrorExample(
        stem=stem,
        centre_xy=(float(centre_xy[0]), float(centre_xy[1])),
        score=float(scores.max()),
        area_px=len(scores),
        image=image[window].copy(),
        predicted=predicted[window].copy(),
        true=true[window].copy(),
    )
