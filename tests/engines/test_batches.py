from __future__ import annotations

from collections.abc import Sequence

import pytest

from lpnet_rt.engines.batches import Batcher, LRUCache
from lpnet_rt.errors import EngineError


class TooMuchError(Exception):
    """Of a device that holds a few items."""


class Device:
    """Doubles what it is given, a few items at a time."""

    def __init__(self, holds: int) -> None:
        self.holds = holds
        self.batches: list[int] = []

    def double(self, items: Sequence[int]) -> list[int]:
        self.batches.append(len(items))
        if len(items) > self.holds:
            raise TooMuchError
        return [2 * item for item in items]


def test_items_are_done_in_batches_and_in_order() -> None:
    device = Device(100)
    assert Batcher(4, TooMuchError, str).run(device.double, range(10)) == list(range(0, 20, 2))
    assert device.batches == [4, 4, 2]


def test_a_batch_that_does_not_fit_is_halved_once_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    device, batcher = Device(4), Batcher(8, TooMuchError, lambda: "12 of 80 MiB free")
    assert batcher.run(device.double, range(10)) == list(range(0, 20, 2))
    assert device.batches == [8, 4, 4, 2]
    assert batcher.run(device.double, range(5)) == list(range(0, 10, 2))
    assert device.batches[4:] == [4, 1]
    assert caplog.messages == ["too little device memory for 8 frames at once (12 of 80 MiB free); taking 4"]


@pytest.mark.parametrize(("holds", "most", "words"), [(2, 8, "4 frames"), (0, 1, "one frame")])
def test_where_half_does_not_fit_either_the_error_is_clear(holds: int, most: int, words: str) -> None:
    batcher = Batcher(most, TooMuchError, lambda: "3 MiB free")
    with pytest.raises(EngineError, match=rf"expected device memory for {words}, found too little \(3 MiB free\)"):
        batcher.run(Device(holds).double, range(8))


def test_other_errors_are_left_alone() -> None:
    def broken(items: Sequence[int]) -> list[int]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Batcher(4, TooMuchError, str).run(broken, range(8))


def test_what_was_longest_unused_is_let_go() -> None:
    made: list[str] = []

    def make(key: str) -> str:
        made.append(key)
        return key.upper()

    cache = LRUCache(make, 2)
    assert [cache[key] for key in "abacab"] == list("ABACAB")
    assert made == ["a", "b", "c", "b"]
    cache.clear()
    assert len(cache) == 0
