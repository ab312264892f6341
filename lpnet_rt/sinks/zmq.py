"""Publish the frames, events, status, welcomes and end of one source."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import UNSET

from lpnet_rt import __version__
from lpnet_rt.clock import Clock
from lpnet_rt.messages import EndMessage, StatusMessage, WelcomeMessage, topics
from lpnet_rt.reports import Report
from lpnet_rt.sinks.publisher import Publisher
from lpnet_rt.sources.states import SourceState, StateLog
from lpnet_rt.stamping import FrameStamper, event_messages
from lpnet_rt.text import one_line, redact

__all__ = ["ZmqSink"]

_STATUS_NS = 1_000_000_000
_WELCOME_NS = 100_000_000
_POLL_S = 0.005


class ZmqSink:
    """Publishes every report of a source, a status once per second and at every change of its state, and its end.

    Used from the publisher's thread.
    """

    def __init__(
        self,
        publisher: Publisher,
        source: str,
        engine: str,
        clock: Clock,
        stamper: FrameStamper,
        log: StateLog | None = None,
    ) -> None:
        """Announce the source.

        Args:
            publisher: The socket; sinks of several sources share it, and it stays open.
            source: Name of the source, as in its frames.
            engine: Name of the engine that runs the model.
            clock: Clock of the run.
            stamper: Shared by all outputs of the source, so that all write the same message for a frame.
            log: The source's states and counts, or None.
        """
        self._publisher = publisher
        self._source, self._engine = source, one_line(engine)
        self._clock, self._stamper, self._log = clock, stamper, log or StateLog()
        self._frames = self._failed = self._detections = self._dropped = self._late = 0
        self._last_seq: int | None = None
        self._statuses = self._events = 0
        self._is_closed = False
        self._topics = topics(source)
        publisher.add_source(source)
        self._started_ns = self._status_ns = clock.monotonic_ns()
        self._welcomed_ns: int | None = None
        self._frames_at_status = 0

    def wait_for_subscriber(self, wait_s: float, should_stop: Callable[[], bool] = lambda: False) -> bool:
        """Wait for a subscriber to the frames of this source.

        Args:
            wait_s: Wait up to this long, seconds.
            should_stop: Called every few milliseconds; True ends the wait.

        Returns:
            True if there is a subscriber.
        """
        deadline_ns = self._clock.monotonic_ns() + int(wait_s * 1e9)
        while True:
            self._publisher.read_requests()
            if self._publisher.has_subscriber(self._topics["frame"]):
                return True
            if self._clock.monotonic_ns() >= deadline_ns or should_stop():
                return False
            self._clock.sleep(_POLL_S)

    def write(self, report: Report) -> None:
        """Publish one frame; never blocks on a subscriber.

        Raises:
            SinkError: The publisher is closed or the socket fails.
        """
        message = self._stamper.stamp(report)
        self._publisher.send(message)
        for event in event_messages(report, message.session, self._events, message, message.t_publish_us):
            self._publisher.send(event)
            self._events += 1
        self._last_seq = message.seq
        self._frames += 1
        self._failed += message.error is not None
        self._detections += len(message.detections)
        self._dropped, self._late = message.dropped, report.frame.late
        self.tick()

    def tick(self) -> None:
        """Read subscribers' requests, welcome new ones, and publish the status when due.

        Call it regularly while no frames come.

        Raises:
            SinkError: The socket fails.
        """
        if self._publisher.is_closed:
            return
        self._publisher.read_requests()
        now_ns = self._clock.monotonic_ns()
        for state in self._log.take_changes():
            self._send_status(state, now_ns)
        if now_ns - self._status_ns >= _STATUS_NS:
            self._send_status(self._log.state, now_ns)
        is_early = self._welcomed_ns is not None and now_ns - self._welcomed_ns < _WELCOME_NS
        if not is_early and self._publisher.has_newcomer(self._topics["welcome"]):
            self._welcomed_ns = now_ns
            self._publisher.send(self._welcome())

    def close(self, outcome: str = "end") -> None:
        """Publish the end of the stream; harmless when called twice.

        Args:
            outcome: ``end``, ``interrupted`` or ``error: ...``.

        Raises:
            SinkError: The socket fails.
        """
        if self._is_closed or self._publisher.is_closed:
            return
        self._is_closed = True
        self._publisher.send(
            EndMessage(
                session=self._stamper.session,
                source=self._source,
                last_seq=self._last_seq,
                frames=self._frames,
                reason=one_line(redact(outcome)),
                t_publish_us=self._clock.unix_us(),
            )
        )

    def _welcome(self) -> WelcomeMessage:
        return WelcomeMessage(
            session=self._stamper.session,
            source=self._source,
            seq=self._last_seq,
            status_seq=self._statuses - 1 if self._statuses else None,
            state="live" if self._log.state is None else self._log.state.state,
            state_reason=_line(self._log.state.reason) if self._log.state is not None else None,
            model=self._stamper.model,
            engine=self._engine,
            software=f"lpnet-rt {__version__}",
            t_publish_us=self._clock.unix_us(),
            camera=UNSET if self._stamper.camera is None else self._stamper.camera,
        )

    def _send_status(self, state: SourceState | None, now_ns: int) -> None:
        interval_s = max((now_ns - self._status_ns) / 1e9, 1e-3)
        counts = self._log.counts
        message = StatusMessage(
            session=self._stamper.session,
            source=self._source,
            seq=self._last_seq,
            frames=self._frames,
            dropped=self._dropped,
            failed=self._failed,
            fps=round((self._frames - self._frames_at_status) / interval_s, 2),
            detections=self._detections,
            uptime_s=round((now_ns - self._started_ns) / 1e9, 3),
            model=self._stamper.model,
            engine=self._engine,
            t_publish_us=self._clock.unix_us(),
            status_seq=self._statuses,
            left_out=counts.left_out,
            late=self._late,
            corrupt_packets=counts.corrupt_packets,
            polarity=self._stamper.polarity,
            picture_notes=self._log.notes,
            **_fields(state),
        )
        self._publisher.send(message)
        self._statuses += 1
        self._status_ns, self._frames_at_status = now_ns, self._frames


def _fields(state: SourceState | None) -> dict[str, Any]:
    """Return a state's fields in a status message."""
    if state is None:
        return {}
    return {
        "state": state.state,
        "state_reason": _line(state.reason),
        "state_since_us": state.since_us,
        "reconnects": state.reconnects,
        "epoch": state.epoch,
    }


def _line(text: str | None) -> str | None:
    return None if text is None else one_line(redact(text))
