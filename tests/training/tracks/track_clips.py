"""Recordings of generated scenes: a target that moves and a lamp that stands, with as good a score."""

from __future__ import annotations

import numpy as np

from lpnet_rt.detections import Detections
from lpnet_rt.tracking import TrackingProfile
from lpnet_rt.tracking.evidence import EvidenceModel
from lpnet_rt.tracking.motion import MotionModel
from lpnet_rt.tracking.profile import CalibrationPoint, Lifecycle
from lpnet_rt.training.tracks.recording import Recording
from lpnet_rt.training.tracks.truth import ClipTruth

FRAMES = 60


def any_profile() -> TrackingProfile:
    """A profile that confirms what scores well."""
    return TrackingProfile(
        model="test",
        motion=MotionModel(),
        lifecycle=Lifecycle(),
        evidence=EvidenceModel(intercept=-4.0, weights={"mean_score": 10.0}),
        calibration=[CalibrationPoint(probability=0.5, false_tracks_per_hour=10.0, coverage=0.9)],
        false_tracks_per_hour=10.0,
    )


def moving_and_standing_clips(count: int = 12, labelled: bool = True) -> list[tuple[Recording, ClipTruth]]:
    """Clips of sixty frames; the moving target has a box on each, or on none."""
    return [_clip(index, labelled) for index in range(count)]


def _clip(index: int, labelled: bool) -> tuple[Recording, ClipTruth]:
    rng = np.random.default_rng(index)
    target = np.array([20.0, 30.0]) + np.arange(FRAMES)[:, None] * (1.5, 0.5) + rng.normal(0, 0.2, (FRAMES, 2))
    lamp = np.array([120.0, 90.0]) + rng.normal(0, 0.2, (FRAMES, 2))
    xy = np.stack((target, lamp), axis=1).reshape(-1, 2).astype(np.float32)
    corner = np.round(xy).astype(np.int32) - 2
    total = len(xy)
    detections = Detections(
        centroid_xy=xy,
        box_xyxy=np.concatenate((corner, corner + 4), axis=1),
        score=rng.uniform(0.5, 0.95, total).astype(np.float32),
        area_px=np.full(total, 9, np.int32),
        peak=np.full(total, 100, np.int32),
        snr=np.full(total, 6.0, np.float32),
    )
    recording = Recording(
        name=f"CLIP_{20 * index:03d}",
        size_hw=(120, 160),
        t_s=np.arange(FRAMES) / 30.0,
        counts=np.full(FRAMES, 2),
        detections=detections,
        motion=np.tile((0.0, 0.0, 1.0), (FRAMES, 1)),
    )
    boxes = {frame: np.array([[*(target[frame] - 5.0), 10.0, 10.0]]) for frame in range(FRAMES)} if labelled else {}
    return recording, ClipTruth(boxes, {frame: np.array([1]) for frame in boxes}, {})
