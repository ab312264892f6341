"""The metrics of Chen et al. (TAES 2022) over thresholds, with the quirks of the published evaluator or without.

A predicted component is right if it shares a pixel with a true one and the middles of their bounding boxes lie within
4 pixels. Several predicted components may be right about one target, so that Pd and recall are two different numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lpnet_rt.training.evaluation.components import BoolMask, Components, Prediction, binarise, components, truth_mask
from lpnet_rt.training.evaluation.field_metrics import Truth, ratio

__all__ = [
    "PAPER_THRESHOLDS",
    "PLAIN",
    "PUBLISHED",
    "PaperAccumulator",
    "PaperMetrics",
    "PaperRow",
    "PaperRules",
    "area_under_roc",
    "paper_metrics",
]

CENTRE_LIMIT_PX = 4.0
ROC_LIMIT_PER_IMAGE = 0.5

# The published thresholds are start + i * step in floating point: the twelfth is 0.6000000000000001, just over the
# grey level 153 / 255, and it shows in the published figures.
PAPER_THRESHOLDS: tuple[float, ...] = tuple(0.05 + i * 0.05 for i in range(20))


@dataclass(frozen=True, slots=True)
class PaperRules:
    """Which quirks of the published evaluator to keep.

    Attributes:
        skip_empty_masks: Leave frames without truth out of every sum, though not out of Fa's denominator.
        one_false_on_empty_mask: On a frame without truth count one wrong component at most (seen only where such
            frames are not skipped).
        one_miss_when_silent: On a frame without any prediction count one target only.
        eight_bits: Round score maps of floating-point numbers to 8 bits first, as the published procedure stores them:
            a score of 0.999 reaches a threshold of 1.
    """

    skip_empty_masks: bool
    one_false_on_empty_mask: bool
    one_miss_when_silent: bool
    eight_bits: bool


PUBLISHED = PaperRules(skip_empty_masks=True, one_false_on_empty_mask=True, one_miss_when_silent=True, eight_bits=True)
PLAIN = PaperRules(skip_empty_masks=False, one_false_on_empty_mask=False, one_miss_when_silent=False, eight_bits=False)


@dataclass(frozen=True, slots=True)
class PaperRow:
    """The paper's metrics at one threshold; None where the denominator is zero.

    Attributes:
        threshold: Score at or over which a pixel is predicted.
        pd: Right predicted components / true components.
        fa_per_image: Wrong predicted components / images.
        target_precision: Matched true components / (matched true components + wrong predicted components).
        target_recall: Matched true components / true components.
        target_f1: Harmonic mean of these two.
        pixel_precision: Pooled over images.
        pixel_recall: Pooled over images.
        pixel_f1: Harmonic mean of these two.
    """

    threshold: float
    pd: float | None
    fa_per_image: float | None
    target_precision: float | None
    target_recall: float | None
    target_f1: float | None
    pixel_precision: float | None
    pixel_recall: float | None
    pixel_f1: float | None


@dataclass(frozen=True, slots=True)
class PaperMetrics:
    """The paper's metrics over all thresholds.

    Attributes:
        rows: One per threshold, in the order of the thresholds.
        roc_area: Area under Pd over false targets per image from 0 to 0.5, divided by 0.5. It can pass 1 where several
            predicted components are right about one target, as Pd itself can.
        best_target_f1: Row with the highest target F1, or None.
        best_pixel_f1: Row with the highest pixel F1, or None.
    """

    rows: tuple[PaperRow, ...]
    roc_area: float
    best_target_f1: PaperRow | None
    best_pixel_f1: PaperRow | None


@dataclass(frozen=True, slots=True)
class _Counts:
    """One frame at one threshold, or the sum of many."""

    right: int = 0
    wrong: int = 0
    matched: int = 0
    targets: int = 0
    both_px: int = 0
    predicted_px: int = 0
    true_px: int = 0

    def __add__(self, other: _Counts) -> _Counts:
        return _Counts(*(getattr(self, name) + getattr(other, name) for name in _Counts.__slots__))


class PaperAccumulator:
    """Adds frames up to the paper's metrics at every threshold, under several rules at once."""

    def __init__(
        self, thresholds: Sequence[float] = PAPER_THRESHOLDS, rules: Sequence[PaperRules] = (PUBLISHED, PLAIN)
    ) -> None:
        self.thresholds = tuple(thresholds)
        self._images = 0
        self._sums = {rule: [_Counts() for _ in self.thresholds] for rule in rules}

    def add(self, prediction: Prediction, truth: Truth) -> None:
        """Take one frame.

        Args:
            prediction: (H, W) mask or score map, see :func:`lpnet_rt.training.evaluation.components.binarise`.
            truth: (H, W) bool or uint8; anything but 0 is target.

        Raises:
            DataError: The sizes differ or the prediction cannot be read as scores.
        """
        true = truth_mask(truth, prediction.shape)
        self._images += 1
        taken = [rule for rule in self._sums if true.any() or not rule.skip_empty_masks]
        if not taken:
            return
        wanted = components(true)
        for eight_bits in {rule.eight_bits for rule in taken}:
            counts = self._counts(_rounded(prediction) if eight_bits else prediction, true, wanted)
            for rule in (rule for rule in taken if rule.eight_bits == eight_bits):
                for i, count in enumerate(counts):
                    self._sums[rule][i] += _with_quirks(count, rule)

    def _counts(self, prediction: Prediction, true: BoolMask, wanted: Components) -> list[_Counts]:
        """Counts of one frame at every threshold."""
        known: dict[int, _Counts] = {}
        sizes_px = []
        for threshold in self.thresholds:
            predicted = binarise(prediction, threshold)
            # Masks at rising thresholds are nested: as many pixels are the same pixels.
            sizes_px.append(int(np.count_nonzero(predicted)))
            if sizes_px[-1] not in known:
                known[sizes_px[-1]] = _count(predicted, true, wanted)
        return [known[size_px] for size_px in sizes_px]

    def result(self, rules: PaperRules = PUBLISHED) -> PaperMetrics:
        """Return the metrics of what was added so far.

        Args:
            rules: Which of the rules that the accumulator was made with.
        """
        sums_by_threshold = zip(self.thresholds, self._sums[rules], strict=True)
        rows = tuple(_row(threshold, sums, self._images) for threshold, sums in sums_by_threshold)
        by_target = [row for row in rows if row.target_f1 is not None]
        by_pixel = [row for row in rows if row.pixel_f1 is not None]
        return PaperMetrics(
            rows=rows,
            roc_area=area_under_roc([(row.fa_per_image, row.pd) for row in rows], ROC_LIMIT_PER_IMAGE),
            best_target_f1=max(by_target, key=lambda row: row.target_f1 or 0.0, default=None),
            best_pixel_f1=max(by_pixel, key=lambda row: row.pixel_f1 or 0.0, default=None),
        )


def paper_metrics(
    pairs: Iterable[tuple[Prediction, Truth]],
    thresholds: Sequence[float] = PAPER_THRESHOLDS,
    rules: PaperRules = PUBLISHED,
) -> PaperMetrics:
    """Return the paper's metrics of (prediction, truth) pairs.

    Raises:
        DataError: The sizes of a pair differ or a prediction cannot be read as scores.
    """
    accumulator = PaperAccumulator(thresholds, (rules,))
    for prediction, truth in pairs:
        accumulator.add(prediction, truth)
    return accumulator.result(rules)


def area_under_roc(points: Iterable[tuple[float | None, float | None]], limit: float) -> float:
    """Return the area under the best Pd that is reached at or under each false-alarm rate, as a share of the whole.

    The curve is a staircase: between two thresholds nothing is interpolated, for no threshold gives it.

    Args:
        points: (false-alarm rate, Pd) of each threshold; points with a None are left out.
        limit: Rate up to which the area is taken.
    """
    known = sorted((rate, pd) for rate, pd in points if rate is not None and pd is not None and rate <= limit)
    area, best, at = 0.0, 0.0, 0.0
    for rate, pd in known:
        area += best * (rate - at)
        best, at = max(best, pd), rate
    return (area + best * (limit - at)) / limit


def _count(predicted: BoolMask, true: BoolMask, wanted: Components) -> _Counts:
    found = components(predicted)
    right, matched = _right_and_matched(found, wanted)
    return _Counts(
        right=right,
        wrong=len(found) - right,
        matched=matched,
        targets=len(wanted),
        both_px=int(np.count_nonzero(predicted & true)),
        predicted_px=int(np.count_nonzero(predicted)),
        true_px=int(np.count_nonzero(true)),
    )


def _rounded(prediction: Prediction) -> Prediction:
    """A score map of floating-point numbers in 8 bits; everything else as it is."""
    if not np.issubdtype(prediction.dtype, np.floating):
        return prediction
    if not np.isfinite(prediction).all():
        return prediction  # whoever looks at its scores says so
    eight_bits: NDArray[np.uint8] = np.rint(255 * np.clip(prediction, 0, 1)).astype(np.uint8)
    return eight_bits


def _with_quirks(counts: _Counts, rules: PaperRules) -> _Counts:
    if rules.one_false_on_empty_mask and counts.targets == 0:
        counts = replace(counts, wrong=min(counts.wrong, 1))
    if rules.one_miss_when_silent and counts.predicted_px == 0:
        counts = replace(counts, targets=min(counts.targets, 1))
    return counts


def _right_and_matched(found: Components, wanted: Components) -> tuple[int, int]:
    """Count predicted components that are right, and true components that some prediction is right about."""
    shared = (found.labels > 0) & (wanted.labels > 0)
    pairs: NDArray[np.int32] = np.unique(np.stack((found.labels[shared], wanted.labels[shared])), axis=1) - 1
    gap_xy = found.box_centre_xy[pairs[0]] - wanted.box_centre_xy[pairs[1]]
    near = np.hypot(gap_xy[:, 0], gap_xy[:, 1]) <= CENTRE_LIMIT_PX
    return len(np.unique(pairs[0][near])), len(np.unique(pairs[1][near]))


def _row(threshold: float, sums: _Counts, images: int) -> PaperRow:
    target_precision = ratio(sums.matched, sums.matched + sums.wrong)
    target_recall = ratio(sums.matched, sums.targets)
    pixel_precision = ratio(sums.both_px, sums.predicted_px)
    pixel_recall = ratio(sums.both_px, sums.true_px)
    return PaperRow(
        threshold=threshold,
        pd=ratio(sums.right, sums.targets),
        fa_per_image=ratio(sums.wrong, images),
        target_precision=target_precision,
        target_recall=target_recall,
        target_f1=_f1(target_precision, target_recall),
        pixel_precision=pixel_precision,
        pixel_recall=pixel_recall,
        pixel_f1=_f1(pixel_precision, pixel_recall),
    )


def _f1(precision: float | None, recall: float | None) -> float | None:
    if precision is None or recall is None:
        return None
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
