"""Pacing: deliver a recording in real time; and how long a live source may be silent."""

from __future__ import annotations

from threading import Event

from lpnet_rt.clock import Clock
from lpnet_rt.settings import SourceSettings

__all__ = ["Pacer", "silence_limit_s"]

_NAP_S = 0.05
_SILENT_FRAMES = 3


def silence_limit_s(settings: SourceSettings, rate_hz: float | None) -> float:
    """Return how long a live source may deliver nothing before it counts as lost, seconds.

    With reconnection, which costs little: ``frozen_after_s``, or three frame periods of a slow camera. Otherwise the
    run would end: ``open_timeout_s``.
    """
    if settings.reconnect == "never":
        return settings.open_timeout_s
    frames_s = _SILENT_FRAMES / rate_hz if rate_hz else 0.0
    return min(settings.open_timeout_s, max(settings.frozen_after_s, frames_s))


class Pacer:
    """Waits until each frame is due."""

    def __init__(self, clock: Clock, rate_hz: float) -> None:
        """Start with the first frame that is waited for.

        Args:
            clock: Clock for times and waits.
            rate_hz: Frames per second if the stream's times are missing or run backwards.
        """
        self._clock = clock
        self._period_s = 1.0 / rate_hz
        self._due_ns: int | None = None
        self._pts_s: float | None = None

    def wait(self, pts_s: float | None, closed: Event) -> int:
        """Wait until a frame is due.

        A late reader does not delay later frames.

        Args:
            pts_s: Time of the frame in its stream, seconds.
            closed: Set by another thread to end the wait early.

        Returns:
            Monotonic time at which the frame was due, nanoseconds.
        """
        if self._due_ns is None:
            self._due_ns = self._clock.monotonic_ns()
        else:
            gap_s = pts_s - self._pts_s if pts_s is not None and self._pts_s is not None else 0.0
            self._due_ns += round((gap_s if gap_s > 0 else self._period_s) * 1e9)
        self._pts_s = pts_s
        while not closed.is_set():
            left_s = (self._due_ns - self._clock.monotonic_ns()) / 1e9
            if left_s <= 0:
                break
            self._clock.sleep(min(left_s, _NAP_S))
        return self._due_ns
