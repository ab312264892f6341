"""Runners of sinks: each sink fails independently, and a slow disk, pipe or screen does not block the others.

A sink that never waits (the publisher) is called directly. Every other sink has a thread and a bounded queue. A sink
that fails, or takes no frame for five seconds, is given up: it is closed and its failure is kept for the run.
"""

from __future__ import annotations

import threading
from collections import deque

from lpnet_rt.clock import Clock
from lpnet_rt.errors import LpnetError, reason
from lpnet_rt.reports import Report
from lpnet_rt.sinks.base import Controls, Sink

__all__ = ["STALL_S", "DirectSink", "QueuedSink", "failure_of"]

STALL_S = 5.0

_QUEUED_REPORTS = 16
_QUEUED_BYTES = 64 * 2**20
_TICK_S = 0.05
_HASTE_S = 0.4


class DirectSink:
    """A sink that never waits, called in the caller's thread."""

    missed = 0

    def __init__(self, sink: Sink, name: str) -> None:
        self.name = name
        self.failure: str | None = None
        self._sink = sink
        self._is_closed = False

    @property
    def wants_stop(self) -> bool:
        """See :class:`SinkRunner`."""
        return isinstance(self._sink, Controls) and self._sink.wants_stop

    def offer(self, report: Report) -> bool:
        """Write the report at once."""
        if self.failure is None:
            try:
                self._sink.write(report)
            except Exception as error:  # a failure of one output must not stop the others
                self._give_up(error)
        return True

    def tick(self) -> None:
        """See :class:`SinkRunner`."""
        if self.failure is None:
            try:
                self._sink.tick()
            except Exception as error:  # as in offer
                self._give_up(error)

    def try_close(self, outcome: str, in_haste: bool = False) -> bool:
        """Close the sink at once."""
        self.close(outcome, in_haste)
        return True

    def close(self, outcome: str, in_haste: bool = False) -> None:
        """See :class:`SinkRunner`."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self._sink.close(outcome)
        except Exception as error:  # as in offer
            self.failure = self.failure or failure_of(error, self.name)

    def _give_up(self, error: Exception) -> None:
        self.failure = failure_of(error, self.name)
        self.close(f"error: {self.failure}")


class QueuedSink:
    """A sink with a thread and a bounded queue: 16 reports, or fewer if they exceed 64 MiB."""

    def __init__(self, sink: Sink, name: str, clock: Clock, *, lossy: bool) -> None:
        """Start the thread.

        Args:
            sink: From now on used only by the thread.
            name: Name of the output, for messages.
            clock: Clock for detecting stalls.
            lossy: Drop frames when the queue is full (a live source, a window) instead of waiting.
        """
        self.name = name
        self.missed = 0
        self._sink, self._clock, self._lossy = sink, clock, lossy
        self._changed = threading.Condition()
        self._queue: deque[Report] = deque()
        self._bytes = 0
        self._busy_since_ns: int | None = None
        self._outcome: str | None = None
        self._failure: str | None = None
        self._thread = threading.Thread(target=self._work, name=f"lpnet-sink-{name}", daemon=True)
        self._thread.start()

    @property
    def depth(self) -> int:
        """Number of reports that wait."""
        with self._changed:
            return len(self._queue)

    @property
    def failure(self) -> str | None:
        """See :class:`SinkRunner`."""
        with self._changed:
            return self._failure

    @property
    def wants_stop(self) -> bool:
        """See :class:`SinkRunner`."""
        return isinstance(self._sink, Controls) and self._sink.wants_stop

    def offer(self, report: Report) -> bool:
        """See :class:`SinkRunner`."""
        size = _bytes_of(report)
        with self._changed:
            self._notice_stall()
            if self._failure is not None:
                return True
            is_full = len(self._queue) >= _QUEUED_REPORTS or (
                len(self._queue) > 0 and self._bytes + size > _QUEUED_BYTES
            )
            if is_full and not self._lossy:
                return False
            if is_full:
                self.missed += 1
                return True
            self._queue.append(report)
            self._bytes += size
            self._changed.notify_all()
        return True

    def tick(self) -> None:
        """Check for a stall; the sink's own tick runs in its thread."""
        with self._changed:
            self._notice_stall()

    def try_close(self, outcome: str, in_haste: bool = False) -> bool:
        """Let the sink write its queue while it makes progress, and close it; never waits."""
        patience_s = _HASTE_S if in_haste else STALL_S
        with self._changed:
            self._outcome = self._outcome or outcome
            self._notice_stall(patience_s)
            self._changed.notify_all()
            is_abandoned = self._failure is not None and self._is_stuck(patience_s)
        # The thread of an abandoned sink is in a call that does not return.
        return is_abandoned or not self._thread.is_alive()

    def close(self, outcome: str, in_haste: bool = False) -> None:
        """See :class:`SinkRunner`."""
        while not self.try_close(outcome, in_haste):
            self._thread.join(_TICK_S)

    def _is_stuck(self, patience_s: float) -> bool:
        since = self._busy_since_ns
        return since is not None and self._clock.monotonic_ns() - since > patience_s * 1e9

    def _notice_stall(self, patience_s: float = STALL_S) -> None:
        """Give up a sink that has been busy with one frame for too long; called with the lock held."""
        if self._failure is None and self._is_stuck(patience_s):
            self._fail(f"{self.name}: took no frame for {patience_s:g} s; the output is given up")

    def _fail(self, failure: str) -> None:
        self._failure = failure
        self._queue.clear()
        self._bytes = 0
        self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._queue and self._outcome is None and self._failure is None:
                    self._changed.wait(_TICK_S)
                report = self._queue.popleft() if self._queue else None
                if report is not None:
                    self._bytes -= _bytes_of(report)
                is_last = report is None and (self._outcome is not None or self._failure is not None)
                outcome = self._outcome or f"error: {self._failure}"
                self._busy_since_ns = self._clock.monotonic_ns()
                self._changed.notify_all()
            self._step(report, outcome if is_last else None)
            with self._changed:
                self._busy_since_ns = None
            if is_last:
                return

    def _step(self, report: Report | None, outcome: str | None) -> None:
        """Call the sink once: write, close or tick."""
        try:
            if report is not None:
                self._sink.write(report)
            elif outcome is not None:
                self._sink.close(outcome)
            else:
                self._sink.tick()
        except Exception as error:  # a failure of one output must not stop the others
            with self._changed:
                if self._failure is None:
                    self._fail(failure_of(error, self.name))


def failure_of(error: Exception, name: str) -> str:
    """Return in one line why an output failed, with the type of an unexpected exception."""
    return str(error) if isinstance(error, LpnetError) else f"{name}: {type(error).__name__}: {reason(error)}"


def _bytes_of(report: Report) -> int:
    return report.frame.image.nbytes + report.score_map.nbytes
