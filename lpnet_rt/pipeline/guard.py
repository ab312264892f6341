"""Check the pictures of a source for shutter calibration and for a hanging camera."""

from __future__ import annotations

from lpnet_rt.clock import Clock
from lpnet_rt.reports import Report
from lpnet_rt.sources import ReconnectingSource, Source
from lpnet_rt.sources.freeze import FreezeGuard, Verdict
from lpnet_rt.sources.states import SourceState, StateLog

__all__ = ["PictureGuard"]

_REASONS: dict[Verdict, str | None] = {
    "live": None,
    "calibrating": "the picture stands still or has changed in level or gain",
    "frozen": "the picture stands still",
}


class PictureGuard:
    """A stage of a session: checks every picture, and notifies the source or its state log.

    Attributes:
        verdict: State of the last picture: ``live``, ``calibrating`` or ``frozen``.
    """

    def __init__(self, source: Source, log: StateLog, frozen_after_s: float, clock: Clock) -> None:
        """Start without a picture.

        Args:
            source: A :class:`ReconnectingSource` is notified, and reconnects if the picture is frozen.
            log: State log for any other source.
            frozen_after_s: Time after which a still picture is frozen, seconds.
            clock: Clock for the start of each state.
        """
        self.verdict: Verdict = "live"
        self._source, self._log, self._clock = source, log, clock
        self._guard = FreezeGuard(frozen_after_s)

    def check(self, report: Report) -> Report:
        """Check the picture of a report, and return the report unchanged.

        Single images and damaged pictures are skipped: they have no time, or do not show what the camera saw.
        """
        frame = report.frame
        if frame.damage is not None or frame.file is not None:
            return report
        t_s = frame.t_read_ns / 1e9 if self._source.live or frame.pts_s is None else frame.pts_s
        verdict = self._guard.update(frame.image, t_s)
        if isinstance(self._source, ReconnectingSource):
            self._source.note_picture(verdict)
        elif verdict != self.verdict:
            state = SourceState(verdict, _REASONS[verdict], self._clock.unix_us(), self._clock.monotonic_ns())
            self._log.add(state)
        self.verdict = verdict
        return report
