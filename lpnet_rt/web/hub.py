"""Hub: wakes the viewers whenever something may be new, at a rate that the machine can afford."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from lpnet_rt.clock import Clock
from lpnet_rt.stamping import FrameStamper
from lpnet_rt.web.controls import Controls
from lpnet_rt.web.event_log import EventLog
from lpnet_rt.web.feed import Feed
from lpnet_rt.web.pictures import PictureMaker

__all__ = ["Hub", "Pace"]

_FASTEST_S, _SLOWEST_S = 1 / 15, 1.0
_IDLE_S = 0.25
_SECOND_NS = 1_000_000_000
# Share of one processor that pictures may take, for each processor of the machine.
_SHARE = 0.03
# With more viewers than these, pictures come less often, in proportion.
_VIEWERS_AT_FULL_RATE = 5


class Pace:
    """The time between pictures: it grows while the server's thread takes over its share of the processors."""

    def __init__(self, processors: int) -> None:
        self.period_s = _FASTEST_S
        self._share = _SHARE * processors
        self._busy_s = 0.0

    def next_s(self, busy_s: float, passed_s: float, viewers: int = 1) -> float:
        """Return the time to the next pictures, seconds.

        Args:
            busy_s: Processor time of the server's thread since the last call, seconds.
            passed_s: Time since the last call, seconds.
            viewers: How many there are.
        """
        # Smoothed over some seconds, so that one large picture or a page being loaded does not slow the others.
        weight = min(1.0, passed_s / 2.0)
        self._busy_s += weight * (busy_s / max(passed_s, 1e-6) - self._busy_s)
        factor = 1.1 if self._busy_s > self._share else 0.95
        fastest_s = _FASTEST_S * max(1.0, viewers / _VIEWERS_AT_FULL_RATE)
        self.period_s = min(_SLOWEST_S, max(fastest_s, self.period_s * factor))
        return self.period_s


class _Status(Struct, frozen=True, kw_only=True):
    """The message of every second."""

    kind: str
    sources: dict[str, object]
    threshold: float
    viewers: int
    picture_hz: float


class Hub:
    """What all viewers share.

    Attributes:
        feeds: The sources, by name, in order.
        events: The events.
        controls: What may be changed.
        pictures: Encodes pictures.
        viewers: Number of open WebSockets.
        status: The latest message of a second, JSON.
        status_number: Its number.
    """

    def __init__(
        self, feeds: Sequence[Feed], events: EventLog, controls: Controls, stamper: FrameStamper, clock: Clock
    ) -> None:
        """Begin without viewers.

        Args:
            feeds: The sources, in order.
            events: The events.
            controls: What may be changed.
            stamper: Knows session, model and polarity.
            clock: Clock of the run.
        """
        self.feeds = {feed.name: feed for feed in feeds}
        self.events, self.controls = events, controls
        self.pictures = PictureMaker(stamper, clock)
        self.model, self.session = stamper.model, stamper.session
        self.viewers = 0
        self.status, self.status_number = b"", 0
        self._clock = clock
        self._news = asyncio.Event()
        self._pace = Pace(os.cpu_count() or 1)

    async def run(self) -> None:
        """Wake the viewers until cancelled."""
        second_ns = self._clock.monotonic_ns()
        busy_s, at_ns = time.thread_time(), second_ns
        while True:
            await asyncio.sleep(self._pace.period_s if self.viewers else _IDLE_S)
            now_ns, now_busy_s = self._clock.monotonic_ns(), time.thread_time()
            self._pace.next_s(now_busy_s - busy_s, (now_ns - at_ns) / 1e9, self.viewers)
            busy_s, at_ns = now_busy_s, now_ns
            if now_ns - second_ns >= _SECOND_NS:
                second_ns += _SECOND_NS * ((now_ns - second_ns) // _SECOND_NS)
                self._end_second()
            self.wake()

    def wake(self) -> None:
        """Wake everybody who waits for news."""
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def wait(self) -> None:
        """Wait until something may be new."""
        await self._news.wait()

    def _end_second(self) -> None:
        status = _Status(
            kind="status",
            sources={name: feed.end_second() for name, feed in self.feeds.items()},
            threshold=self.controls.threshold,
            viewers=self.viewers,
            picture_hz=round(1 / self._pace.period_s, 1),
        )
        self.status, self.status_number = msgspec.json.encode(status), self.status_number + 1
