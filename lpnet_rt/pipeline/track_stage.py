"""The stage of a session that turns a source's detections into tracks."""

from __future__ import annotations

import dataclasses
import logging

import numpy as np

from lpnet_rt.clock import Clock
from lpnet_rt.detections import joined
from lpnet_rt.errors import SinkError
from lpnet_rt.frames import Frame
from lpnet_rt.pipeline.guard import PictureGuard
from lpnet_rt.reports import Report
from lpnet_rt.settings import MinState
from lpnet_rt.tracking import Tracker, TrackEvent, TrackState

__all__ = ["TrackStage"]

_logger = logging.getLogger(__name__)

_SAVE_NS = 60_000_000_000


class TrackStage:
    """Tracks a source's detections, and tells the tracker when pictures are unreliable.

    After a reconnection, a change of the picture format or a jump back in time, all tracks end, and their numbers are
    not reused. Damaged frames and single images are skipped.
    """

    def __init__(self, tracker: Tracker, guard: PictureGuard, clock: Clock, min_state: MinState = "none") -> None:
        """Create the stage without tracks.

        Args:
            tracker: Tracker of this source only.
            guard: Guard that has checked each picture.
            clock: Clock for the periodic save.
            min_state: ``tentative`` or ``confirmed`` drops detections without a track of at least that state.
        """
        self._tracker, self._guard, self._clock, self._min_state = tracker, guard, clock, min_state
        self._saved_ns = clock.monotonic_ns()
        self._is_calibrating = False
        self._before: tuple[int, int] | None = None
        self._t_s: float | None = None

    def track(self, report: Report) -> Report:
        """Return the report with its tracks."""
        frame = report.frame
        if report.error is not None or frame.file is not None:
            return report
        t_s = self._time_s(frame)
        ended: tuple[TrackEvent, ...] = ()
        kind = frame.epoch, frame.reconnects
        if self._before is not None and (kind != self._before or t_s <= (self._t_s or 0.0)):
            ended = self._tracker.reset()
        self._before, self._t_s = kind, t_s
        is_calibrating = self._guard.verdict != "live"
        if is_calibrating != self._is_calibrating:
            self._tracker.calibrating(is_calibrating)
            self._is_calibrating = is_calibrating
        update = self._tracker.update(frame.image, joined(report.detections, report.weak), t_s)
        update = dataclasses.replace(update, events=(*ended, *update.events))
        report = dataclasses.replace(report, tracks=update)
        self._save_periodically()
        return report if self._min_state == "none" else self._only_tracked(report)

    def close(self) -> None:
        """Save the clutter map for the next run.

        Raises:
            SinkError: It cannot be written.
        """
        self._tracker.save_clutter()

    def _save_periodically(self) -> None:
        """Save the clutter map once per minute, so that a killed program keeps it."""
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._saved_ns >= _SAVE_NS:
            self._saved_ns = now_ns
            try:
                self._tracker.save_clutter()
            except SinkError as error:
                _logger.warning("%s", error)

    def _time_s(self, frame: Frame) -> float:
        return frame.t_read_ns / 1e9 if frame.pts_s is None else frame.pts_s

    def _only_tracked(self, report: Report) -> Report:
        """Drop detections without a track of the wanted state."""
        update, count = report.tracks, len(report.detections)
        assert update is not None
        state = update.detection_state[:count]
        kept = state == TrackState.CONFIRMED if self._min_state == "confirmed" else state >= TrackState.TENTATIVE
        rows = np.concatenate((kept, np.ones(len(report.weak), np.bool_)))
        return dataclasses.replace(
            report,
            detections=report.detections.rows(kept),
            tracks=dataclasses.replace(
                update, detection_track_id=update.detection_track_id[rows], detection_state=update.detection_state[rows]
            ),
        )
