from collections.abc import Callable, Iterator

import pytest
import zmq
from made_reports import make
from stepped_clock import SteppedClock

from lpnet_rt.reports import Report

MakeReport = Callable[..., Report]


@pytest.fixture
def make_report() -> MakeReport:
    return make


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock(1_000)


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
