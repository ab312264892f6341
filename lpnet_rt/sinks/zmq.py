"""Publish frames, status, welcomes and end of stream on a ZeroMQ socket.

The socket is an XPUB: a PUB for subscribers that also shows the publisher their subscriptions. Sending never blocks. Up
to ``high_water`` messages are queued for a slow subscriber; further ones are dropped for this subscriber only, which
sees a gap in ``seq``. The input from peers is limited, see ``peers.py``.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq

from lpnet_rt import __version__
from lpnet_rt.clock import Clock
from lpnet_rt.endpoints import is_ipv6
from lpnet_rt.errors import SinkError
from lpnet_rt.messages import (
    EndMessage,
    FrameStamper,
    Message,
    StatusMessage,
    WelcomeMessage,
    encode,
    event_messages,
    topic_of,
    topics,
)
from lpnet_rt.reports import Report
from lpnet_rt.settings import PublishSettings
from lpnet_rt.sinks.peers import MAX_REQUEST_BYTES, PeerGuard
from lpnet_rt.sources.states import SourceState, StateLog
from lpnet_rt.text import one_line, redact

__all__ = ["Publisher", "ZmqSink"]

_STATUS_NS = 1_000_000_000
_WELCOME_NS = 100_000_000
_HEARTBEAT_MS = 5_000
_LINGER_MS = 500
_POLL_S = 0.005
_LAST_PORT = 65_535
_KEEPALIVE_IDLE_S = 60
_REQUESTS_KEPT = 20
_REQUESTS_NS = 5_000_000
_FOREIGN_BYTES = 65_536
_SEND_BUFFER_BYTES = 65_536
_RECEIVE_BUFFER_BYTES = 4_096
_NOT_FOR_OTHERS = 0o117


class Publisher:
    """The socket, for any number of sources; used from one thread.

    Attributes:
        endpoint: Endpoint that it is bound to, with the actual port for ``*``.
    """

    def __init__(self, settings: PublishSettings, high_water: int = 1_000) -> None:
        """Bind the socket.

        Args:
            settings: Endpoint and high-water mark.
            high_water: Messages queued for a slow subscriber if the settings do not say.

        Raises:
            SinkError: The endpoint is malformed, in use or not permitted.
        """
        self._topics: tuple[bytes, ...] = ()
        self._subscribed: set[bytes] = set()
        self._newcomers: set[bytes] = set()
        self._foreign_bytes = 0
        self._context = zmq.Context()
        self._socket = _socket(self._context, settings, settings.high_water or high_water)
        self._guard = PeerGuard(self._socket)
        try:
            _bind(self._socket, settings.endpoint)
        except BaseException:
            self.close(linger_ms=0)
            raise
        self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)

    @property
    def is_closed(self) -> bool:
        """True after :meth:`close`."""
        return bool(self._socket.closed)

    def add_source(self, name: str) -> None:
        """Add a source: subscriptions to its topics are tracked."""
        self._topics += tuple(topics(name).values())

    def send(self, message: Message) -> None:
        """Send a message under its topic; never blocks on a subscriber.

        Raises:
            SinkError: The socket is closed or fails.
        """
        if self.is_closed:
            raise SinkError(f"publish: {self.endpoint}: expected an open socket, found it closed; open a new sink")
        try:
            self._socket.send_multipart((topic_of(message), encode(message)), zmq.NOBLOCK)
        except zmq.ZMQError as error:
            raise SinkError(f"publish: {self.endpoint}: cannot send: {error.strerror}") from error

    def has_subscriber(self, topic: bytes) -> bool:
        """Return whether a topic has a subscriber."""
        return any(topic.startswith(prefix) for prefix in self._subscribed)

    def has_newcomer(self, topic: bytes) -> bool:
        """Return whether a topic has a new subscriber since the last call."""
        is_new = topic in self._newcomers
        self._newcomers.discard(topic)
        return is_new

    def read_requests(self) -> None:
        """Read the subscribers' requests, so that they do not accumulate.

        Stores prefixes of our own topics, of which there are about a hundred, and only the total size of others; a
        peer that adds to them over the limit is cut.
        """
        until_ns = time.monotonic_ns() + _REQUESTS_NS
        while time.monotonic_ns() < until_ns:
            try:
                # Not polled by EVENTS, which would hold the GIL while libzmq processes the input.
                frame = self._socket.recv(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                break
            request = frame.bytes
            kind, prefix = request[:1], request[1:]
            is_ours = any(topic.startswith(prefix) for topic in self._topics)
            if kind == b"\x01" and is_ours:
                self._subscribed.add(prefix)
                self._newcomers.update(topic for topic in self._topics if topic.startswith(prefix))
            elif kind == b"\x01":
                self._foreign_bytes += len(request)
                if self._foreign_bytes > _FOREIGN_BYTES:
                    self._guard.cut(int(frame.get(zmq.SRCFD)))
            elif kind == b"\x00" and is_ours:
                self._subscribed.discard(prefix)
            elif kind == b"\x00":
                self._foreign_bytes = max(0, self._foreign_bytes - len(request))

    def close(self, linger_ms: int = _LINGER_MS) -> None:
        """Release the port; harmless when called twice.

        Args:
            linger_ms: Time to finish sending, milliseconds.
        """
        if not self._socket.closed:
            self._guard.close()
            self._socket.close(linger=linger_ms)
            self._context.term()


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


def _socket(context: zmq.Context[zmq.Socket[bytes]], settings: PublishSettings, high_water: int) -> zmq.Socket[bytes]:
    """Create the socket, with limits on its queues for peers and on their input."""
    xpub = context.socket(zmq.XPUB)
    xpub.setsockopt(zmq.SNDHWM, high_water)
    # Report duplicate subscriptions as well, so that each new subscriber is welcomed.
    xpub.setsockopt(zmq.XPUB_VERBOSE, 1)
    # Larger system buffers would queue megabytes more for a peer that does not read.
    xpub.setsockopt(zmq.SNDBUF, _SEND_BUFFER_BYTES)
    # Read little of a peer's input before the guard has measured it.
    xpub.setsockopt(zmq.RCVBUF, _RECEIVE_BUFFER_BYTES)
    xpub.setsockopt(zmq.RCVHWM, _REQUESTS_KEPT)
    xpub.setsockopt(zmq.MAXMSGSIZE, MAX_REQUEST_BYTES)
    # Detect and drop a peer that disappeared (unplugged cable, sleeping laptop).
    xpub.setsockopt(zmq.HEARTBEAT_IVL, _HEARTBEAT_MS)
    xpub.setsockopt(zmq.HEARTBEAT_TIMEOUT, 3 * _HEARTBEAT_MS)
    xpub.setsockopt(zmq.TCP_KEEPALIVE, 1)
    xpub.setsockopt(zmq.TCP_KEEPALIVE_IDLE, _KEEPALIVE_IDLE_S)
    xpub.setsockopt(zmq.LINGER, 0)
    xpub.setsockopt(zmq.IPV6, is_ipv6(settings.endpoint))
    return xpub


def _bind(xpub: zmq.Socket[bytes], endpoint: str) -> None:
    is_ipc = endpoint.startswith("ipc://")
    if endpoint.startswith("tcp://"):
        _refuse_bad_port(endpoint)
    if is_ipc:
        _refuse_taken_path(Path(endpoint.removeprefix("ipc://")), endpoint)
    # Owner and group may connect to a Unix socket: write permission on its file decides.
    mask = os.umask(_NOT_FOR_OTHERS) if is_ipc else None
    try:
        xpub.bind(endpoint)
    except zmq.ZMQError as error:
        raise SinkError(_bind_failure(endpoint, error)) from error
    finally:
        if mask is not None:
            os.umask(mask)


def _bind_failure(endpoint: str, error: zmq.ZMQError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"publish: {endpoint}: the port is in use by another program; stop it, give another with --publish "
            "or run with --no-publish"
        )
    if error.errno == errno.EACCES:
        return f"publish: {endpoint}: not permitted; give a port over 1023 or a path that can be written"
    return (
        f"publish: {endpoint}: cannot be bound ({error.strerror}); "
        "expected an address of this machine, such as tcp://127.0.0.1:5556"
    )


def _refuse_bad_port(endpoint: str) -> None:
    """Refuse a port over 65535: ZeroMQ would bind another one, modulo 65536."""
    port = endpoint.rpartition(":")[2]
    if port != "*" and not (port.isdecimal() and int(port) <= _LAST_PORT):
        raise SinkError(f"publish: {endpoint}: expected a port of 0 to {_LAST_PORT}, such as tcp://127.0.0.1:5556")


def _refuse_taken_path(path: Path, endpoint: str) -> None:
    """Refuse an ipc path that is a file or in use: ZeroMQ would silently delete either."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(mode):
        raise SinkError(f"publish: {endpoint}: expected a free path, found a file; give another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        if probe.connect_ex(str(path)) == 0:
            raise SinkError(f"publish: {endpoint}: in use by another program; stop it or give another path")
