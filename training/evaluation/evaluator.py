"""Evaluation: everything that is measured of a detector on a set of frames, and the accumulator that makes it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from lpnet_rt.frames import GreyImage
from lpnet_rt.training.evaluation.components import BoolMask, Prediction
from lpnet_rt.training.evaluation.error_examples import ErrorCollector, ErrorExample
from lpnet_rt.training.evaluation.field_metrics import (
    EmptyFrameAccumulator,
    EmptyFrameMetrics,
    FieldAccumulator,
    FieldMetrics,
    rate_bound,
    ratio,
)
from lpnet_rt.training.evaluation.operating import OperatingAccumulator, OperatingCurve, OperatingPoint
from lpnet_rt.training.evaluation.paper_metrics import (
    PAPER_THRESHOLDS,
    PLAIN,
    PUBLISHED,
    PaperAccumulator,
    PaperMetrics,
)

__all__ = ["Evaluation", "Evaluator", "FrameRow", "OperatorMetrics", "RatePoint", "to_json"]


@dataclass(frozen=True, slots=True)
class FrameRow:
    """One frame at the evaluation's threshold.

    Attributes:
        stem: Name of the image.
        targets: True components.
        matched: Those that were found.
        false_components: Predicted components without a target.
        iou: Intersection over union of the frame, None where it has neither truth nor prediction.
    """

    stem: str
    targets: int
    matched: int
    false_components: int
    iou: float | None


@dataclass(frozen=True, slots=True)
class RatePoint:
    """The best threshold for a false-alarm rate.

    Attributes:
        false_per_empty_frame: The rate that was asked for, detections per target-free frame.
        best: Where the most targets are found at that rate or under; None where no threshold is quiet enough.
        shown: Whether there are enough target-free frames to show such a rate: with fewer, a detector that is silent on
            all of them may still exceed it.
    """

    false_per_empty_frame: float
    best: OperatingPoint | None
    shown: bool


@dataclass(frozen=True, slots=True)
class OperatorMetrics:
    """What an operator asks.

    Attributes:
        empty_frames: Measures over the target-free frames, at the evaluation's threshold.
        rate_hz: Frames per second that the hourly figure is for.
        false_per_hour: False detections per hour on target-free frames.
        least_rate_shown: Lowest rate that so many target-free frames can show, with 95 % confidence and none false;
            None without such frames.
        pd_at_rate: Pd at given false-alarm rates, each at its own best threshold.
    """

    empty_frames: EmptyFrameMetrics
    rate_hz: float
    false_per_hour: float | None
    least_rate_shown: float | None
    pd_at_rate: tuple[RatePoint, ...]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything that is measured; docs/metrics.md defines each figure.

    Attributes:
        judged: What was evaluated: a model's name or a folder of predictions.
        threshold: Score that a detection's peak reaches, in ``field``, ``operator`` and ``frames``.
        field: mIoU, nIoU, Pd, Fa.
        operator: False detections on target-free frames, Pd at given rates.
        curve: Pd and false alarms over thresholds.
        paper_published: The paper's metrics with the published evaluator's quirks.
        paper_plain: The same without, target-free frames included.
        frames: One row per frame.
        misses: Pictures of missed targets, the largest.
        false_alarms: Pictures of false detections, those with the highest scores.
    """

    judged: str
    threshold: float
    field: FieldMetrics
    operator: OperatorMetrics
    curve: OperatingCurve
    paper_published: PaperMetrics
    paper_plain: PaperMetrics
    frames: tuple[FrameRow, ...]
    misses: tuple[ErrorExample, ...]
    false_alarms: tuple[ErrorExample, ...]


class Evaluator:
    """Takes frames one at a time and keeps no more of them than the pictures of the worst errors."""

    def __init__(self, judged: str, threshold: float = 0.5, rate_hz: float = 30.0) -> None:
        self._judged = judged
        self._rate_hz = rate_hz
        self._field = FieldAccumulator(threshold)
        self._empty = EmptyFrameAccumulator(threshold)
        self._operating = OperatingAccumulator()
        self._paper = PaperAccumulator(PAPER_THRESHOLDS, (PUBLISHED, PLAIN))
        self._errors = ErrorCollector(threshold)
        self._frames: list[FrameRow] = []

    def add(self, stem: str, image: GreyImage, prediction: Prediction, true: BoolMask) -> None:
        """Take one frame.

        Args:
            stem: Its name.
            image: (H, W) raw counts, for the pictures.
            prediction: (H, W) mask or score map.
            true: (H, W) bool.

        Raises:
            DataError: The sizes differ or the prediction cannot be read as scores.
        """
        outcome = self._field.add(prediction, true)
        if not outcome.targets:
            self._empty.add_count(outcome.false_components)
        self._operating.add(prediction, true)
        self._paper.add(prediction, true)
        self._errors.add(stem, image, prediction, np.asarray(true, np.bool_))
        union_px = outcome.predicted_px + outcome.true_px - outcome.both_px
        iou = ratio(outcome.both_px, union_px)
        self._frames.append(FrameRow(stem, outcome.targets, outcome.matched, outcome.false_components, iou))

    def result(self, false_per_empty_frame: Sequence[float] = (0.01, 0.1, 0.3, 1.0)) -> Evaluation:
        """Return everything measured so far.

        Args:
            false_per_empty_frame: False-alarm rates at which Pd is wanted, detections per target-free frame.
        """
        empty, curve = self._empty.result(), self._operating.result()
        min_rate = rate_bound(0, empty.frames)
        return Evaluation(
            judged=self._judged,
            threshold=self._field.threshold,
            field=self._field.result(),
            operator=OperatorMetrics(
                empty_frames=empty,
                rate_hz=self._rate_hz,
                false_per_hour=empty.false_per_hour(self._rate_hz),
                least_rate_shown=min_rate,
                pd_at_rate=tuple(
                    RatePoint(rate, curve.best_at(rate), shown=min_rate is not None and min_rate <= rate)
                    for rate in false_per_empty_frame
                ),
            ),
            curve=curve,
            paper_published=self._paper.result(PUBLISHED),
            paper_plain=self._paper.result(PLAIN),
            frames=tuple(self._frames),
            misses=self._errors.misses,
            false_alarms=self._errors.false_alarms,
        )


def to_json(evaluation: Evaluation) -> bytes:
    """Return the figures as indented JSON; undefined ones are null, and the pictures are left out."""
    pictures = {"misses", "false_alarms"}
    figures = {
        entry.name: getattr(evaluation, entry.name)
        for entry in dataclasses.fields(evaluation)
        if entry.name not in pictures
    }
    return msgspec.json.format(msgspec.json.encode({"format": "lpnet-rt evaluation 1", **figures}), indent=2)
