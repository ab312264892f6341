"""What a model's scores mean: the probability of a target, and the threshold for a rate of false detections.

Both are fitted on validation data (``lpnet_rt.training.commands.calibration``) and stand in the model's card. A rate is
written ``1/1000``, false detections per target-free frame, or ``10/h``, per hour.
"""

from __future__ import annotations

import math
import re
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from lpnet_rt.errors import SettingsError

__all__ = [
    "DEFAULT_RATE_HZ",
    "FalseAlarmThreshold",
    "ScoreCalibration",
    "false_per_frame",
    "interpolated",
    "is_hourly",
    "just_above",
    "threshold_for",
]

DEFAULT_RATE_HZ = 30.0
_S_PER_HOUR = 3600
_RATE = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)/(h|[0-9]{1,9})\Z")
_CLOSE = 1e-9  # relative; a rate that is written differently is the same rate

_Open = Annotated[float, Meta(gt=0, lt=1)]
_Threshold = Annotated[float, Meta(gt=0, le=1)]


class FalseAlarmThreshold(Struct, frozen=True, kw_only=True):
    """The threshold for one rate of false detections.

    Attributes:
        false_per_frame: False detections per target-free frame.
        threshold: Lowest threshold with at most this rate on the data; None where the data cannot show it.
        low: 95 % confidence interval of the threshold, by resampling of recording sessions: its lower end.
        high: Its upper end; None where even the highest score would be too low.
    """

    false_per_frame: Annotated[float, Meta(gt=0, le=1)]
    threshold: _Threshold | None = None
    low: _Threshold | None = None
    high: _Threshold | None = None


class ScoreCalibration(Struct, frozen=True, kw_only=True):
    """What scores mean on validation data.

    Attributes:
        method: ``identity``: the score is the probability. ``platt``: a line through the logits of both.
            ``isotonic``: a rising polygon.
        points: Scores and the probability that a detection of this score is a target, both rising; between them, logits
            are interpolated linearly.
        thresholds: By falling rate.
        frames: Frames in which false detections were counted, everything outside of their targets.
        detections: Detections that the probability was fitted to.
        sessions: Recording sessions; single images count as one each.
        log_loss: Mean negative log-likelihood of the scores taken as probabilities, and of the probabilities, by
            cross-validation over sessions.
        ece: Expected calibration error of both, likewise (Guo et al., ICML 2017).
        data: The data, in words.
    """

    method: Literal["identity", "platt", "isotonic"]
    points: Annotated[list[tuple[_Open, _Open]], Meta(min_length=2, max_length=64)]
    thresholds: Annotated[list[FalseAlarmThreshold], Meta(max_length=32)]
    frames: Annotated[int, Meta(ge=0)]
    detections: Annotated[int, Meta(ge=0)]
    sessions: Annotated[int, Meta(ge=0)]
    log_loss: tuple[float, float]
    ece: tuple[float, float]
    data: list[str] = []

    def __post_init__(self) -> None:
        """Refuse what does not rise.

        Raises:
            ValueError: Points or thresholds are out of order.
        """
        scores, probabilities = np.array(self.points).T
        if (np.diff(scores) <= 0).any() or (np.diff(probabilities) < 0).any():
            raise ValueError("expected points that rise, found others")
        if (np.diff([row.false_per_frame for row in self.thresholds]) >= 0).any():
            raise ValueError("expected thresholds by falling rate, found another order")
        if (np.diff([row.threshold for row in self.thresholds if row.threshold is not None]) < 0).any():
            raise ValueError("expected thresholds that do not fall with the rate, found others")

    def probability(self, scores: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the probability that detections with these scores, 0 to 1, are targets."""
        return interpolated(np.array(self.points), scores)


def interpolated(points: NDArray[np.float64], scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Interpolate probabilities between points, linearly in the logits; constant beyond the first and the last.

    Args:
        points: (P, 2) scores and probabilities, over 0 and under 1, rising.
        scores: (N,) scores, 0 to 1.

    Returns:
        (N,) probabilities.
    """
    inside = np.clip(np.asarray(scores, np.float64), points[0, 0], points[-1, 0])
    logits = np.interp(_logit(inside), _logit(points[:, 0]), _logit(points[:, 1]))
    probability: NDArray[np.float64] = 1 / (1 + np.exp(-logits))
    return probability


def is_hourly(rate: str) -> bool:
    """Return whether a rate is per hour, so that it depends on the frames per second."""
    return rate.endswith("/h")


def false_per_frame(rate: str, rate_hz: float = DEFAULT_RATE_HZ) -> float:
    """Return the false detections per frame of a rate such as ``1/1000`` (frames) or ``10/h``.

    Args:
        rate: A number, ``/``, and a number of frames or ``h``.
        rate_hz: Frames per second.

    Raises:
        SettingsError: It is written differently, or is zero, or over one per frame.
    """
    found = _RATE.match(rate)
    frames = 0.0 if found is None else _S_PER_HOUR * rate_hz if found[2] == "h" else float(found[2])
    value = float(found[1]) / frames if found is not None and frames else 0.0
    if not 0 < value <= 1:
        raise SettingsError(f"false_alarms: expected a rate such as 1/1000 (frames) or 10/h, found {rate!r}")
    return value


def just_above(score: float) -> float | None:
    """Return the lowest threshold, to six digits, that a score misses in single precision; None if that is over 1."""
    millionths = int(np.floor(score * 1e6)) + 1
    if np.float32(millionths / 1e6) <= np.float32(score):
        millionths += 1
    return millionths / 1e6 if millionths <= 1_000_000 else None


def threshold_for(calibration: ScoreCalibration | None, rate: str, rate_hz: float = DEFAULT_RATE_HZ) -> float:
    """Return the threshold for a rate of false detections; between rows of the table, log rates are interpolated.

    Args:
        calibration: Of the model's card.
        rate: As for :func:`false_per_frame`.
        rate_hz: Frames per second, for a rate per hour.

    Raises:
        SettingsError: The card has no table, or the rate lies outside of it.
    """
    wanted = false_per_frame(rate, rate_hz)
    rows = [] if calibration is None else [row for row in calibration.thresholds if row.threshold is not None]
    if not rows:
        raise SettingsError("false_alarms: expected a card with thresholds by rate, found none; give a threshold")
    rates = np.array([row.false_per_frame for row in rows])
    if not rates[-1] * (1 - _CLOSE) <= wanted <= rates[0] * (1 + _CLOSE):
        shown = [_shown(value, rate, rate_hz) for value in (rates[0], rates[-1])]
        raise SettingsError(
            f"false_alarms: the model's card supports {shown[0]} to {shown[1]}, found {rate}; take one of these, or "
            "measure a threshold on your own recording with lpnet-rt calibrate"
        )
    logits = _logit(np.clip([row.threshold or 1.0 for row in rows], 1e-9, 1 - 1e-9))
    logit = float(np.interp(math.log(wanted), np.log(rates[::-1]), logits[::-1]))
    return min(1.0, 1 / (1 + math.exp(-logit)))


def _shown(value: float, like: str, rate_hz: float) -> str:
    if is_hourly(like):
        return f"{value * _S_PER_HOUR * rate_hz:.4g}/h (at {rate_hz:g} frames/s)"
    return f"1/{round(1 / value)}"


def _logit(values: NDArray[np.floating]) -> NDArray[np.float64]:
    logits: NDArray[np.float64] = np.log(values) - np.log1p(-np.asarray(values, np.float64))
    return logits
