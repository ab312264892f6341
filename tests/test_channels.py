from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from lpnet_rt.channels import Channel, ChannelClosed, FullPolicy

WAIT_S = 10.0  # an upper bound for what should take no time; nothing waits this long unless it is broken


class Task:
    """A thread whose result or exception can be asked for."""

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


def drain(channel: Channel[int]) -> list[int]:
    """Everything up to the end of the channel."""
    taken = []
    try:
        while True:
            item = channel.get(WAIT_S)
            assert item is not None, "nothing came"
            taken.append(item)
    except ChannelClosed:
        return taken


def test_a_waiting_channel_keeps_everything_in_order() -> None:
    channel: Channel[int] = Channel(2, FullPolicy.WAIT)

    def send() -> None:
        for number in range(5000):
            channel.put(number)
        channel.finish()

    task = Task(send)
    assert drain(channel) == list(range(5000))
    assert channel.dropped == 0
    task.finish()
    assert task.error is None


def test_a_full_waiting_channel_holds_its_sender_until_there_is_room() -> None:
    channel: Channel[int] = Channel(1, FullPolicy.WAIT)
    channel.put(0)
    task = Task(lambda: channel.put(1))
    assert task.is_running
    assert channel.get() == 0
    assert channel.get(WAIT_S) == 1
    task.finish()


def test_drop_oldest_keeps_the_newest_and_counts() -> None:
    channel: Channel[int] = Channel(3, FullPolicy.DROP_OLDEST)
    for number in range(10):
        channel.put(number)  # never waits
    assert channel.dropped == 7
    channel.finish()
    assert drain(channel) == [7, 8, 9]
    assert channel.dropped == 7


def test_finish_lets_the_receiver_drain_and_then_raises() -> None:
    channel: Channel[int] = Channel(5, FullPolicy.WAIT)
    channel.put(1)
    channel.put(2)
    channel.finish(OSError("the camera fell off"))
    assert channel.get() == 1
    assert channel.get() == 2
    for _ in range(2):
        with pytest.raises(OSError, match="fell off"):
            channel.get()


def test_the_first_error_stays() -> None:
    channel: Channel[int] = Channel(1, FullPolicy.WAIT)
    channel.finish(OSError("first"))
    channel.finish(ValueError("second"))
    with pytest.raises(OSError, match="first"):
        channel.get()


def test_get_returns_none_when_nothing_comes_in_time() -> None:
    channel: Channel[int] = Channel(1, FullPolicy.WAIT)
    assert channel.get(timeout_s=0) is None


def test_finish_wakes_a_waiting_receiver() -> None:
    channel: Channel[int] = Channel(1, FullPolicy.WAIT)
    task = Task(channel.get)
    channel.finish()
    task.finish()
    assert isinstance(task.error, ChannelClosed)


def test_abort_wakes_a_waiting_sender() -> None:
    channel: Channel[int] = Channel(1, FullPolicy.WAIT)
    channel.put(0)
    task = Task(lambda: channel.put(1))
    assert task.is_running
    channel.abort()
    task.finish()
    assert isinstance(task.error, ChannelClosed)


@pytest.mark.parametrize("policy", FullPolicy)
def test_after_abort_nothing_goes_in_or_comes_out(policy: FullPolicy) -> None:
    channel: Channel[int] = Channel(2, policy)
    channel.put(0)
    channel.abort()
    with pytest.raises(ChannelClosed):
        channel.put(1)
    with pytest.raises(ChannelClosed):
        channel.get()
    assert channel.dropped == 0


def test_as_many_as_are_there_are_taken_and_none_is_lost_to_an_error() -> None:
    channel: Channel[int] = Channel(8, FullPolicy.WAIT)
    for item in range(5):
        channel.put(item)
    assert channel.take(3) == [0, 1, 2]
    channel.finish(ValueError("broken"))
    assert channel.take(8) == [3, 4]
    with pytest.raises(ValueError, match="broken"):
        channel.take(8)
    assert Channel[int](1, FullPolicy.WAIT).take(4, timeout_s=0.01) == []
