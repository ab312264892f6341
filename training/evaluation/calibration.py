"""Fit what scores mean: the probability that a detection is a target, and thresholds by rate of false detections.

Detections of one recording session are alike, so sessions are the unit of cross-validation and of the bootstrap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression, minimize

from lpnet_rt.models.false_alarms import FalseAlarmThreshold, interpolated, just_above

__all__ = [
    "MIN_SCORE",
    "RATES",
    "CalibrationFit",
    "Method",
    "ScoredDetections",
    "calibration_error",
    "false_alarm_thresholds",
    "fit_calibration",
    "log_loss",
    "reliability",
]

Method = Literal["identity", "platt", "isotonic"]
Points = NDArray[np.float64]

MIN_SCORE = 0.1
"""Lowest score of a detection that is looked at."""
RATES = (1e-1, 1e-2, 1e-3, 1e-4)
"""False detections per target-free frame for which a card has thresholds."""

_MAX_SCORE = 1 - 1e-6
_FOLDS = 5
_BINS = 15
_MAX_POINTS = 16
_BLOCK_MIN = 20  # detections in a step of the isotonic fit; fewer would follow single detections
_REPLICATES = 1000
# A threshold rests on at least so many false detections, from at least so many sessions.
_MIN_FALSE, _MIN_SESSIONS = 5, 3


@dataclass(frozen=True, slots=True)
class ScoredDetections:
    """Detections whose truth is known, of a number of recording sessions.

    Attributes:
        score: (N,) float64, at least ``MIN_SCORE``.
        is_target: (N,) bool.
        session: (N,) int64, index into ``frames``.
        frames: (S,) int64, frames of each session, with or without detections.
    """

    score: NDArray[np.float64]
    is_target: NDArray[np.bool_]
    session: NDArray[np.int64]
    frames: NDArray[np.int64]

    def rows(self, which: NDArray[np.bool_]) -> ScoredDetections:
        """Return some of the detections, of the same sessions."""
        return ScoredDetections(self.score[which], self.is_target[which], self.session[which], self.frames)


@dataclass(frozen=True, slots=True)
class CalibrationFit:
    """The best of the calibrations.

    Attributes:
        method: Name of the one with the lower log loss under cross-validation.
        points: (P, 2) scores and probabilities, for :func:`lpnet_rt.models.false_alarms.interpolated`.
        log_loss: Of each method under cross-validation; ``identity`` takes scores as probabilities.
        ece: Likewise, the expected calibration error.
        held_out: (N,) probabilities by each method, each from the folds without its session.
    """

    method: Method
    points: Points
    log_loss: dict[Method, float]
    ece: dict[Method, float]
    held_out: dict[Method, NDArray[np.float64]]


def fit_calibration(found: ScoredDetections) -> CalibrationFit:
    """Fit Platt's line (Platt 1999) and an isotonic polygon (Zadrozny and Elkan 2002), and take the best of three.

    The third is the score itself: a fit that does worse in sessions that it has not seen is no calibration.

    Args:
        found: Detections of at least five sessions, targets and others.
    """
    held_out = {method: _out_of_fold(found, method) for method in _FITS}
    loss = {method: log_loss(probability, found.is_target) for method, probability in held_out.items()}
    ece = {method: calibration_error(probability, found.is_target) for method, probability in held_out.items()}
    best = min(_FITS, key=lambda method: loss[method])
    return CalibrationFit(best, _FITS[best](found.score, found.is_target), loss, ece, held_out)


def log_loss(probability: NDArray[np.floating], is_target: NDArray[np.bool_]) -> float:
    """Return the mean negative log-likelihood, in nats."""
    inside = np.clip(np.asarray(probability, np.float64), 1e-6, 1 - 1e-6)
    return float(-np.mean(np.where(is_target, np.log(inside), np.log1p(-inside))))


def calibration_error(probability: NDArray[np.floating], is_target: NDArray[np.bool_]) -> float:
    """Return the expected calibration error (Guo et al., ICML 2017), over bins of equal counts, 0 to 1."""
    said, true, count = reliability(probability, is_target)
    return float(np.sum(count * np.abs(said - true)) / np.sum(count))


def reliability(
    probability: NDArray[np.floating], is_target: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Return the points of a reliability diagram.

    Returns:
        Mean probability, share of targets and number of detections of at most 15 bins of equal counts, (B,) each.
    """
    order = np.argsort(probability, kind="stable")
    parts = [part for part in np.array_split(order, _BINS) if len(part)]
    said = np.array([probability[part].mean() for part in parts], np.float64)
    true = np.array([is_target[part].mean() for part in parts], np.float64)
    return said, true, np.array([len(part) for part in parts], np.int64)


def false_alarm_thresholds(found: ScoredDetections, rates: tuple[float, ...] = RATES) -> list[FalseAlarmThreshold]:
    """Find the thresholds for rates of false detections.

    The interval is the central 95 % of the thresholds of 1,000 bootstrap samples of sessions. A rate is supported where
    it allows at least five false detections in all frames, and the strongest of them come from three sessions or more.

    Args:
        found: Detections that are no targets, and the frames that they were looked for in.
        rates: False detections per frame, falling.
    """
    order = np.argsort(-found.score, kind="stable")
    score, session = found.score[order], found.session[order]
    drawn = np.random.default_rng(0).multinomial(
        len(found.frames), np.full(len(found.frames), 1 / len(found.frames)), _REPLICATES
    )
    false, frames = np.cumsum(drawn[:, session], axis=1), drawn @ found.frames
    rows = []
    for rate in rates:
        allowed = int(rate * found.frames.sum() * (1 + 1e-9))
        if allowed < _MIN_FALSE or len(set(session[: allowed + 1].tolist())) < _MIN_SESSIONS:
            rows.append(FalseAlarmThreshold(false_per_frame=rate))
            continue
        exceeding = [
            int(np.searchsorted(row, rate * count, side="right")) for row, count in zip(false, frames, strict=True)
        ]
        low, high = np.quantile([_just_above(score, place) or 1.0 for place in exceeding], (0.025, 0.975))
        threshold = _just_above(score, allowed)
        bounds = {
            "low": min(round(float(low), 6), threshold or 1.0),
            "high": max(round(float(high), 6), threshold or 1.0),
        }
        rows.append(FalseAlarmThreshold(false_per_frame=rate, threshold=threshold, **bounds))
    return rows


def _just_above(score: NDArray[np.float64], place: int) -> float | None:
    """Return the lowest threshold, to six digits, that the detection at a place in the falling scores misses."""
    if place >= len(score):
        return MIN_SCORE
    return just_above(float(score[place]))


def _out_of_fold(found: ScoredDetections, method: Method) -> NDArray[np.float64]:
    """Return every detection's probability by a fit to the sessions of the other folds."""
    fold = np.random.default_rng(0).permutation(len(found.frames))[found.session] % _FOLDS
    probability = np.full(len(found.score), 0.5)
    for number in range(_FOLDS):
        inside = fold == number
        if inside.any() and (~inside).any():
            points = _FITS[method](found.score[~inside], found.is_target[~inside])
            probability[inside] = interpolated(points, found.score[inside])
    return probability


def _platt(score: NDArray[np.float64], is_target: NDArray[np.bool_]) -> Points:
    """Fit a line from the logit of the score to that of the probability; its slope is not negative."""
    logit = _logit(np.clip(score, 1e-6, _MAX_SCORE))

    def loss(parameters: NDArray[np.float64]) -> float:
        margin = np.where(is_target, 1, -1) * (parameters[0] * logit + parameters[1])
        return float(np.logaddexp(0, -margin).mean())

    slope, intercept = minimize(loss, np.array([1.0, 0.0]), method="L-BFGS-B", bounds=[(0, 10), (-30, 30)]).x
    ends = np.array([MIN_SCORE, _MAX_SCORE])
    return np.column_stack((ends, _inside(1 / (1 + np.exp(-(slope * _logit(ends) + intercept))))))


def _isotonic(score: NDArray[np.float64], is_target: NDArray[np.bool_]) -> Points:
    """Fit a rising polygon: the middles of the steps of an isotonic regression on groups of equal counts."""
    order = np.argsort(score, kind="stable")
    groups = [part for part in np.array_split(order, max(2, len(score) // _BLOCK_MIN)) if len(part)]
    weight = np.array([len(part) for part in groups], np.float64)
    middle = np.clip([score[part].mean() for part in groups], 1e-6, _MAX_SCORE)
    share = np.array([(is_target[part].sum() + 0.5) / (len(part) + 1) for part in groups])  # never 0 or 1
    steps = isotonic_regression(share, weights=weight).x
    starts = np.flatnonzero(np.r_[True, np.diff(steps) > 0])
    parts = np.split(np.arange(len(steps)), starts[1:])
    points = np.array([(np.average(middle[part], weights=weight[part]), steps[part[0]]) for part in parts])
    if len(points) > _MAX_POINTS:
        points = points[np.linspace(0, len(points) - 1, _MAX_POINTS).round().astype(int)]
    _, first = np.unique(points[:, 0].round(6), return_index=True)
    points = points[first]
    return points if len(points) > 1 else np.array([(MIN_SCORE, points[0, 1]), (_MAX_SCORE, points[0, 1])])


def _identity(_score: NDArray[np.float64], _is_target: NDArray[np.bool_]) -> Points:
    ends = np.array([1 - _MAX_SCORE, _MAX_SCORE])
    return np.column_stack((ends, ends))


_FITS: dict[Method, Callable[[NDArray[np.float64], NDArray[np.bool_]], Points]] = {
    "identity": _identity,
    "platt": _platt,
    "isotonic": _isotonic,
}


def _inside(values: NDArray[np.float64]) -> NDArray[np.float64]:
    inside: NDArray[np.float64] = np.clip(values, 1e-6, 1 - 1e-6)
    return inside


def _logit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    logits: NDArray[np.float64] = np.log(values) - np.log1p(-values)
    return logits
