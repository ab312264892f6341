from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from lpnet_rt.errors import SinkError
from lpnet_rt.reports import Report
from lpnet_rt.sinks.runner import STALL_S, DirectSink, QueuedSink

WAIT_S = 20.0


class Gate:
    """A sink that stands still until it is let go, and notes what it was given."""

    def __init__(self) -> None:
        self.frames: list[int] = []
        self.outcomes: list[str] = []
        self.entered, self.released = threading.Event(), threading.Event()

    def write(self, report: Report) -> None:
        self.entered.set()
        assert self.released.wait(WAIT_S)
        self.frames.append(report.frame.index)

    def tick(self) -> None:
        pass

    def close(self, outcome: str = "end") -> None:
        self.outcomes.append(outcome)


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.released.set()


def fill(runner: QueuedSink, make_report: Callable[..., Report], most: int = 100) -> int:
    """Offer frames until one is not taken; how many were."""
    for index in range(most):
        if not runner.offer(make_report(index)):
            return index
    return most


def test_everything_that_was_taken_is_written_in_order_before_the_end(clock, gate, make_report) -> None:
    runner = QueuedSink(gate, "save", clock, lossy=False)
    taken = fill(runner, make_report)
    assert 16 <= taken <= 17, "the queue is not bounded"
    gate.released.set()
    runner.close("end")
    assert gate.frames == list(range(taken))
    assert gate.outcomes == ["end"]
    assert runner.failure is None


def test_a_live_source_leaves_frames_out_where_the_sink_is_behind(clock, gate, make_report) -> None:
    runner = QueuedSink(gate, "save", clock, lossy=True)
    assert fill(runner, make_report) == 100
    assert runner.missed >= 100 - 17
    gate.released.set()
    runner.close("end")
    assert len(gate.frames) + runner.missed == 100


def test_large_frames_are_queued_by_their_bytes(clock, gate, make_report) -> None:
    runner = QueuedSink(gate, "save", clock, lossy=False)
    report = make_report(0, (2000, 2000))  # 20 MB with its score map
    taken = 0
    while taken < 50 and runner.offer(report):
        taken += 1
    assert 3 <= taken <= 4


def test_a_sink_that_stands_still_is_given_up_and_holds_nobody(clock, gate, make_report) -> None:
    runner = QueuedSink(gate, "save", clock, lossy=False)
    fill(runner, make_report)
    assert gate.entered.wait(WAIT_S)
    clock.now_ns += int(STALL_S * 1.1e9)
    assert runner.offer(make_report(99)), "it is still waited for"
    assert runner.failure == "save: took no frame for 5 s; the output is given up"
    runner.close("end")  # returns although the sink does not
    assert gate.frames == []


def test_a_failure_closes_the_sink_with_its_reason(clock, make_report) -> None:
    class Full(Gate):
        def write(self, report: Report) -> None:
            raise SinkError("save: out.mp4: cannot be written: No space left on device")

    sink = Full()
    runner = QueuedSink(sink, "save", clock, lossy=False)
    runner.offer(make_report(0))
    runner.close("end")
    assert runner.failure == "save: out.mp4: cannot be written: No space left on device"
    assert sink.outcomes == ["end"] or sink.outcomes[0].startswith("error: save: out.mp4")
    assert runner.offer(make_report(1)), "a sink that was given up is waited for"


def test_a_failure_at_closing_is_kept(clock, make_report) -> None:
    class Unfinished(Gate):
        def close(self, outcome: str = "end") -> None:
            raise SinkError("save: out.mp4: cannot be finished")

    for runner in (
        QueuedSink(Unfinished(), "save", clock, lossy=False),
        DirectSink(Unfinished(), "save"),
    ):
        runner.close("end")
        assert runner.failure == "save: out.mp4: cannot be finished"


def test_a_sink_ticks_in_its_own_thread_while_nothing_comes(clock) -> None:
    class Ticking(Gate):
        def __init__(self) -> None:
            super().__init__()
            self.thread, self.ticked = "", threading.Event()

        def tick(self) -> None:
            self.thread = threading.current_thread().name
            self.ticked.set()

    sink = Ticking()
    runner = QueuedSink(sink, "window", clock, lossy=True)
    assert sink.ticked.wait(WAIT_S)
    assert sink.thread == "lpnet-sink-window"
    runner.close("interrupted")
    assert sink.outcomes == ["interrupted"]
