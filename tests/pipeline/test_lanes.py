from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from lpnet_rt.pipeline.lanes import FullPolicy, LaneClosed, Lanes

WAIT_S = 10.0  # an upper bound for what should take no time; nothing waits this long unless it is broken
WAIT, DROP = FullPolicy.WAIT, FullPolicy.DROP_OLDEST


class Task:
    """A thread whose exception can be asked for."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.error: BaseException | None = None
        self.started = threading.Event()
        self._work = work
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self.started.wait(WAIT_S)

    def _run(self) -> None:
        self.started.set()
        try:
            self._work()
        except BaseException as error:
            self.error = error

    def finish(self) -> None:
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive(), "the thread hangs"

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()


def make(*lanes: tuple[int, FullPolicy], max_results: int = 100) -> Lanes[int, int]:
    return Lanes(lanes, max_results)


def work_off(lanes: Lanes[int, int], max_items: int = 1) -> list[tuple[int, int]]:
    """Do the worker's part until it is over: every item is its own result."""
    done = []
    try:
        while True:
            for number, item, _ in lanes.take(max_items):
                lanes.deliver(number, item)
                done.append((number, item))
    except LaneClosed:
        return done


def collect_all(lanes: Lanes[int, int], count: int) -> dict[int, list[int]]:
    """Everything up to the end of every lane."""
    collected: dict[int, list[int]] = {number: [] for number in range(count)}
    while not all(lanes.has_ended(number) for number in collected):
        for number, result in lanes.collect(WAIT_S):
            collected[number].append(result)
    return collected


def test_waiting_lanes_keep_everything_in_order() -> None:
    lanes = make((2, WAIT), (2, WAIT), max_results=2)

    def send(number: int) -> None:
        for item in range(2000):
            lanes.put(number, item)
        lanes.finish(number)

    tasks = [Task(lambda: send(0)), Task(lambda: send(1)), Task(lambda: work_off(lanes, 3))]
    assert collect_all(lanes, 2) == {0: list(range(2000)), 1: list(range(2000))}
    for task in tasks:
        task.finish()
        assert task.error is None


def test_a_full_waiting_lane_holds_its_sender_until_there_is_room() -> None:
    lanes = make((1, WAIT))
    lanes.put(0, 10)
    task = Task(lambda: lanes.put(0, 11))
    assert task.is_running
    assert lanes.take(1) == [(0, 10, 0)]
    assert lanes.take(1) == [(0, 11, 0)]
    task.finish()


def test_drop_oldest_keeps_the_newest_and_counts_for_its_lane_only() -> None:
    lanes = make((3, DROP), (3, DROP))
    for item in range(10):
        lanes.put(0, item)  # never waits
    lanes.put(1, 99)
    assert lanes.take(10) == [(0, 7, 7), (1, 99, 0), (0, 8, 7), (0, 9, 7)]


def test_lanes_are_served_in_turn_however_much_waits_in_one() -> None:
    lanes = make((9, WAIT), (9, WAIT), (9, WAIT))
    for item in range(6):
        lanes.put(0, item)
    lanes.put(1, 10)
    lanes.put(2, 20)
    assert [number for number, _, _ in lanes.take(2)] == [0, 1]
    assert [number for number, _, _ in lanes.take(2)] == [2, 0]


def test_a_lane_whose_results_are_not_collected_stands_still_and_holds_nobody_else() -> None:
    lanes = make((9, WAIT), (9, WAIT), max_results=1)
    for item in range(3):
        lanes.put(0, item)
        lanes.put(1, item)
    for number, item, _ in lanes.take(9):
        lanes.deliver(number, item)
    for item in (1, 2):
        assert lanes.collect(WAIT_S, without=[0]) == [(1, item - 1)]
        assert lanes.take(9) == [(1, item, 0)]
        lanes.deliver(1, item)
    assert lanes.collect(WAIT_S) == [(0, 0), (1, 2)]


def test_an_error_of_a_sender_is_kept_until_its_lane_is_drained() -> None:
    lanes = make((5, WAIT), (5, WAIT))
    lanes.put(0, 1)
    lanes.finish(0, OSError("the camera fell off"))
    lanes.finish(0, ValueError("second"))
    assert not lanes.has_ended(0)
    lanes.deliver(*lanes.take(1)[0][:2])
    assert not lanes.has_ended(0)
    assert lanes.collect(WAIT_S) == [(0, 1)]
    assert lanes.has_ended(0)
    assert str(lanes.error_of(0)) == "the camera fell off"
    assert lanes.error_of(1) is None
    assert not lanes.has_ended(1)


def test_a_worker_that_fails_ends_every_lane_after_what_it_delivered() -> None:
    lanes = make((5, WAIT), (5, WAIT))
    lanes.put(0, 1)
    lanes.put(1, 2)
    lanes.deliver(*lanes.take(1)[0][:2])
    lanes.fail(OSError("out of memory"))
    with pytest.raises(LaneClosed):
        lanes.put(1, 3)
    assert collect_all(lanes, 2) == {0: [1], 1: []}
    assert str(lanes.error_of(0)) == str(lanes.error_of(1)) == "out of memory"


def test_collect_returns_nothing_when_nothing_comes_in_time() -> None:
    assert make((1, WAIT)).collect(0) == []


def test_the_end_of_a_lane_wakes_whoever_collects() -> None:
    lanes = make((1, WAIT))
    task = Task(lambda: lanes.collect(WAIT_S))
    lanes.finish(0)
    task.finish()
    assert lanes.has_ended(0)


def test_closing_wakes_a_waiting_sender_and_the_worker() -> None:
    lanes = make((1, WAIT))
    lanes.put(0, 0)
    sender = Task(lambda: lanes.put(0, 1))
    assert sender.is_running
    lanes.close(0)
    sender.finish()
    assert isinstance(sender.error, LaneClosed)
    with pytest.raises(LaneClosed):
        lanes.take(1)


@pytest.mark.parametrize("policy", FullPolicy)
def test_a_closed_lane_takes_and_gives_nothing_and_the_others_go_on(policy: FullPolicy) -> None:
    lanes = make((2, policy), (2, policy))
    lanes.put(0, 1)
    lanes.put(1, 2)
    taken = lanes.take(1)
    lanes.close(0)
    lanes.deliver(*taken[0][:2])
    with pytest.raises(LaneClosed):
        lanes.put(0, 3)
    assert lanes.collect(0) == []
    lanes.deliver(*lanes.take(5)[0][:2])
    assert lanes.collect(WAIT_S) == [(1, 2)]
