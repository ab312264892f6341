"""What is fitted: how tracks move and live, how their past is weighed, and what a threshold means."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta, Struct

from lpnet_rt.errors import ModelError, reason
from lpnet_rt.files import read_limited
from lpnet_rt.tracking.evidence import EvidenceModel
from lpnet_rt.tracking.motion import MotionModel

__all__ = ["CalibrationPoint", "Lifecycle", "TrackingProfile", "load_profile", "packaged_profile"]

_MAX_BYTES = 1 << 20
_Share = Annotated[float, Meta(ge=0, le=1)]
_Positive = Annotated[float, Meta(gt=0, le=1e6)]

_MODEL = "lpnet-rt"


class Lifecycle(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When tracks start and end.

    Attributes:
        start_score: Detections from this score on start tracks; all others only extend them.
        gate: Largest squared Mahalanobis distance of a detection.
        gate_floor_px: The gate's smallest radius.
        gate_limit_px: And its largest.
        clearance_px: No track starts this close to the box of a detection that another track has taken.
        tentative_gap_s: A tentative track ends after so long without a detection.
        coast_s: A confirmed one, likewise.
        min_hits: Detections that a track needs to be confirmed.
    """

    start_score: _Share = 0.3
    gate: _Positive = 11.0
    gate_floor_px: _Positive = 3.0
    gate_limit_px: _Positive = 20.0
    clearance_px: Annotated[float, Meta(ge=0, le=1e6)] = 2.0
    tentative_gap_s: _Positive = 0.25
    coast_s: _Positive = 1.5
    min_hits: Annotated[int, Meta(ge=1, le=1000)] = 6


class CalibrationPoint(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What confirming tracks from a probability on costs, on the clips that the profile was fitted to.

    Attributes:
        probability: From this probability on, a track is confirmed.
        false_tracks_per_hour: False confirmed tracks an hour.
        coverage: Share of labelled frames with a confirmed track on the target; the first ten of a run do not count.
    """

    probability: _Share
    false_tracks_per_hour: Annotated[float, Meta(ge=0)]
    coverage: _Share


class TrackingProfile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All about tracking that was fitted to data; a JSON file beside the model whose detections it was fitted to.

    Attributes:
        model: Name of that model.
        motion: Kalman filter.
        lifecycle: Starts and ends.
        evidence: From a track's past to its probability of being a target.
        calibration: Rates of false confirmed tracks by threshold, highest probability first.
        false_tracks_per_hour: The rate that is taken where none is asked for.
        fitted_on: What data.
    """

    model: str
    motion: MotionModel
    lifecycle: Lifecycle
    evidence: EvidenceModel
    calibration: Annotated[list[CalibrationPoint], Meta(min_length=1)]
    false_tracks_per_hour: _Positive
    fitted_on: list[str] = []

    def threshold(self, false_tracks_per_hour: float | None = None) -> float:
        """The probability from which a track is confirmed, for a rate of false confirmed tracks.

        Between two rates of the table it is interpolated over the rate's logarithm; outside them the nearest holds.
        """
        wanted = self.false_tracks_per_hour if false_tracks_per_hour is None else false_tracks_per_hour
        rates = np.array([max(point.false_tracks_per_hour, 0.1) for point in self.calibration])
        return float(np.interp(np.log(max(wanted, 0.1)), np.log(rates), [p.probability for p in self.calibration]))


def load_profile(path: Path) -> TrackingProfile:
    """Read a profile.

    Raises:
        ModelError: It is missing, cannot be read, or is no profile.
    """
    content = read_limited(path, _MAX_BYTES, "tracking profile", ModelError)
    try:
        return msgspec.json.decode(content, type=TrackingProfile)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ModelError(f"{path}: expected a tracking profile, found: {reason(error)}") from error


def packaged_profile(model: str = _MODEL) -> TrackingProfile:
    """The profile that was fitted to a packaged model's detections; that of ``lpnet-rt`` for every other model.

    Args:
        model: The model's name, as in its card.

    Raises:
        ModelError: The installation is damaged.
    """
    folder = Path(__file__).parents[1] / "models"
    paths = {path.name: path for path in folder.glob("*-tracks.json")}
    return load_profile(paths.get(f"{model}-tracks.json", folder / f"{_MODEL}-tracks.json"))
