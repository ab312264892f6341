"""Channel: a bounded queue between two stages, with a named policy for when it is full."""

from __future__ import annotations

import enum
import threading
from collections import deque
from typing import Generic, TypeVar

__all__ = ["Channel", "ChannelClosed", "FullPolicy"]

T = TypeVar("T")


class FullPolicy(enum.Enum):
    """What ``put`` does when the channel is full."""

    WAIT = "wait"
    """The sender waits: nothing is lost, order is kept (files)."""

    DROP_OLDEST = "drop-oldest"
    """The oldest item is dropped and counted: the receiver always gets the newest (cameras)."""


class ChannelClosed(Exception):  # noqa: N818 - an end, not an error
    """No further item will come."""


class Channel(Generic[T]):
    """Thread-safe; one sender, one receiver.

    Attributes:
        dropped: Items dropped so far.
    """

    def __init__(self, capacity: int, policy: FullPolicy) -> None:
        self.dropped = 0
        self._capacity, self._policy = capacity, policy
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._finished = self._aborted = False
        self._error: BaseException | None = None

    def put(self, item: T) -> None:
        """Hand an item over.

        Raises:
            ChannelClosed: The receiver wants no more.
        """
        with self._changed:
            if self._policy is FullPolicy.WAIT:
                self._changed.wait_for(lambda: self._aborted or len(self._items) < self._capacity)
            elif len(self._items) >= self._capacity:
                self._items.popleft()
                self.dropped += 1
            if self._aborted:
                raise ChannelClosed
            self._items.append(item)
            self._changed.notify_all()

    def get(self, timeout_s: float | None = None) -> T | None:
        """Take the next item, or None when none came in time.

        Raises:
            ChannelClosed: Every item was taken and the sender has finished.
            BaseException: The sender finished with this error, after every item before it was taken.
        """
        items = self.take(1, timeout_s)
        return items[0] if items else None

    def take(self, most: int, timeout_s: float | None = None) -> list[T]:
        """Take as many items as are there, at most ``most``; waits for the first alone. None came in time: no items.

        Raises:
            ChannelClosed: Every item was taken and the sender has finished.
            BaseException: The sender finished with this error, after every item before it was taken.
        """
        with self._changed:
            ready = self._changed.wait_for(lambda: self._items or self._finished or self._aborted, timeout_s)
            if not ready:
                return []
            if self._items and not self._aborted:
                items = [self._items.popleft() for _ in range(min(most, len(self._items)))]
                self._changed.notify_all()
                return items
            if self._error is not None:
                raise self._error
            raise ChannelClosed

    def finish(self, error: BaseException | None = None) -> None:
        """The sender's last word: no further item, and the error that ended it, if one did."""
        with self._changed:
            self._finished = True
            self._error = self._error or error
            self._changed.notify_all()

    def abort(self) -> None:
        """The receiver's last word: drop what is queued and wake the sender."""
        with self._changed:
            self._aborted = True
            self._items.clear()
            self._changed.notify_all()
