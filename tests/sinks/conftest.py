from collections.abc import Callable, Iterator

import numpy as np
import pytest
import zmq

from lpnet_rt.detections import detect
from lpnet_rt.frames import Frame
from lpnet_rt.reports import Latency, Report

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


def make(index: int = 0, size_hw: tuple[int, int] = (48, 64), error: str | None = None, **frame: object) -> Report:
    """A dark frame with one bright blob that moves one pixel a frame."""
    height, width = size_hw
    image = np.full(size_hw, 40, np.uint8)
    score_map = np.zeros(size_hw, np.float32)
    x, y = 5 + index % max(1, width - 10), height // 2
    image[y : y + 3, x : x + 3] = 220
    score_map[y : y + 3, x : x + 3] = 0.9
    values = {"source": "clip", "pts_s": index / 30, "t_capture_us": 1_700_000_000_000_000, "t_read_ns": 1}
    return Report(
        frame=Frame(image=image, index=index, **(values | frame)),
        detections=detect(score_map, image, 0.5),
        latency=Latency(0.1, 0.2, 3.0, 0.4, 3.7),
        score_map=score_map,
        error=error,
    )


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
