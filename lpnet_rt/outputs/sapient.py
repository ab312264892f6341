"""SAPIENT (BSI Flex 335 v2.0) to a fusion node: TCP, a length of four bytes, little-endian, before each message."""

from __future__ import annotations

import logging
import struct
from typing import TYPE_CHECKING

from lpnet_rt.clock import Clock
from lpnet_rt.errors import DependencyError
from lpnet_rt.outputs.items import Item, StateItem
from lpnet_rt.outputs.peer import PeerAwayError
from lpnet_rt.outputs.sapient_messages import SapientWriter
from lpnet_rt.outputs.sightings import sighting_of
from lpnet_rt.outputs.streams import Stream
from lpnet_rt.settings.outputs import SapientSettings
from lpnet_rt.text import one_line, printable

if TYPE_CHECKING:
    from sapient_msg.bsi_flex_335_v2_0.sapient_message_pb2 import SapientMessage

__all__ = ["SapientLink", "framed"]

_logger = logging.getLogger(__name__)

_LENGTH = struct.Struct("<I")
_MESSAGE_BYTES = 1_048_576
_ACKNOWLEDGE_S = 10.0
_READ_S = 0.1
_COMPLAINT_NS = 60_000_000_000


class SapientLink:
    """The connection of one source to the fusion node: it registers, reports, and answers tasks."""

    def __init__(self, settings: SapientSettings, source: str, writer: SapientWriter, clock: Clock) -> None:
        """Prepare; nothing is connected yet.

        Args:
            settings: The fusion node.
            source: Name of the source, for log lines.
            writer: Writes its messages.
            clock: Clock of the run.

        Raises:
            DependencyError: The libraries for SAPIENT are missing.
        """
        try:
            import sapient_msg.bsi_flex_335_v2_0.sapient_message_pb2  # noqa: F401
            import ulid  # noqa: F401
        except ImportError as error:
            raise DependencyError(
                "sapient: sapient-proto and python-ulid are not installed; pip install '.[sapient]' in a checkout of "
                "lpnet-rt"
            ) from error
        self._settings, self._source, self._writer, self._clock = settings, source, writer, clock
        self._stream: Stream | None = None
        self._received = b""
        self._is_registered = False
        self._complained_ns: int | None = None

    @property
    def name(self) -> str:
        """Output, address and source."""
        return f"sapient {self._settings.host}:{self._settings.port} ({self._source})"

    def open(self) -> None:
        """Connect, register, and wait for the acknowledgement."""
        self._stream = Stream(self._settings.host, self._settings.port)
        self._received, self._is_registered = b"", False
        self._writer.forget()
        self._write(self._writer.registration())
        deadline_ns = self._clock.monotonic_ns() + round(_ACKNOWLEDGE_S * 1e9)
        while not self._is_registered:
            self._read(_READ_S)
            if self._clock.monotonic_ns() > deadline_ns:
                raise PeerAwayError(f"no answer to the registration for {_ACKNOWLEDGE_S:g} s")

    def send(self, item: Item) -> None:
        """Send a status or a detection report."""
        if isinstance(item, StateItem):
            self._write(self._writer.status(item))
            return
        sighting = sighting_of(item)
        message = None if sighting is None else self._writer.detection(sighting)
        if message is not None:
            self._write(message)

    def idle(self) -> None:
        """Read and answer what the fusion node sends."""
        self._read(0.0)

    def close(self, is_orderly: bool) -> None:
        """Close the connection; the last status has said goodbye."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _write(self, message: SapientMessage) -> None:
        assert self._stream is not None
        self._stream.write(framed(message))

    def _read(self, wait_s: float) -> None:
        """Read what has come, and answer every message that is whole."""
        from google.protobuf.message import DecodeError
        from sapient_msg.bsi_flex_335_v2_0.sapient_message_pb2 import SapientMessage

        assert self._stream is not None
        self._received += self._stream.read(wait_s)
        while len(self._received) >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(self._received)
            if size > _MESSAGE_BYTES:
                raise PeerAwayError(f"it sends a message of {size:,} bytes; is it a SAPIENT node?")
            if len(self._received) < _LENGTH.size + size:
                return
            body, self._received = self._received[_LENGTH.size :][:size], self._received[_LENGTH.size + size :]
            try:
                message = SapientMessage.FromString(body)
            except DecodeError:
                raise PeerAwayError("it sends what is no SAPIENT message") from None
            self._answer(message)

    def _answer(self, message: SapientMessage) -> None:
        kind = message.WhichOneof("content")
        if kind == "registration_ack":
            if not message.registration_ack.acceptance:
                why = "; ".join(message.registration_ack.ack_response_reason) or "no reason given"
                raise PeerAwayError(f"it rejects the registration: {why}")
            self._is_registered = True
        elif kind == "task":
            self._write(self._writer.rejection(message.task.task_id, message.node_id))
        elif kind == "error":
            self._complain("; ".join(message.error.error_message) or "an error without a text")

    def _complain(self, what: str) -> None:
        """Log what the fusion node did not like, at most once per minute."""
        now_ns = self._clock.monotonic_ns()
        if self._complained_ns is None or now_ns - self._complained_ns >= _COMPLAINT_NS:
            self._complained_ns = now_ns
            _logger.warning("%s: it reports an error: %s", self.name, printable(one_line(what)))


def framed(message: SapientMessage) -> bytes:
    """A message with its length before it."""
    body: bytes = message.SerializeToString()
    return _LENGTH.pack(len(body)) + body
