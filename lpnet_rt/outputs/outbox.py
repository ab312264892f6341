"""What waits for a peer: bounded by number and by age, the oldest dropped first, each drop counted."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from lpnet_rt.outputs.items import EventItem, Item

__all__ = ["Entry", "Outbox", "OutboxLimits"]


@dataclass(frozen=True, slots=True)
class OutboxLimits:
    """Bounds of an outbox.

    Attributes:
        events: Most events that wait.
        updates: Most tracks and states that wait.
        keep_s: How long an event waits, seconds.
        fresh_s: How long a track or a state waits, seconds: an old one is of no use.
    """

    events: int = 1_000
    updates: int = 1_000
    keep_s: float = 3_600.0
    fresh_s: float = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """An item that waits.

    Attributes:
        number: Its place in the order of arrival.
        item: What to send.
        expires_ns: When it is dropped, monotonic clock.
    """

    number: int
    item: Item
    expires_ns: int


class Outbox:
    """Two bounded queues in one order: events, each of which counts, and updates, of which only the latest does.

    A flood of updates never displaces an event. Thread-safe; nothing waits.

    Attributes:
        dropped_full: Items dropped because the outbox was full.
        dropped_old: Items dropped because they had waited for too long.
    """

    def __init__(self, limits: OutboxLimits) -> None:
        self.dropped_full = self.dropped_old = 0
        self._limits = limits
        self._events: OrderedDict[Hashable, Entry] = OrderedDict()
        self._updates: OrderedDict[Hashable, Entry] = OrderedDict()
        self._next = 0
        self._lock = threading.Lock()
        self.changed = threading.Condition(self._lock)

    def __len__(self) -> int:
        with self._lock:
            return len(self._events) + len(self._updates)

    @property
    def dropped(self) -> int:
        """All items dropped so far."""
        return self.dropped_full + self.dropped_old

    def put(self, item: Item, key: Hashable, now_ns: int) -> None:
        """Add an item; an update replaces the one of the same key.

        Args:
            item: What to send.
            key: What an update is of; ignored for events.
            now_ns: Monotonic clock.
        """
        with self._lock:
            is_event = isinstance(item, EventItem)
            queue, limit = (self._events, self._limits.events) if is_event else (self._updates, self._limits.updates)
            keep_s = self._limits.keep_s if is_event else self._limits.fresh_s
            entry = Entry(self._next, item, now_ns + round(keep_s * 1e9))
            self._next += 1
            if is_event:
                key = entry.number
            queue.pop(key, None)
            queue[key] = entry
            if len(queue) > limit:
                queue.popitem(last=False)
                self.dropped_full += 1
            self.changed.notify_all()

    def first(self, now_ns: int) -> Entry | None:
        """The oldest item that has not expired, which stays; expired ones are dropped."""
        with self._lock:
            for queue in (self._events, self._updates):
                while queue and next(iter(queue.values())).expires_ns <= now_ns:
                    queue.popitem(last=False)
                    self.dropped_old += 1
            heads = [next(iter(queue.values())) for queue in (self._events, self._updates) if queue]
            return min(heads, key=lambda entry: entry.number, default=None)

    def remove(self, entry: Entry) -> None:
        """Remove an item that was sent; nothing if it was dropped or replaced meanwhile."""
        with self._lock:
            for queue in (self._events, self._updates):
                key = next(iter(queue), None)
                if key is not None and queue[key] is entry:
                    del queue[key]
                    return
