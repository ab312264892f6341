"""Fitting the evidence model, and what its thresholds cost."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from lpnet_rt.tracking.evidence import FEATURES, EvidenceModel
from lpnet_rt.tracking.profile import CalibrationPoint
from lpnet_rt.training.tracks.samples import TrackSamples

__all__ = ["FitSettings", "calibrate", "fit_evidence", "out_of_fold"]

_FOLDS = 5
_SESSION_CLIPS = 20
_RATES_PER_HOUR = (2.0, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0)


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How the evidence model is fitted.

    Attributes:
        features: Which of :data:`lpnet_rt.tracking.evidence.FEATURES` it weighs.
        min_hits: Detections from which a track can be confirmed.
        ridge: Penalty on the squared weights of standardised features, in tracks.
        track_power: A track with n rows weighs n ** (1 - track_power).
    """

    features: tuple[str, ...]
    min_hits: int
    ridge: float = 3.0
    track_power: float = 0.5


def fit_evidence(samples: TrackSamples, settings: FitSettings, clips: NDArray[np.bool_] | None = None) -> EvidenceModel:
    """Fit the logistic regression (maximum likelihood with a ridge penalty).

    Args:
        samples: Of training clips.
        settings: How.
        clips: (C,) which clips to take; None takes all.
    """
    taken = samples.usable(settings.min_hits)
    if clips is not None:
        taken &= clips[samples.rows["clip"]]
    chosen = [FEATURES.index(name) for name in settings.features]
    columns, track = samples.columns[taken][:, chosen], samples.track[taken]
    target = samples.target[track].astype(np.float64)
    rows_of_track = np.bincount(track, minlength=len(samples.target))
    weight = rows_of_track[track].astype(np.float64) ** -settings.track_power
    weight *= len(np.unique(track)) / weight.sum()
    mean, scale = columns.mean(axis=0), columns.std(axis=0) + 1e-9
    fitted = _logistic((columns - mean) / scale, target, weight, settings.ridge)
    weights = fitted[:-1] / scale
    named = {name: round(float(value), 5) for name, value in zip(settings.features, weights, strict=True)}
    return EvidenceModel(intercept=round(float(fitted[-1] - weights @ mean), 5), weights=named)


def out_of_fold(samples: TrackSamples, settings: FitSettings) -> NDArray[np.float64]:
    """(R,) probability of each row by a model that was fitted without the row's session.

    Clips of one session look alike; a session is taken to be twenty neighbouring numbers of one kind of target.
    """
    session = np.array([_session(name) for name in samples.clips])
    sessions = np.unique(session)
    found = np.zeros(len(samples.rows))
    for fold in range(_FOLDS):
        left_out = np.isin(session, sessions[fold::_FOLDS])
        if left_out.any() and not left_out.all():
            model = fit_evidence(samples, settings, ~left_out)
            rows = left_out[samples.rows["clip"]]
            found[rows] = expit(samples.columns[rows] @ model.vector() + model.intercept)
    return found


def calibrate(
    samples: TrackSamples,
    probability: NDArray[np.float64],
    min_hits: int,
    rates_per_hour: Sequence[float] = _RATES_PER_HOUR,
) -> list[CalibrationPoint]:
    """The threshold for each rate of false confirmed tracks, and the coverage there.

    A track counts from the first frame on which it could be confirmed and its probability reached the threshold.

    Args:
        samples: Of clips.
        probability: (R,) of their rows.
        min_hits: Detections from which a track can be confirmed.
        rates_per_hour: Ascending.
    """
    rows, track = samples.rows, samples.track
    ready = rows["hit"] & (rows["hits"] >= min_hits)
    reached = _running_highest(np.where(ready, probability, 0.0), track)
    highest = np.zeros(len(samples.target))
    np.maximum.at(highest, track, reached)
    false = np.sort(highest[samples.target == 0])[::-1]
    on_target = rows["settled"] & rows["inside"]
    frames, frame = np.unique(rows["clip"][on_target] * np.int64(10**7) + rows["frame"][on_target], return_inverse=True)
    covered = np.zeros(len(frames))
    np.maximum.at(covered, frame, reached[on_target])
    edges = np.array([1.0, *false, 0.0])
    points = []
    for rate in rates_per_hour:
        allowed = int(rate * samples.minutes / 60.0)
        # Halfway between the last false track that is let in and the next that is not.
        threshold = float(edges[min(allowed, len(false)) :][:2].mean())
        coverage = float((covered >= threshold).sum()) / max(samples.settled_frames, 1)
        points.append(
            CalibrationPoint(probability=round(threshold, 4), false_tracks_per_hour=rate, coverage=round(coverage, 4))
        )
    return points


def _session(name: str) -> str:
    number = re.search(r"(\d+)$", name)
    return f"{name[: number.start()]}{int(number.group()) // _SESSION_CLIPS}" if number else name


def _running_highest(values: NDArray[np.float64], track: NDArray[np.intp]) -> NDArray[np.float64]:
    """(R,) the highest value of a row's track up to this row."""
    highest = values.copy()
    for part in np.split(np.arange(len(values)), np.flatnonzero(np.diff(track)) + 1):
        highest[part] = np.maximum.accumulate(values[part])
    return highest


def _logistic(
    columns: NDArray[np.float64], target: NDArray[np.float64], weight: NDArray[np.float64], ridge: float
) -> NDArray[np.float64]:
    """(F + 1,) weights and the intercept."""
    wide = np.concatenate((columns, np.ones((len(columns), 1))), axis=1)

    def loss(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        log_odds = wide @ values
        misfit = target * np.logaddexp(0.0, -log_odds) + (1.0 - target) * np.logaddexp(0.0, log_odds)
        slope = wide.T @ (weight * (expit(log_odds) - target))
        slope[:-1] += 2.0 * ridge * values[:-1]
        return float(weight @ misfit + ridge * (values[:-1] ** 2).sum()), slope

    start = np.zeros(wide.shape[1])
    return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 1000}).x)
