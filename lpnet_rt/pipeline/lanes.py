"""Lanes: bounded queues of several sources to one worker, each with a policy for when it is full.

A lane holds items that wait for the worker and results that wait for the receiver. The worker takes from all lanes in
turn, so that no lane starves another, and only from lanes with room for results: a lane whose results are not collected
stops without blocking the others.
"""

from __future__ import annotations

import enum
import threading
from collections import deque
from collections.abc import Collection, Sequence
from typing import Generic, TypeVar

__all__ = ["FullPolicy", "LaneClosed", "Lanes"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class FullPolicy(enum.Enum):
    """What ``put`` does when its lane is full."""

    WAIT = "wait"
    """The sender waits: nothing is lost (files)."""

    DROP_OLDEST = "drop-oldest"
    """The oldest item is dropped and counted: the worker gets the newest items (cameras)."""


class LaneClosed(Exception):  # noqa: N818 - an end, not an error
    """The lane has ended: nothing goes in or comes out any more."""


class _Lane(Generic[Item, Result]):
    def __init__(self, capacity: int, policy: FullPolicy) -> None:
        self.capacity, self.policy = capacity, policy
        self.items: deque[Item] = deque()
        self.results: deque[Result] = deque()
        self.in_work = self.dropped = 0
        self.is_finished = self.is_closed = False
        self.error: BaseException | None = None

    def close(self) -> None:
        self.is_closed = True
        self.items.clear()
        self.results.clear()


class Lanes(Generic[Item, Result]):
    """Thread-safe; one sender per lane, one worker, one receiver of all results."""

    def __init__(self, lanes: Sequence[tuple[int, FullPolicy]], max_results: int) -> None:
        """Create empty lanes.

        Args:
            lanes: Capacity and policy of each lane; lanes are referred to by index.
            max_results: Maximum number of results per lane, including items in work.
        """
        self._changed = threading.Condition()
        self._lanes: list[_Lane[Item, Result]] = [_Lane(capacity, policy) for capacity, policy in lanes]
        self._max_results = max_results
        self._next = 0
        self._failure: BaseException | None = None

    def put(self, number: int, item: Item) -> None:
        """Pass an item to the worker.

        Raises:
            LaneClosed: No more items are wanted.
        """
        lane = self._lanes[number]
        with self._changed:
            if lane.policy is FullPolicy.WAIT:
                self._changed.wait_for(lambda: self._refuses(lane) or len(lane.items) < lane.capacity)
            elif len(lane.items) >= lane.capacity:
                lane.items.popleft()
                lane.dropped += 1
            if self._refuses(lane):
                raise LaneClosed
            lane.items.append(item)
            self._changed.notify_all()

    def finish(self, number: int, error: BaseException | None = None) -> None:
        """As the sender: announce that no item will follow, with the error that ended the lane, if any."""
        lane = self._lanes[number]
        with self._changed:
            lane.is_finished = True
            lane.error = lane.error or error
            self._changed.notify_all()

    def take(self, max_items: int) -> list[tuple[int, Item, int]]:
        """As the worker: take items from all lanes in turn; waits only for the first.

        Returns:
            The lane's number, the item, and how many items its lane has dropped so far.

        Raises:
            LaneClosed: No lane will have another item.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._next_lane() is not None or self._is_over())
            taken: list[tuple[int, Item, int]] = []
            while len(taken) < max_items and (number := self._next_lane()) is not None:
                lane = self._lanes[number]
                taken.append((number, lane.items.popleft(), lane.dropped))
                lane.in_work += 1
                self._next = number + 1
            if not taken:
                raise LaneClosed
            self._changed.notify_all()
            return taken

    def deliver(self, number: int, result: Result) -> None:
        """As the worker: deliver the result of an item; there is room for it."""
        lane = self._lanes[number]
        with self._changed:
            lane.in_work -= 1
            if not lane.is_closed:
                lane.results.append(result)
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """As the worker: give up; existing results can still be collected, then every lane has ended."""
        with self._changed:
            self._failure = error
            for lane in self._lanes:
                lane.items.clear()
            self._changed.notify_all()

    def collect(self, timeout_s: float, without: Collection[int] = ()) -> list[tuple[int, Result]]:
        """Take one result from every lane that has one; waits for a result, the end of a lane, or the timeout.

        Args:
            timeout_s: Maximum wait, seconds.
            without: Lanes to skip.

        Returns:
            The lane's number and the result.
        """
        wanted = [number for number, lane in enumerate(self._lanes) if number not in without and not lane.is_closed]
        with self._changed:
            self._changed.wait_for(
                lambda: any(self._lanes[number].results or self._has_ended(number) for number in wanted), timeout_s
            )
            ready = [(number, self._lanes[number]) for number in wanted if self._lanes[number].results]
            collected = [(number, lane.results.popleft()) for number, lane in ready]
            if collected:
                self._changed.notify_all()
            return collected

    def has_ended(self, number: int) -> bool:
        """Return whether everything in a lane was collected and nothing will follow."""
        with self._changed:
            return self._has_ended(number)

    def error_of(self, number: int) -> BaseException | None:
        """Return the error that ended a lane: its sender's or the worker's, or None."""
        with self._changed:
            return self._lanes[number].error or self._failure

    def waiting(self, number: int) -> tuple[int, int]:
        """Return how many items of a lane wait for the worker, and how many results for the receiver."""
        with self._changed:
            lane = self._lanes[number]
            return len(lane.items), len(lane.results)

    def close(self, *numbers: int) -> None:
        """As the receiver: close lanes, drop waiting items and wake the senders."""
        with self._changed:
            for number in numbers:
                self._lanes[number].close()
            self._changed.notify_all()

    def _has_ended(self, number: int) -> bool:
        lane = self._lanes[number]
        if lane.results and not lane.is_closed:
            return False
        return self._refuses(lane) or (lane.is_finished and not lane.items and not lane.in_work)

    def _refuses(self, lane: _Lane[Item, Result]) -> bool:
        return lane.is_closed or self._failure is not None

    def _is_over(self) -> bool:
        ended = (lane.is_closed or (lane.is_finished and not lane.items) for lane in self._lanes)
        return self._failure is not None or all(ended)

    def _next_lane(self) -> int | None:
        """Return the next lane, in turn, that has an item and room for its result."""
        count = len(self._lanes)
        for step in range(count):
            number = (self._next + step) % count
            lane = self._lanes[number]
            if lane.items and lane.in_work + len(lane.results) < self._max_results:
                return number
        return None
