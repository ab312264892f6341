"""Notices of events for other outputs of the same process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from lpnet_rt.events.record import EventRecord

__all__ = ["EventHub", "EventListener", "EventNotice"]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EventNotice:
    """Something happened to an event.

    Attributes:
        kind: ``started``: its track was confirmed, and its record and chip are on disk. ``alarm``: it became an alarm.
            ``ended``: it is closed, and its clip is complete.
        record: What is known of it.
    """

    kind: Literal["started", "alarm", "ended"]
    record: EventRecord


EventListener = Callable[[EventNotice], None]


class EventHub:
    """Passes notices on; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: list[EventListener] = []

    def subscribe(self, listener: EventListener) -> Callable[[], None]:
        """Have a function called with every notice, in the thread of the source's event output.

        Args:
            listener: Must not block. Where it raises, that is logged, and it is not called again.

        Returns:
            A function that ends the subscription; harmless when called twice.
        """
        with self._lock:
            self._listeners.append(listener)
        return lambda: self._remove(listener)

    def publish(self, notice: EventNotice) -> None:
        """Call every listener."""
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            try:
                listener(notice)
            except Exception as error:  # a listener must not stop the others, or the recording
                _logger.warning("events: a listener failed and is left out from now on: %r", error)
                self._remove(listener)

    def _remove(self, listener: EventListener) -> None:
        with self._lock:
            if listener in self._listeners:
                self._listeners.remove(listener)
