"""Subscribe to a publisher and print what arrives, gaps, new starts and ends included."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import zmq

from lpnet_rt.endpoints import is_ipv6
from lpnet_rt.errors import MessageError, SettingsError, SourceError
from lpnet_rt.messages import TOPIC_PREFIX, EndMessage, FrameMessage, Message, StatusMessage, decode
from lpnet_rt.text import printable

__all__ = ["Continuity", "line_of", "listen"]

_HIGH_WATER = 256
_MAX_MESSAGE_BYTES = 2 * 2**20  # a frame of 10,000 detections is 1.5 MiB
_DETECTIONS_A_LINE = 4


class Continuity:
    """Notices what a subscriber has missed, from the session and ``seq`` of what it is sent."""

    def __init__(self) -> None:
        self._heard: dict[str, tuple[str, int]] = {}

    def notes_on(self, message: Message) -> list[str]:
        """Return what is worth saying before a message is printed: frames missed, a new start, a late joining."""
        source = message.source
        is_frame = isinstance(message, FrameMessage)
        newest = _newest_seq(message)
        known = self._heard.get(source)
        self._heard[source] = (message.session, max(newest, known[1] if known else -1))
        if known is None:
            first = newest if is_frame else newest + 1
            return [f"{source}: joined at seq {first}; what came before was not heard"] if first > 0 else []
        session, last = known
        notes = []
        if session != message.session:
            notes.append(f"{source}: the publisher has started again, session {message.session}")
            last = -1
            self._heard[source] = (message.session, newest)
        if is_frame and newest <= last:
            notes.append(f"{source}: seq {newest} came after seq {last}: two publishers may share this name")
        missed_to = newest - 1 if is_frame else newest
        missed = missed_to - last
        if missed > 0:
            notes.append(f"{source}: {missed} frame{'' if missed == 1 else 's'} missed, seq {last + 1} to {missed_to}")
        return notes


def listen(
    endpoint: str,
    *,
    count: int | None = None,
    timeout_s: float | None = None,
    as_json: bool = False,
    out: TextIO | None = None,
) -> int:
    """Print what a publisher sends until ``count`` frames came, nothing comes for ``timeout_s``, or Ctrl-C.

    Args:
        endpoint: ZeroMQ endpoint to connect to; the publisher may start later.
        count: Stop after this many frames; None goes on.
        timeout_s: Stop when nothing came for this long, seconds; None waits.
        as_json: Print the JSON objects, one per line, with all but ASCII escaped; what else is to be said goes to
            stderr.
        out: Where to print; None is standard output.

    Returns:
        Exit code: 0.

    Raises:
        SourceError: Nothing came at all before ``timeout_s``.
        SettingsError: The endpoint is malformed, or ``count`` or ``timeout_s`` is not positive.
    """
    if count is not None and count < 1:
        raise SettingsError(f"listen: expected a count of at least 1, found {count}")
    if timeout_s is not None and not 0 < timeout_s < 1e6:
        raise SettingsError(f"listen: expected a timeout of 0 to 1000000 seconds, found {timeout_s}")
    lines = out or sys.stdout
    notes = sys.stderr if as_json else lines
    with _subscription(endpoint) as sub:
        try:
            heard = _print_all(sub, count, timeout_s, lines if as_json else None, notes)
        except KeyboardInterrupt:
            return 0
    if not heard:
        raise SourceError(
            f"listen: {endpoint}: expected messages, found none within {timeout_s:g} s; "
            "check the address, and that a publisher runs there"
        )
    return 0


def line_of(message: Message) -> str:
    """One line for people."""
    if isinstance(message, StatusMessage):
        text = (
            f"status: {message.frames} frames, {message.fps:.1f} fps, {message.detections} detections, "
            f"{message.dropped} dropped, {message.failed} failed, {message.model} on {message.engine}"
        )
    elif isinstance(message, EndMessage):
        text = f"end of stream after {message.frames} frames: {message.reason}"
    elif message.error is not None:
        text = f"frame {message.frame}  failed: {message.error}"
    else:
        text = _frame_text(message)
    return printable(f"{message.source}  {text}")


def _frame_text(message: FrameMessage) -> str:
    found = message.detections
    parts = [f"frame {message.frame}"]
    parts += [] if message.pts_s is None else [f"{message.pts_s:.3f} s"]
    parts += [f"{message.latency_ms.total:.1f} ms", f"{len(found)} detection{'' if len(found) == 1 else 's'}"]
    parts += [f"({d.cx:.1f}, {d.cy:.1f}) {d.score:.2f}" for d in found[:_DETECTIONS_A_LINE]]
    parts += [f"and {len(found) - _DETECTIONS_A_LINE} more"] if len(found) > _DETECTIONS_A_LINE else []
    parts += [f"dropped {message.dropped}"] if message.dropped else []
    return "  ".join(parts)


def _newest_seq(message: Message) -> int:
    """The last seq that the publisher had sent when it sent this message; -1 before the first."""
    if isinstance(message, FrameMessage):
        return message.seq
    newest = message.seq if isinstance(message, StatusMessage) else message.last_seq
    return -1 if newest is None else newest


def _print_all(
    sub: zmq.Socket[bytes], count: int | None, timeout_s: float | None, json_lines: TextIO | None, notes: TextIO
) -> bool:
    """Print until the count or the silence is reached; True if anything came."""
    continuity = Continuity()
    frames, heard = 0, False
    timeout_ms = None if timeout_s is None else max(1, int(timeout_s * 1000))
    while sub.poll(timeout_ms):
        parts = sub.recv_multipart()
        heard = True
        try:
            message = _read(parts)
            line = line_of(message) if json_lines is None else _ascii_json(parts[1])
        except MessageError as error:
            print(printable(f"not understood: {error}"), file=notes, flush=True)
            continue
        for note in continuity.notes_on(message):
            print(printable(note), file=notes, flush=True)
        print(line, file=notes if json_lines is None else json_lines, flush=True)
        frames += isinstance(message, FrameMessage)
        if frames == count:
            break
    return heard


def _read(parts: list[bytes]) -> Message:
    if len(parts) != 2:
        raise MessageError(f"message: expected 2 parts, topic and JSON, found {len(parts)}")
    return decode(parts[0], parts[1])


def _ascii_json(payload: bytes) -> str:
    """Write a JSON object again in ASCII: what could act on a terminal, or end the line, is escaped."""
    try:
        text = json.dumps(json.loads(payload), allow_nan=False, separators=(",", ":"))
    except (ValueError, RecursionError) as error:  # fields that are not of the schema may hold anything
        raise MessageError(f"message: expected numbers that can be written again, found others: {error}") from error
    return text.replace("\x7f", "\\u007f")


@contextmanager
def _subscription(endpoint: str) -> Iterator[zmq.Socket[bytes]]:
    context = zmq.Context()
    sub = context.socket(zmq.SUB)
    try:
        sub.setsockopt(zmq.RCVHWM, _HIGH_WATER)
        sub.setsockopt(zmq.MAXMSGSIZE, _MAX_MESSAGE_BYTES)
        sub.setsockopt(zmq.IPV6, is_ipv6(endpoint))
        sub.setsockopt(zmq.SUBSCRIBE, TOPIC_PREFIX.encode())
        try:
            sub.connect(endpoint)
        except zmq.ZMQError as error:
            raise SettingsError(
                f"listen: {endpoint}: not an endpoint to connect to ({error.strerror}); "
                "expected one such as tcp://127.0.0.1:5556"
            ) from error
        yield sub
    finally:
        sub.close(linger=0)
        context.term()
