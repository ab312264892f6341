"""Tracking: detections of one source over time, and how likely each track is a target's."""

from lpnet_rt.tracking.camera_motion import CameraMotion, CameraMotionEstimator
from lpnet_rt.tracking.clutter import ClutterMap
from lpnet_rt.tracking.profile import TrackingProfile, load_profile, packaged_profile
from lpnet_rt.tracking.table import TrackState
from lpnet_rt.tracking.tracker import Tracker, TrackerSettings
from lpnet_rt.tracking.updates import TrackEvent, Tracks, TrackUpdate
from lpnet_rt.tracking.weak import WEAK_SCORE, detect_with_weak

__all__ = [
    "WEAK_SCORE",
    "CameraMotion",
    "CameraMotionEstimator",
    "ClutterMap",
    "TrackEvent",
    "TrackState",
    "TrackUpdate",
    "Tracker",
    "TrackerSettings",
    "TrackingProfile",
    "Tracks",
    "detect_with_weak",
    "load_profile",
    "packaged_profile",
]
