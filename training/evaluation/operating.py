"""What an operator asks: how many targets are found at a false-alarm rate that can be lived with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lpnet_rt.detections import body_mask
from lpnet_rt.training.evaluation.components import BoolMask, Prediction, score_map, truth_mask
from lpnet_rt.training.evaluation.field_metrics import (
    EmptyFrameAccumulator,
    EmptyFrameMetrics,
    FieldAccumulator,
    FieldMetrics,
    FrameOutcome,
    Truth,
    frame_outcome,
    ratio,
)

__all__ = ["OPERATING_THRESHOLDS", "OperatingAccumulator", "OperatingCurve", "OperatingPoint"]

# Finer at both ends, where scores of a trained detector gather: a sigmoid's last steps to 1 are steps of its logit.
OPERATING_THRESHOLDS: tuple[float, ...] = (
    *(i / 100 for i in range(1, 5)),
    *(i / 20 for i in range(1, 20)),
    *(i / 100 for i in range(96, 100)),
    *(0.993, 0.995, 0.997, 0.998, 0.999, 0.9995, 0.9998, 0.9999, 1.0),
)


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """One threshold of the curve.

    Attributes:
        threshold: Score that a detection's peak reaches.
        pd: Targets found / targets.
        fa_per_million: Pixels of false components per million pixels, over all frames.
        false_per_target_frame: False components per frame, over frames with targets.
        false_per_empty_frame: False components per frame, over target-free frames; None where there are none.
        false_per_frame: False components per frame, over all frames.
        miou: Pooled IoU over all frames.
    """

    threshold: float
    pd: float | None
    fa_per_million: float | None
    false_per_target_frame: float | None
    false_per_empty_frame: float | None
    false_per_frame: float | None
    miou: float | None


@dataclass(frozen=True, slots=True)
class OperatingCurve:
    """The receiver operating characteristic by targets: Pd and false alarms at every threshold."""

    points: tuple[OperatingPoint, ...]

    def best_at(self, false_per_empty_frame: float) -> OperatingPoint | None:
        """Return the point with the highest Pd whose rate on target-free frames is at most the given one.

        Args:
            false_per_empty_frame: False detections per target-free frame that can be lived with.

        Returns:
            Of equal Pd the point with the fewest false alarms; None where no threshold is quiet enough, or where
            the set has no target or no target-free frame.
        """
        quiet = [
            (point.pd, -point.false_per_empty_frame, point)
            for point in self.points
            if point.pd is not None
            and point.false_per_empty_frame is not None
            and point.false_per_empty_frame <= false_per_empty_frame
        ]
        return max(quiet, key=lambda entry: entry[:2])[2] if quiet else None


class OperatingAccumulator:
    """Adds frames up to the field's metrics at every threshold, target-free frames apart."""

    def __init__(self, thresholds: Sequence[float] = OPERATING_THRESHOLDS) -> None:
        self.thresholds = tuple(thresholds)
        self._with_target = [FieldAccumulator(threshold) for threshold in self.thresholds]
        self._all = [FieldAccumulator(threshold) for threshold in self.thresholds]
        self._empty = [EmptyFrameAccumulator(threshold) for threshold in self.thresholds]

    def add(self, prediction: Prediction, truth: Truth) -> None:
        """Take one frame.

        Args:
            prediction: (H, W) mask or score map, see :func:`lpnet_rt.training.evaluation.components.score_map`.
            truth: (H, W) bool or uint8; anything but 0 is target.

        Raises:
            DataError: The sizes differ or the prediction cannot be read as scores.
        """
        true = truth_mask(truth, prediction.shape)
        scores = score_map(prediction)
        before: tuple[BoolMask, FrameOutcome] | None = None
        for i, threshold in enumerate(self.thresholds):
            predicted = body_mask(scores, threshold)
            # From one threshold to the next often nothing changes.
            if before is None or not np.array_equal(before[0], predicted):
                before = (predicted, frame_outcome(predicted, true))
            outcome = before[1]
            self._all[i].add_outcome(outcome)
            if outcome.targets:
                self._with_target[i].add_outcome(outcome)
            else:
                self._empty[i].add_count(outcome.false_components)

    def result(self) -> OperatingCurve:
        """Return the curve of what was added so far."""
        metrics = zip(self._all, self._with_target, self._empty, strict=True)
        return OperatingCurve(tuple(_point(a.result(), w.result(), e.result()) for a, w, e in metrics))


def _point(whole: FieldMetrics, with_target: FieldMetrics, empty: EmptyFrameMetrics) -> OperatingPoint:
    return OperatingPoint(
        threshold=whole.threshold,
        pd=whole.pd,
        fa_per_million=whole.fa_per_million,
        false_per_target_frame=ratio(with_target.false_components, with_target.images),
        false_per_empty_frame=empty.false_per_frame,
        false_per_frame=ratio(whole.false_components, whole.images),
        miou=whole.miou,
    )
