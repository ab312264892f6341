from __future__ import annotations

import threading
import time

import pytest

from lpnet_rt.sources.blocking import BlockingCalls, FinishedError


def test_results_and_exceptions_come_back() -> None:
    calls = BlockingCalls("calls")
    assert calls.call(lambda: threading.current_thread().name, 5.0) == "calls"
    with pytest.raises(ZeroDivisionError):
        calls.call(lambda: 1 // 0, 5.0)
    assert calls.call(lambda: 3, 5.0) == 3
    calls.finish(lambda: None)


def test_a_call_that_hangs_is_given_up_and_released_once_it_returns() -> None:
    calls = BlockingCalls("hangs")
    hangs, order = threading.Event(), []
    released = threading.Event()

    def job() -> None:
        hangs.wait(10)
        order.append("job")

    def release() -> None:
        order.append("release")
        released.set()

    with pytest.raises(TimeoutError):
        calls.call(job, 0.02)
    calls.finish(release)
    assert order == []
    hangs.set()
    assert released.wait(10)
    assert order == ["job", "release"]


def test_finish_lets_a_waiting_caller_go_and_refuses_the_next() -> None:
    calls = BlockingCalls("waits")
    hangs = threading.Event()
    threading.Timer(0.05, calls.finish, [lambda: None]).start()
    start = time.monotonic()
    with pytest.raises(FinishedError):
        calls.call(lambda: hangs.wait(10), 10.0)
    assert time.monotonic() - start < 5
    with pytest.raises(FinishedError):
        calls.call(lambda: None, 1.0)
    calls.finish(lambda: pytest.fail("released twice"))
    hangs.set()
