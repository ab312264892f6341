"""The clock: an argument wherever time matters, so that no test has to wait."""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["SYSTEM_CLOCK", "Clock", "SystemClock"]


class Clock(Protocol):
    """Tells the time and waits."""

    def monotonic_ns(self) -> int:
        """Nanoseconds of a clock that never goes back; for latencies and intervals."""
        ...

    def unix_us(self) -> int:
        """Unix time, microseconds; for messages."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The clock of the machine."""

    def monotonic_ns(self) -> int:
        """Nanoseconds since an arbitrary start."""
        return time.monotonic_ns()

    def unix_us(self) -> int:
        """Unix time, microseconds."""
        return time.time_ns() // 1000

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


SYSTEM_CLOCK: Clock = SystemClock()
