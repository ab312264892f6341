"""Small scenes for the tracker: detections at chosen places, and a profile whose judgement is easy to follow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lpnet_rt.detections import Detections
from lpnet_rt.tracking import TrackingProfile
from lpnet_rt.tracking.evidence import EvidenceModel
from lpnet_rt.tracking.motion import MotionModel
from lpnet_rt.tracking.profile import CalibrationPoint, Lifecycle

FRAME_S = 1.0 / 30.0
SIZE_HW = (120, 160)
IMAGE = np.zeros(SIZE_HW, np.uint8)


def found(places: Sequence[tuple[float, float]], scores: Sequence[float] | float = 0.9, side_px: int = 3) -> Detections:
    """Detections at (x, y) places, in that order."""
    count = len(places)
    xy = np.array(places, np.float32).reshape(-1, 2)
    corner = np.round(xy).astype(np.int32) - side_px // 2
    return Detections(
        centroid_xy=xy,
        box_xyxy=np.concatenate((corner, corner + side_px), axis=1).astype(np.int32),
        score=np.broadcast_to(np.array(scores, np.float32), (count,)).copy(),
        area_px=np.full(count, side_px**2, np.int32),
        peak=np.full(count, 200, np.int32),
        snr=np.full(count, 8.0, np.float32),
    )


def mean_score_profile(threshold: float = 0.5, **lifecycle: float) -> TrackingProfile:
    """A track is confirmed when the mean of its scores is over one half and it has four hits."""
    return TrackingProfile(
        model="test",
        motion=MotionModel(),
        lifecycle=Lifecycle(**{"min_hits": 4, **lifecycle}),
        evidence=EvidenceModel(intercept=-5.0, weights={"mean_score": 10.0}),
        calibration=[CalibrationPoint(probability=threshold, false_tracks_per_hour=10.0, coverage=0.9)],
        false_tracks_per_hour=10.0,
    )
