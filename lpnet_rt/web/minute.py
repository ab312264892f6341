"""What was detected in the last minute, weak detections included, to show what another threshold would have shown."""

from __future__ import annotations

from collections import deque

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from lpnet_rt.reports import Report

__all__ = ["LastMinute", "MinuteCounts"]

_MINUTE_NS = 60 * 1_000_000_000
_MAX_FRAMES = 60 * 120
STEPS = 100


class MinuteCounts(Struct, frozen=True, kw_only=True):
    """Counts over the last minute for each threshold 0, 0.01, ... 1.

    Attributes:
        seconds: Time that the counts cover, at most 60.
        frames: Frames in it.
        detections: 101 counts: detections with at least that score.
        tracks: 101 counts: tracks with a detection of at least that score.
    """

    seconds: float
    frames: int
    detections: tuple[int, ...]
    tracks: tuple[int, ...]


class LastMinute:
    """Scores and track numbers of the last minute's frames; the caller locks."""

    def __init__(self) -> None:
        self._frames: deque[tuple[int, NDArray[np.float32], NDArray[np.int64]]] = deque(maxlen=_MAX_FRAMES)

    def add(self, report: Report, now_ns: int) -> None:
        """Note a report's detections, weak ones included.

        Args:
            report: After the tracker.
            now_ns: Monotonic clock, nanoseconds.
        """
        scores = np.concatenate((report.detections.score, report.weak.score))
        update = report.tracks
        tracks = np.zeros(len(scores), np.int64) if update is None else update.detection_track_id
        self._frames.append((now_ns, scores, tracks))
        while self._frames[0][0] < now_ns - _MINUTE_NS:
            self._frames.popleft()

    def frames(self, now_ns: int) -> list[tuple[int, NDArray[np.float32], NDArray[np.int64]]]:
        """Return the frames of the last minute: time, scores, numbers of tracks (0: none)."""
        return [frame for frame in self._frames if frame[0] >= now_ns - _MINUTE_NS]


def count(frames: list[tuple[int, NDArray[np.float32], NDArray[np.int64]]], now_ns: int) -> MinuteCounts:
    """Count what each threshold would have shown.

    Args:
        frames: Those of :meth:`LastMinute.frames`.
        now_ns: Monotonic clock, nanoseconds.
    """
    scores = np.concatenate([frame[1] for frame in frames]) if frames else np.zeros(0, np.float32)
    tracks = np.concatenate([frame[2] for frame in frames]) if frames else np.zeros(0, np.int64)
    numbers, which = np.unique(tracks, return_inverse=True)
    best = np.zeros(len(numbers), np.float32)
    np.maximum.at(best, which, scores)
    return MinuteCounts(
        seconds=round((now_ns - frames[0][0]) / 1e9, 1) if frames else 0.0,
        frames=len(frames),
        detections=_at_least(scores),
        tracks=_at_least(best[numbers > 0]),
    )


def _at_least(scores: NDArray[np.float32]) -> tuple[int, ...]:
    rising = np.sort(scores)
    thresholds = (np.arange(STEPS + 1) / STEPS).astype(np.float32)
    return tuple((len(rising) - np.searchsorted(rising, thresholds, side="left")).tolist())
