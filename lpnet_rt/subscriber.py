"""Subscriber: receive what lpnet-rt publishes, and learn what was missed; the receiving side's Python API.

from lpnet_rt import Subscriber
from lpnet_rt.messages import FrameMessage

with Subscriber("tcp://127.0.0.1:5556") as subscriber:
    for event in subscriber:
        if isinstance(event, FrameMessage): ...
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal

import zmq

from lpnet_rt.endpoints import is_ipv6
from lpnet_rt.errors import MessageError, SettingsError
from lpnet_rt.keys import read_pair, read_public
from lpnet_rt.messages import (
    TOPIC_PREFIX,
    EndMessage,
    EventMessage,
    FrameMessage,
    Message,
    StatusMessage,
    decode,
    topics,
)

__all__ = ["Event", "Gap", "Joined", "OutOfOrder", "Restarted", "Silence", "StateChange", "Subscriber", "Unreadable"]

_HIGH_WATER = 256
_MAX_MESSAGE_BYTES = 2 * 2**20  # a frame of 10,000 detections is 1.5 MiB
_HEARTBEAT_MS = 2_000
_RECONNECT_MS = 100
_MAX_RECONNECT_MS = 5_000
_SILENCE_S = 2.5  # a status comes once per second
_RETRY_S = 2.0
_NO_AGREEMENT = "no agreement on keys: the publisher has none, or another than the server key"
_REASONS: dict[int, str] = {
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: "the publisher does not allow this key",
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: _NO_AGREEMENT,
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: _NO_AGREEMENT,
}


@dataclass(frozen=True, slots=True)
class Joined:
    """The first message of a source arrived, and frames had been published before it.

    Attributes:
        source: Name of the source.
        seq: Number of the first frame that can be received.
    """

    source: str
    seq: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages were published that this subscriber did not receive.

    Attributes:
        source: Name of the source.
        first_seq: Number of the first message missed.
        last_seq: Number of the last message missed.
        kind: ``frame``, ``event`` or ``status``: each has numbers of its own.
    """

    source: str
    first_seq: int
    last_seq: int
    kind: Literal["frame", "event", "status"] = "frame"

    @property
    def count(self) -> int:
        """Messages missed."""
        return self.last_seq - self.first_seq + 1


@dataclass(frozen=True, slots=True)
class Restarted:
    """The publisher restarted; numbers begin at 0."""

    source: str
    session: str


@dataclass(frozen=True, slots=True)
class OutOfOrder:
    """A frame came with an old number: two publishers may share a name."""

    source: str
    seq: int
    last_seq: int


@dataclass(frozen=True, slots=True)
class StateChange:
    """The source changed its state.

    Attributes:
        source: Name of the source.
        state: ``connecting``, ``live``, ``calibrating``, ``frozen``, ``lost`` or ``ended``.
        reason: Reason in one line, or None.
        since_us: Unix time at which the state began, microseconds, or None.
    """

    source: str
    state: str
    reason: str | None
    since_us: int | None


@dataclass(frozen=True, slots=True)
class Silence:
    """No message has come for some time, not even a status: the publisher or the connection is gone.

    Attributes:
        seconds: Duration of the silence.
        reason: Why, where the connection with keys was refused; None: not known.
    """

    seconds: float
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A message arrived that does not match the schema.

    Attributes:
        error: What was expected and what was found.
    """

    error: MessageError


Event = Message | Joined | Gap | Restarted | OutOfOrder | StateChange | Silence | Unreadable


@dataclass(slots=True)
class _Heard:
    session: str
    last_seq: int
    state: tuple[str, str | None] = ("live", None)
    last_event: int | None = None
    last_status: int | None = None


@dataclass(slots=True)
class Continuity:
    """Detects gaps, restarts and changes of state in a sequence of messages."""

    _heard: dict[str, _Heard] = field(default_factory=dict)

    def events_before(self, message: Message) -> list[Event]:
        """Return the events before a message: missed frames, a restart, a change of state."""
        events = self._numbers(message)
        heard = self._heard[message.source]
        if isinstance(message, EventMessage):
            events += _gap(message.source, heard.last_event, message.event_seq, "event")
            heard.last_event = message.event_seq
        if isinstance(message, StatusMessage):
            events += _gap(message.source, heard.last_status, message.status_seq, "status")
            heard.last_status = message.status_seq
            state = message.state, message.state_reason
            if state != heard.state:
                heard.state = state
                events.append(StateChange(message.source, *state, message.state_since_us))
        return events

    def _numbers(self, message: Message) -> list[Event]:
        source, is_frame, newest = message.source, isinstance(message, FrameMessage), newest_seq(message)
        heard = self._heard.get(source)
        if heard is None:
            self._heard[source] = _Heard(message.session, newest)
            first = newest if is_frame else newest + 1
            return [Joined(source, first)] if first > 0 else []
        events: list[Event] = []
        if message.session != heard.session:
            events.append(Restarted(source, message.session))
            heard.session, heard.last_seq = message.session, -1
            heard.last_event = heard.last_status = None
        last = heard.last_seq
        heard.last_seq = max(newest, last)
        if is_frame and newest <= last:
            events.append(OutOfOrder(source, newest, last))
        missed_to = newest - 1 if is_frame else newest
        if missed_to > last:
            events.append(Gap(source, last + 1, missed_to))
        return events


def _gap(source: str, last: int | None, seq: int, kind: Literal["event", "status"]) -> list[Event]:
    """What lies between two numbers; nothing is known of what came before the first."""
    return [Gap(source, last + 1, seq - 1, kind)] if last is not None and seq > last + 1 else []


def newest_seq(message: Message) -> int:
    """Return the number of the last frame that was published when a message was sent; -1 before the first."""
    newest = message.last_seq if isinstance(message, EndMessage) else message.seq  # of an event, its frame's
    return -1 if newest is None else newest


class Subscriber:
    """Receives from one or several publishers; each may start later, stop and come back.

    Iterating yields messages in order, and between them events: missed frames, a restarted publisher, a lost camera,
    silence. It does not end unless ``timeout_s`` is given. Used from one thread.

    Attributes:
        skipped: With ``latest_only``, number of frames skipped in favour of newer ones.
        last_payload: JSON object of the last message, as sent.
    """

    def __init__(
        self,
        *endpoints: str,
        sources: Sequence[str] | None = None,
        latest_only: bool = False,
        timeout_s: float | None = None,
        key: str | Path | None = None,
        server_key: str | Path | None = None,
    ) -> None:
        """Connect.

        Args:
            endpoints: Endpoints of publishers, such as ``tcp://127.0.0.1:5556``; at least one.
            sources: Names of the sources to receive; None: all.
            latest_only: Yield only the newest of several waiting frames of a source; everything else still comes in
                order.
            timeout_s: End the iteration when nothing came for this long, seconds; None: no limit.
            key: File with this client's own keys, ``NAME.key_secret``, for a publisher with keys; None: no keys.
            server_key: The publisher's public key: 40 characters, or its file ``server.key``; goes with ``key``.

        Raises:
            SettingsError: An endpoint is malformed, or a key cannot be used.
        """
        self.skipped = 0
        self.last_payload = b""
        self._latest_only, self._timeout_s = latest_only, timeout_s
        self._continuity = Continuity()
        self._waiting: deque[Event] = deque()
        self._heard_s = time.monotonic()
        self._is_silent = False
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._monitor: zmq.Socket[bytes] | None = None
        self._refusal: str | None = None
        self._tried_s = time.monotonic()
        try:
            if key is not None or server_key is not None:
                self._encrypt(key, server_key)
            self._prepare(endpoints, sources)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Subscriber:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Event]:
        """Yield events until nothing came for ``timeout_s``, or for ever."""
        while (event := self.receive(self._timeout_s)) is not None:
            yield event

    def receive(self, timeout_s: float | None = None) -> Event | None:
        """Return the next event, or None when none came in time.

        Args:
            timeout_s: Maximum wait, seconds; None: no limit.
        """
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._waiting:
            left_s = None if deadline_s is None else deadline_s - time.monotonic()
            if left_s is not None and left_s <= 0 and not self._socket.poll(0):
                return None
            self._wait(left_s)
        return self._waiting.popleft()

    def close(self) -> None:
        """Disconnect; harmless when called twice."""
        if not self._socket.closed:
            self._socket.disable_monitor()
            if self._monitor is not None:
                self._monitor.close(linger=0)
            self._socket.close(linger=0)
            self._context.term()

    def _encrypt(self, key: str | Path | None, server_key: str | Path | None) -> None:
        if key is None or server_key is None:
            missing = "the publisher's public key (server_key)" if server_key is None else "a key of its own (key)"
            raise SettingsError(f"subscriber: expected two keys, found none for {missing}; give both, or neither")
        pair = read_pair(key)
        self._socket.curve_publickey = pair.public.encode()
        self._socket.curve_secretkey = pair.secret.encode()
        self._socket.curve_serverkey = read_public(server_key).encode()
        self._monitor = self._socket.get_monitor_socket(sum(_REASONS))

    def _try_again(self) -> None:
        """Connect again where keys were refused, every two seconds: libzmq itself gives up after a refusal."""
        if self._monitor is None or time.monotonic() - self._tried_s < _RETRY_S:
            return
        from zmq.utils.monitor import recv_monitor_message  # it imports asyncio

        self._tried_s, endpoints = time.monotonic(), set[str]()
        while self._monitor.poll(0):
            event = recv_monitor_message(self._monitor)
            self._refusal = _REASONS[event["event"]]
            endpoints.add(event["endpoint"].decode())
        for endpoint in endpoints:
            with contextlib.suppress(zmq.ZMQError):  # libzmq has forgotten it already
                self._socket.disconnect(endpoint)
            self._socket.connect(endpoint)

    def _prepare(self, endpoints: Sequence[str], sources: Sequence[str] | None) -> None:
        self._socket.setsockopt(zmq.RCVHWM, _HIGH_WATER)
        self._socket.setsockopt(zmq.MAXMSGSIZE, _MAX_MESSAGE_BYTES)
        # Detect a publisher whose machine or cable is gone, and reconnect.
        self._socket.setsockopt(zmq.HEARTBEAT_IVL, _HEARTBEAT_MS)
        self._socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 3 * _HEARTBEAT_MS)
        self._socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, _MAX_RECONNECT_MS)
        prefixes = [TOPIC_PREFIX.encode()]
        if sources is not None:
            prefixes = [topic for source in sources for topic in topics(source).values()]
        for prefix in prefixes:
            self._socket.setsockopt(zmq.SUBSCRIBE, prefix)
        if not endpoints:
            raise SettingsError("subscriber: expected at least one endpoint, such as tcp://127.0.0.1:5556; found none")
        for endpoint in endpoints:
            self._socket.setsockopt(zmq.IPV6, is_ipv6(endpoint))
            try:
                self._socket.connect(endpoint)
            except zmq.ZMQError as error:
                raise SettingsError(
                    f"{endpoint}: not an endpoint to connect to ({error.strerror}); "
                    "expected one such as tcp://127.0.0.1:5556"
                ) from error

    def _wait(self, left_s: float | None) -> None:
        """Wait for a message and process it; silence becomes an event."""
        quiet_s = time.monotonic() - self._heard_s
        wait_s = left_s
        if not self._is_silent:
            until_silence_s = max(_SILENCE_S - quiet_s, 0.0)
            wait_s = until_silence_s if left_s is None else min(left_s, until_silence_s)
        if self._monitor is not None:
            self._try_again()
            wait_s = _RETRY_S if wait_s is None else min(wait_s, _RETRY_S)
        if self._socket.poll(None if wait_s is None else max(1, int(wait_s * 1000))):
            self._process()
        elif not self._is_silent and (quiet_s := time.monotonic() - self._heard_s) >= _SILENCE_S:
            self._is_silent = True
            self._waiting.append(Silence(round(quiet_s, 1), self._refusal))

    def _process(self) -> None:
        """Process one message, or with ``latest_only`` all waiting ones, skipping all but the newest frames."""
        messages = [self._read()]
        while self._latest_only and self._socket.poll(0):
            messages.append(self._read())
        self._heard_s, self._is_silent, self._refusal = time.monotonic(), False, None
        newest = {message.source: message for message in messages if isinstance(message, FrameMessage)}
        for message in messages:
            if isinstance(message, Unreadable):
                self._waiting.append(message)
                continue
            self._waiting.extend(self._continuity.events_before(message))
            if isinstance(message, FrameMessage) and newest[message.source] is not message:
                self.skipped += 1
            else:
                self._waiting.append(message)

    def _read(self) -> Message | Unreadable:
        parts = self._socket.recv_multipart()
        try:
            if len(parts) != 2:
                raise MessageError(f"message: expected 2 parts, topic and JSON, found {len(parts)}")
            message = decode(parts[0], parts[1])
        except MessageError as error:
            return Unreadable(error)
        self.last_payload = parts[1]
        return message
