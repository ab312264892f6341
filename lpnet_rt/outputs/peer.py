"""One peer of an output: connects for ever, sends what waits, counts, and never holds the pipeline.

The pipeline only puts items into the peer's outbox. A thread of the peer's own opens the link, sends, and tries again
after a pause that grows, with jitter. A line is logged when the peer goes and when it is back.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Protocol

from lpnet_rt.clock import Clock
from lpnet_rt.errors import reason
from lpnet_rt.outputs.items import Item
from lpnet_rt.outputs.outbox import Outbox, OutboxLimits
from lpnet_rt.sources.backoff import Backoff
from lpnet_rt.text import one_line, printable, redact

__all__ = ["ItemRefusedError", "Link", "Peer", "PeerAwayError", "PeerCounts"]

_logger = logging.getLogger(__name__)

_IDLE_S = 0.05
_SETTLED_NS = 1_000_000_000  # a link that lasts so long counts as one that is back
_WARNING_NS = 60_000_000_000


class PeerAwayError(Exception):
    """The peer cannot be reached, or does not take anything; it is tried again.

    Attributes:
        retry_after_s: The peer's own wish for a pause, seconds, or None.
    """

    def __init__(self, why: str, retry_after_s: float | None = None) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s


class ItemRefusedError(Exception):
    """The peer refuses this item and would refuse it again; it is dropped."""


class Link(Protocol):
    """The connection to a peer, in its own words. Used from the peer's thread only."""

    @property
    def name(self) -> str:
        """Output and address, for log lines, without secrets."""
        ...

    def open(self) -> None:
        """Connect.

        Raises:
            PeerAwayError: Or OSError: it is not there.
        """
        ...

    def send(self, item: Item) -> None:
        """Send an item; on return the peer, or the network, has it.

        Raises:
            PeerAwayError: Or OSError: it has gone; the item will be sent again.
            ItemRefusedError: The item is refused.
        """
        ...

    def idle(self) -> None:
        """Read what the peer sends, and keep the connection alive; about every 50 ms.

        Raises:
            PeerAwayError: Or OSError: it has gone.
        """
        ...

    def close(self, is_orderly: bool) -> None:
        """Release the connection; harmless when it is not open. ``is_orderly``: say goodbye."""
        ...


@dataclass(frozen=True, slots=True)
class PeerCounts:
    """Counts of a peer so far.

    Attributes:
        sent: Items sent.
        dropped: Items dropped because the outbox was full or they were too old.
        refused: Items that the peer refused.
        connects: Times that the link was opened.
        waiting: Items that wait now.
        is_away: Whether the peer is away now.
    """

    sent: int
    dropped: int
    refused: int
    connects: int
    waiting: int
    is_away: bool


class Peer:
    """A link with its outbox and its thread."""

    def __init__(self, link: Link, limits: OutboxLimits, clock: Clock, backoff: Backoff | None = None) -> None:
        """Prepare; :meth:`start` begins.

        Args:
            link: From now on used by the peer only.
            limits: Bounds of the outbox.
            clock: Clock of the run.
            backoff: Pauses between attempts to connect.
        """
        self.outbox = Outbox(limits)
        self._link, self._clock = link, clock
        self._backoff = backoff or Backoff(first_s=0.5, early_limit_s=5.0, limit_s=30.0)
        self._sent = self._refused = self._connects = 0
        self._is_open = self._has_failed = False
        self._away_ns: int | None = None  # since when, monotonic; None: it is there
        self._opened_ns = self._retry_ns = 0
        self._dropped_when_away = 0
        self._warned_ns: int | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def name(self) -> str:
        """Output and address, without secrets."""
        return self._link.name

    @property
    def counts(self) -> PeerCounts:
        """Counts so far; may be read from any thread."""
        is_away = not self._is_open or self._away_ns is not None
        waiting = len(self.outbox)
        return PeerCounts(self._sent, self.outbox.dropped, self._refused, self._connects, waiting, is_away)

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name=f"lpnet-peer-{self.name[:40]}", daemon=True)
        self._thread.start()

    def put(self, item: Item, key: Hashable) -> None:
        """Hand over an item; never waits."""
        self.outbox.put(item, key, self._clock.monotonic_ns())

    def stop(self) -> None:
        """Ask the thread to send what waits and to end; returns at once."""
        self._stopping.set()
        with self.outbox.changed:
            self.outbox.changed.notify_all()

    def join(self, wait_s: float) -> None:
        """Wait for the thread; one that is stuck in a call is abandoned."""
        if self._thread is not None:
            self._thread.join(wait_s)

    def step(self) -> float:
        """Do one thing: connect, send an item, or read what the peer sends.

        Returns:
            Seconds until there may be more to do; a new item comes first.
        """
        now_ns = self._clock.monotonic_ns()
        try:
            if not self._is_open:
                self.outbox.first(now_ns)  # drop what is too old even while the peer is away
                return (self._retry_ns - now_ns) / 1e9 if now_ns < self._retry_ns else self._open()
            if self._away_ns is not None and now_ns - self._opened_ns >= _SETTLED_NS:
                self._note_back(now_ns)
            return self._work(now_ns)
        except PeerAwayError as error:
            return self._lose(str(error), error.retry_after_s)
        except Exception as error:  # a peer, or a library for it, must not end the output
            return self._lose(f"{type(error).__name__}: {reason(error)}")

    def _run(self) -> None:
        while not self._is_finished():
            pause_s = self.step()
            with self.outbox.changed:
                if pause_s > 0 and not self._stopping.is_set():
                    self.outbox.changed.wait(min(pause_s, 1.0))
        self._link.close(is_orderly=self._is_open)
        self._is_open = False

    def _is_finished(self) -> bool:
        """Whether to end: everything is sent, or the peer is away and nobody will wait for it."""
        return self._stopping.is_set() and (len(self.outbox) == 0 if self._is_open else self._has_failed)

    def _open(self) -> float:
        self._link.open()
        self._is_open = True
        self._connects += 1
        self._has_failed = False
        self._opened_ns = self._clock.monotonic_ns()
        return 0.0

    def _work(self, now_ns: int) -> float:
        entry = self.outbox.first(now_ns)
        if entry is None:
            self._link.idle()
            return _IDLE_S
        try:
            self._link.send(entry.item)
            self._sent += 1
        except ItemRefusedError as error:
            self._refused += 1
            self._warn(f"refuses what is sent: {error}")
        self.outbox.remove(entry)
        return 0.0

    def _lose(self, why: str, pause_s: float | None = None) -> float:
        """Note that the peer is away, and plan the next attempt."""
        now_ns = self._clock.monotonic_ns()
        was_settled = self._is_open and self._away_ns is None
        self._link.close(is_orderly=False)
        self._is_open, self._has_failed = False, True
        if self._away_ns is None:
            self._away_ns, self._dropped_when_away = now_ns, self.outbox.dropped
            _logger.warning("%s: away (%s); trying again for as long as the run lasts", self.name, _shown(why))
        if was_settled:
            self._backoff.reset()
        self._retry_ns = now_ns + round((pause_s or self._backoff.next_s((now_ns - self._away_ns) / 1e9)) * 1e9)
        return (self._retry_ns - now_ns) / 1e9

    def _note_back(self, now_ns: int) -> None:
        assert self._away_ns is not None
        away_s, lost = (now_ns - self._away_ns) / 1e9, self.outbox.dropped - self._dropped_when_away
        self._away_ns = None
        self._backoff.reset()
        _logger.warning("%s: back after %.0f s; %d items dropped meanwhile", self.name, away_s, lost)

    def _warn(self, what: str) -> None:
        """Log a warning, at most once per minute."""
        now_ns = self._clock.monotonic_ns()
        if self._warned_ns is None or now_ns - self._warned_ns >= _WARNING_NS:
            self._warned_ns = now_ns
            _logger.warning("%s: %s", self.name, _shown(what))


def _shown(text: str) -> str:
    return printable(redact(one_line(text)))
