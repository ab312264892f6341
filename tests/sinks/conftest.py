from collections.abc import Callable, Iterator

import pytest
import zmq
from made_reports import make

from lpnet_rt.reports import Report

MakeReport = Callable[..., Report]


class SteppedClock:
    """Moves only when it is told to or when somebody sleeps."""

    def __init__(self) -> None:
        self.now_ns = 1_000

    def monotonic_ns(self) -> int:
        return self.now_ns

    def unix_us(self) -> int:
        return 1_700_000_000_000_000 + self.now_ns // 1000

    def sleep(self, seconds: float) -> None:
        self.now_ns += int(seconds * 1e9)


@pytest.fixture
def make_report() -> MakeReport:
    return make


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def subscribe() -> Iterator[Callable[..., zmq.Socket[bytes]]]:
    """Connect subscribers that are closed after the test."""
    context = zmq.Context()
    opened = []

    def connect(endpoint: str, topic: bytes = b"", high_water: int = 1000) -> zmq.Socket[bytes]:
        sub = context.socket(zmq.SUB)
        opened.append(sub)
        sub.setsockopt(zmq.RCVHWM, high_water)
        sub.setsockopt(zmq.RCVTIMEO, 5000)
        sub.setsockopt(zmq.LINGER, 0)
        sub.setsockopt(zmq.SUBSCRIBE, topic)
        sub.connect(endpoint)
        return sub

    yield connect
    for sub in opened:
        sub.close()
    context.term()
