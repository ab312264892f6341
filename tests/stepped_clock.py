"""A clock for tests that never wait."""

from __future__ import annotations


class SteppedClock:
    """Moves only when somebody sleeps or sets it, and remembers the naps.

    Attributes:
        now_ns: Its monotonic time; Unix time is 1.7e9 s more.
        naps_s: How long was slept each time.
    """

    def __init__(self, now_ns: int = 1_000_000_000) -> None:
        self.now_ns = now_ns
        self.naps_s: list[float] = []

    def monotonic_ns(self) -> int:
        return self.now_ns

    def unix_us(self) -> int:
        return 1_700_000_000_000_000 + self.now_ns // 1000

    def sleep(self, seconds: float) -> None:
        self.naps_s.append(seconds)
        self.now_ns += round(seconds * 1e9)
