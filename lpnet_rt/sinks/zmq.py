"""Publish frames, status and end of stream on a ZeroMQ socket.

The socket is an XPUB: to subscribers it is a PUB, and it lets the publisher see that somebody has subscribed. Sending
never blocks. A subscriber that does not read has up to ``high_water`` messages kept for it; what comes after that is
dropped for this subscriber alone, which sees a gap in ``seq``.
"""

from __future__ import annotations

import errno
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import zmq

from lpnet_rt.clock import Clock
from lpnet_rt.errors import SinkError
from lpnet_rt.messages import (
    EndMessage,
    FrameStamper,
    Message,
    StatusMessage,
    detection_topic,
    encode,
    topic_of,
)
from lpnet_rt.reports import Report
from lpnet_rt.settings import PublishSettings
from lpnet_rt.text import one_line

__all__ = ["ZmqSink"]

_STATUS_NS = 1_000_000_000
_LINGER_MS = 500
_POLL_S = 0.005
_LAST_PORT = 65_535
_KEEPALIVE_IDLE_S = 60
_MAX_REQUEST_BYTES = 4096
_REQUESTS_A_CALL = 64


class ZmqSink:
    """Publishes every report, a status once a second and an end-of-stream message.

    Used from one thread.

    Attributes:
        endpoint: Where the socket is bound; the real port where ``*`` was asked for.
    """

    def __init__(
        self,
        settings: PublishSettings,
        source: str,
        model: str,
        engine: str,
        clock: Clock,
        stamper: FrameStamper | None = None,
    ) -> None:
        """Bind the socket.

        Args:
            settings: Endpoint, waiting and high-water mark.
            source: Name of the source, as in its frames.
            model: Name of the model.
            engine: What runs the model.
            clock: Tells the time.
            stamper: Shared with other outputs of the same run, so that all write the same message for a frame.

        Raises:
            SinkError: The endpoint is malformed, in use or not permitted.
        """
        self._settings = settings
        self._source = source
        self._engine = one_line(engine)
        self._clock = clock
        self._stamper = stamper or FrameStamper(model, clock)
        self._frames = self._failed = self._detections = self._dropped = 0
        self._last_seq: int | None = None
        self._has_waited = False
        self._context = zmq.Context()
        try:
            self._socket = _bind(self._context, settings)
        except BaseException:
            self._context.term()
            raise
        self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self._started_ns = self._status_ns = clock.monotonic_ns()
        self._frames_at_status = 0

    def wait_for_subscriber(self, should_stop: Callable[[], bool] = lambda: False) -> bool:
        """Wait up to ``wait_subscriber_s`` for somebody to subscribe to the frames of this source.

        The first ``write`` does this where nobody has; call it yourself to be able to stop it.

        Args:
            should_stop: Asked every few milliseconds; True ends the waiting.

        Returns:
            True if there is a subscriber.
        """
        self._has_waited = True
        deadline_ns = self._clock.monotonic_ns() + int(self._settings.wait_subscriber_s * 1e9)
        while not self._read_requests():
            if self._clock.monotonic_ns() >= deadline_ns or should_stop():
                return False
            self._clock.sleep(_POLL_S)
        return True

    def write(self, report: Report) -> None:
        """Publish one frame; never blocks on a subscriber.

        Raises:
            SinkError: The sink is closed or the socket fails.
        """
        if self._socket.closed:
            raise SinkError(f"publish: {self.endpoint}: expected an open socket, found it closed; open a new sink")
        if not self._has_waited and self._settings.wait_subscriber_s:
            self.wait_for_subscriber()
        message = self._stamper.stamp(report)
        self._send(message)
        self._last_seq = message.seq
        self._frames += 1
        self._failed += message.error is not None
        self._detections += len(message.detections)
        self._dropped = message.dropped
        self.tick()

    def tick(self) -> None:
        """Publish the status if a second has passed; call it now and then while no frames come.

        Raises:
            SinkError: The socket fails.
        """
        if self._socket.closed:
            return
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._status_ns >= _STATUS_NS:
            self._read_requests()
            self._send(self._status(now_ns))
            self._status_ns, self._frames_at_status = now_ns, self._frames

    def close(self, outcome: str = "end") -> None:
        """Publish the end of the stream and release the port; harmless when called twice.

        Takes half a second at most, for subscribers that have yet to be sent what was published.

        Args:
            outcome: ``end``, ``interrupted`` or ``error: ...``.

        Raises:
            SinkError: The socket fails.
        """
        if self._socket.closed:
            return
        try:
            self._send(
                EndMessage(
                    session=self._stamper.session,
                    source=self._source,
                    last_seq=self._last_seq,
                    frames=self._frames,
                    reason=one_line(outcome),
                    t_publish_us=self._clock.unix_us(),
                )
            )
        finally:
            self._socket.close(linger=_LINGER_MS)
            self._context.term()

    def _status(self, now_ns: int) -> StatusMessage:
        interval_s = (now_ns - self._status_ns) / 1e9
        return StatusMessage(
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
        )

    def _send(self, message: Message) -> None:
        try:
            self._socket.send_multipart((topic_of(message), encode(message)), zmq.NOBLOCK)
        except zmq.ZMQError as error:
            raise SinkError(f"publish: {self.endpoint}: cannot send: {error.strerror}") from error

    def _read_requests(self) -> bool:
        """Read what subscribers have sent, so that it does not pile up; True if one subscribed to our frames."""
        subscribed = False
        topic = detection_topic(self._source)
        for _ in range(_REQUESTS_A_CALL):
            if not self._socket.poll(0):
                break
            request = self._socket.recv(zmq.NOBLOCK)
            subscribed |= request[:1] == b"\x01" and topic.startswith(request[1:])
        return subscribed


def _bind(context: zmq.Context[zmq.Socket[bytes]], settings: PublishSettings) -> zmq.Socket[bytes]:
    endpoint = settings.endpoint
    if endpoint.startswith("tcp://"):
        _refuse_bad_port(endpoint)
    if endpoint.startswith("ipc://"):
        _refuse_taken_path(Path(endpoint.removeprefix("ipc://")), endpoint)
    xpub = context.socket(zmq.XPUB)
    xpub.setsockopt(zmq.SNDHWM, settings.high_water)
    xpub.setsockopt(zmq.MAXMSGSIZE, _MAX_REQUEST_BYTES)
    xpub.setsockopt(zmq.TCP_KEEPALIVE, 1)
    xpub.setsockopt(zmq.TCP_KEEPALIVE_IDLE, _KEEPALIVE_IDLE_S)
    xpub.setsockopt(zmq.LINGER, 0)
    try:
        xpub.bind(endpoint)
    except zmq.ZMQError as error:
        xpub.close()
        raise SinkError(_bind_failure(endpoint, error)) from error
    return xpub


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
    """Refuse an ipc path that is a file or that somebody listens on: ZeroMQ would delete either without a word."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(mode):
        raise SinkError(f"publish: {endpoint}: expected a free path, found a file; give another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        if probe.connect_ex(str(path)) == 0:
            raise SinkError(f"publish: {endpoint}: in use by another program; stop it or give another path")
