"""The ZeroMQ socket that every source of a run publishes on.

It is an XPUB: a PUB for subscribers that also shows the publisher their subscriptions. Sending never blocks. Up to
``high_water`` messages are queued for a slow subscriber; further ones are dropped for this subscriber only, which sees
a gap in ``seq``. The input from peers is limited, see ``peers.py``. With keys, only allowed peers get in, see
``zap.py``, and those whose key is revoked are cut.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import time
from pathlib import Path

import zmq

from lpnet_rt.endpoints import is_ipv6
from lpnet_rt.errors import SinkError
from lpnet_rt.keys import KeyFolder
from lpnet_rt.messages import Message, encode, topic_of, topics
from lpnet_rt.settings import PublishSettings
from lpnet_rt.sinks.peers import MAX_REQUEST_BYTES, PeerGuard
from lpnet_rt.sinks.zap import Authenticator

__all__ = ["Publisher"]

_HEARTBEAT_MS = 5_000
_LINGER_MS = 500
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
            SettingsError: The keys cannot be used.
        """
        self._topics: tuple[bytes, ...] = ()
        self._subscribed: set[bytes] = set()
        self._newcomers: set[bytes] = set()
        self._foreign_bytes = 0
        self._users: dict[int, str] = {}
        pair = None if settings.keys is None else KeyFolder(settings.keys).server()
        self._context = zmq.Context()
        self._authenticator = None
        if settings.keys is not None and pair is not None:
            self._authenticator = Authenticator(self._context, KeyFolder(settings.keys), pair)
        self._allowed = None if self._authenticator is None else self._authenticator.allowed
        self._socket = _socket(self._context, settings, settings.high_water or high_water)
        if self._authenticator is not None:
            self._authenticator.protect(self._socket)
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
        self._cut_revoked()
        until_ns = time.monotonic_ns() + _REQUESTS_NS
        while time.monotonic_ns() < until_ns:
            try:
                # Not polled by EVENTS, which would hold the GIL while libzmq processes the input.
                frame = self._socket.recv(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                break
            request = frame.bytes
            kind, prefix = request[:1], request[1:]
            if (
                self._authenticator is not None and kind == b"\x01"
            ):  # libzmq itself unsubscribes for a peer that has gone
                self._note_user(frame)
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

    def _note_user(self, frame: zmq.Frame) -> None:
        """Note whose connection a request came from, and cut it if its key was revoked meanwhile."""
        number, key = int(frame.get(zmq.SRCFD)), str(frame.get("User-Id"))
        self._users[number] = key
        if self._authenticator is not None and key not in self._authenticator.allowed:
            self._guard.cut(number)

    def _cut_revoked(self) -> None:
        """Cut the connections of revoked keys; a peer that never subscribed is sent nothing anyway."""
        if self._authenticator is None or self._authenticator.allowed is self._allowed:
            return
        self._allowed = self._authenticator.allowed
        for number in [number for number, key in self._users.items() if key not in self._allowed]:
            self._guard.cut(number)
            del self._users[number]

    def close(self, linger_ms: int = _LINGER_MS) -> None:
        """Release the port; harmless when called twice.

        Args:
            linger_ms: Time to finish sending, milliseconds.
        """
        if not self._socket.closed:
            self._guard.close()
            self._socket.close(linger=linger_ms)
            if self._authenticator is not None:
                self._authenticator.close()
            self._context.term()


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
