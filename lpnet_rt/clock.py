"""The clock: passed as an argument, so that tests need not wait."""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["SYSTEM_CLOCK", "Clock", "SystemClock"]


class Clock(Protocol):
    """Tells the time and waits."""

    def monotonic_ns(self) -> int:
        """Return nanoseconds of a monotonic clock, for latencies and intervals."""
        ...

    def unix_us(self) -> int:
        """Return the Unix time in microseconds, for messages."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The system clock."""

    def monotonic_ns(self) -> int:
        """Return nanoseconds since an arbitrary start."""
        return time.monotonic_ns()

    def unix_us(self) -> int:
        """Return the Unix time in microseconds."""
        return time.time_ns() // 1000

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


SYSTEM_CLOCK: Clock = SystemClock()
