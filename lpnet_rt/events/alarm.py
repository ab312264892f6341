"""Which events are alarms."""

from __future__ import annotations

import time
from dataclasses import dataclass

from lpnet_rt.settings import AlarmSettings

__all__ = ["AlarmRule", "Moment", "Motion"]


@dataclass(frozen=True, slots=True)
class Motion:
    """How far a target has moved from its first place, against the background.

    Attributes:
        px: Pixels of the frame.
    """

    px: float


@dataclass(frozen=True, slots=True)
class Moment:
    """When something was seen.

    Attributes:
        t_us: Unix time of capture, microseconds.
        t_s: Time in the stream, seconds.
        connection: Of the source; ``t_s`` can be compared only within one.
    """

    t_us: int
    t_s: float
    connection: tuple[int, int]

    def since_s(self, earlier: Moment) -> float:
        """Return the seconds since an earlier moment: of the stream, which a file may be ahead of, or of the clock."""
        stream_s = self.t_s - earlier.t_s if self.connection == earlier.connection else 0.0
        return max(stream_s, (self.t_us - earlier.t_us) / 1e6)


class AlarmRule:
    """Decides for one source; used from one thread."""

    def __init__(self, settings: AlarmSettings) -> None:
        self._settings = settings
        self._last: Moment | None = None
        self._quiet = [tuple(_minute(part) for part in hours.split("-")) for hours in settings.quiet_hours]

    def decide(self, motion: Motion, now: Moment) -> str | None:
        """Decide about a confirmed track that has not been an alarm yet.

        Args:
            motion: Of its target, so far.
            now: When it was last detected.

        Returns:
            Why it is no alarm, in one line; None if it is one now.
        """
        wanted = self._settings
        if motion.px < wanted.min_motion_px:
            return f"it moved {motion.px:.1f} px, less than {wanted.min_motion_px:g} px"
        if self._is_quiet(now.t_us):
            return "it came in quiet hours"
        if self._last is not None and now.since_s(self._last) < wanted.min_interval_s:
            return f"another alarm came less than {wanted.min_interval_s:g} s before"
        self._last = now
        return None

    def _is_quiet(self, t_us: int) -> bool:
        local = time.localtime(t_us / 1e6)
        minute = 60 * local.tm_hour + local.tm_min
        return any(
            begin <= minute < end if begin < end else minute >= begin or minute < end for begin, end in self._quiet
        )


def _minute(text: str) -> int:
    """Return the minute of the day of a time such as ``22:00``."""
    hours, _, minutes = text.partition(":")
    return 60 * int(hours) + int(minutes)
