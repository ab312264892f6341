"""A recording through a tracker: where its tracks were, frame by frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lpnet_rt.tracking import Tracker, TrackerSettings, TrackingProfile, TrackState
from lpnet_rt.tracking.table import TrackTable
from lpnet_rt.training.tracks.recording import RecordedMotion, Recording

__all__ = ["TrackPath", "replay", "replay_tables"]


@dataclass(frozen=True, slots=True, eq=False)
class TrackPath:
    """Confirmed tracks of a clip, as columns over their places: one for each track and frame.

    Attributes:
        frame: (P,) int64, ascending.
        track_id: (P,) int64.
        xy: (P, 2) float64, px.
        coasting: (P,) bool.
        frames: How many frames the clip has.
    """

    frame: NDArray[np.int64]
    track_id: NDArray[np.int64]
    xy: NDArray[np.float64]
    coasting: NDArray[np.bool_]
    frames: int

    def at(self, frame: int) -> slice:
        """The places of one frame."""
        first, last = np.searchsorted(self.frame, (frame, frame + 1))
        return slice(int(first), int(last))


def replay(recording: Recording, profile: TrackingProfile, settings: TrackerSettings | None = None) -> TrackPath:
    """Track a recording, from nothing.

    Args:
        recording: A clip.
        profile: The tracker's.
        settings: The tracker's.
    """
    motion = RecordedMotion()
    tracker = Tracker(profile, settings, camera=motion)
    image = np.zeros(recording.size_hw, np.uint8)
    frame, track_id, xy, coasting = [], [], [], []
    for index, (t_s, detections, motion.now) in enumerate(recording.frames()):
        tracks = tracker.update(image, detections, t_s).tracks
        shown = np.flatnonzero(tracks.state != TrackState.TENTATIVE)
        if len(shown):
            frame.append(np.full(len(shown), index))
            track_id.append(tracks.id[shown])
            xy.append(tracks.xy[shown])
            coasting.append(tracks.state[shown] == TrackState.COASTING)
    if not frame:
        none = np.zeros(0, np.int64)
        return TrackPath(none, none, np.zeros((0, 2)), np.zeros(0, np.bool_), len(recording))
    return TrackPath(
        np.concatenate(frame), np.concatenate(track_id), np.concatenate(xy), np.concatenate(coasting), len(recording)
    )


def replay_tables(recording: Recording, profile: TrackingProfile) -> list[TrackTable]:
    """The tracker's table after each frame."""
    motion = RecordedMotion()
    tracker = Tracker(profile, camera=motion)
    image = np.zeros(recording.size_hw, np.uint8)
    tables = []
    for t_s, detections, motion.now in recording.frames():
        tracker.update(image, detections, t_s)
        tables.append(tracker.table())
    return tables
