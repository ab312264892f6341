"""Subscribe to a publisher and print its messages, including gaps, restarts and ends."""

from __future__ import annotations

import json
import sys
from typing import TextIO

from lpnet_rt.errors import MessageError, SettingsError, SourceError
from lpnet_rt.messages import EndMessage, EventMessage, FrameMessage, Message, StatusMessage, WelcomeMessage
from lpnet_rt.subscriber import (
    Event,
    Gap,
    Joined,
    OutOfOrder,
    Restarted,
    Silence,
    StateChange,
    Subscriber,
    Unreadable,
)
from lpnet_rt.text import printable

_PLURALS = {"frame": "frames", "event": "events", "status": "statuses"}

__all__ = ["line_of", "listen", "note_of"]

_DETECTIONS_PER_LINE = 4


def listen(
    endpoint: str,
    *,
    count: int | None = None,
    timeout_s: float | None = None,
    as_json: bool = False,
    out: TextIO | None = None,
    keys: tuple[str | None, str | None] | None = None,
) -> int:
    """Print a publisher's messages until ``count`` frames came, nothing came for ``timeout_s``, or Ctrl-C.

    Args:
        endpoint: ZeroMQ endpoint to connect to; the publisher may start later.
        count: Stop after this many frames; None: no limit.
        timeout_s: Stop when nothing came for this long, seconds; None: no limit.
        as_json: Print the JSON objects, one per line, with non-ASCII characters escaped; notes go to stderr.
        out: Output stream; None is standard output.
        keys: File with this client's own keys, and the publisher's public key or its file; None: no keys.

    Returns:
        Exit code: 0.

    Raises:
        SourceError: Nothing came within ``timeout_s``.
        SettingsError: The endpoint is malformed, or ``count`` or ``timeout_s`` is not positive.
    """
    if count is not None and count < 1:
        raise SettingsError(f"listen: expected a count of at least 1, found {count}")
    if timeout_s is not None and not 0 < timeout_s < 1e6:
        raise SettingsError(f"listen: expected a timeout of 0 to 1000000 seconds, found {timeout_s}")
    lines = out or sys.stdout
    notes = sys.stderr if as_json else lines
    with _subscriber(endpoint, timeout_s, keys) as subscriber:
        try:
            heard = _print_all(subscriber, count, lines if as_json else None, notes)
        except KeyboardInterrupt:
            return 0
    if not heard:
        raise SourceError(
            f"listen: {endpoint}: expected messages, found none within {timeout_s:g} s; "
            "check the address, that a publisher runs there, and that both sides use keys or neither"
        )
    return 0


def _subscriber(endpoint: str, timeout_s: float | None, keys: tuple[str | None, str | None] | None) -> Subscriber:
    key, server_key = keys or (None, None)
    try:
        return Subscriber(endpoint, timeout_s=timeout_s, key=key, server_key=server_key)
    except SettingsError as error:
        raise SettingsError(f"listen: {error}") from error


def line_of(message: Message) -> str:
    """Return a message as one line of text."""
    if isinstance(message, StatusMessage):
        text = (
            f"status: {message.frames} frames, {message.fps:.1f} fps, {message.detections} detections, "
            f"{message.dropped} dropped, {message.failed} failed, {message.model} on {message.engine}"
        )
        text += "" if message.state == "live" else f", {message.state}"
    elif isinstance(message, EventMessage):
        position = f"({message.last.x:.1f}, {message.last.y:.1f})"
        text = f"track {message.track} {message.event} at {position}, probability {message.probability:.2f}"
        text += (
            "" if message.event == "started" else f", {message.duration_s:.1f} s, best score {message.best_score:.2f}"
        )
    elif isinstance(message, WelcomeMessage):
        text = f"welcome: {message.software}, {message.state}, {message.model} on {message.engine}"
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
    parts += [f"({d.cx:.1f}, {d.cy:.1f}) {d.score:.2f}" for d in found[:_DETECTIONS_PER_LINE]]
    parts += [f"and {len(found) - _DETECTIONS_PER_LINE} more"] if len(found) > _DETECTIONS_PER_LINE else []
    parts += [f"dropped {message.dropped}"] if message.dropped else []
    return "  ".join(parts)


def note_of(event: Event) -> str | None:
    """Return a subscriber's event as one line of text; None for a message."""
    match event:
        case Joined(source, seq):
            note = f"{source}: joined at seq {seq}; what came before was not heard"
        case Gap(source, first, last, kind):
            missed = f"1 {kind}" if event.count == 1 else f"{event.count} {_PLURALS[kind]}"
            note = f"{source}: {missed} missed, {'' if kind == 'frame' else f'{kind}_'}seq {first} to {last}"
        case Restarted(source, session):
            note = f"{source}: the publisher has started again, session {session}"
        case OutOfOrder(source, seq, last):
            note = f"{source}: seq {seq} came after seq {last}: two publishers may share this name"
        case StateChange(source, state, reason):
            note = f"{source}: {state}{'' if reason is None else f': {reason}'}"
        case Silence(_, str(reason)):
            note = f"refused: {reason}"
        case Silence(seconds):
            note = f"nothing has come for {seconds:.1f} s; the publisher or the connection is gone"
        case Unreadable(error):
            note = f"not understood: {error}"
        case _:
            return None
    return printable(note)


def _print_all(subscriber: Subscriber, count: int | None, json_lines: TextIO | None, notes: TextIO) -> bool:
    """Print until ``count`` or the timeout is reached; return whether anything came."""
    frames, heard = 0, False
    for event in subscriber:
        note = note_of(event)
        if isinstance(event, Silence) and not heard:
            if event.reason is not None:
                print(note, file=notes, flush=True)
            continue  # the publisher may start later, or allow the key
        heard = True
        if note is not None:
            print(note, file=notes, flush=True)
            continue
        assert isinstance(event, Message)
        try:
            line = line_of(event) if json_lines is None else _ascii_json(subscriber.last_payload)
        except MessageError as error:
            print(printable(f"not understood: {error}"), file=notes, flush=True)
            continue
        print(line, file=notes if json_lines is None else json_lines, flush=True)
        frames += isinstance(event, FrameMessage)
        if frames == count:
            break
    return heard


def _ascii_json(payload: bytes) -> str:
    """Rewrite a JSON object in ASCII, with control characters and line ends escaped."""
    try:
        text = json.dumps(json.loads(payload), allow_nan=False, separators=(",", ":"))
    except (ValueError, RecursionError) as error:  # unknown fields may contain anything
        raise MessageError(f"message: expected numbers that can be written again, found others: {error}") from error
    return text.replace("\x7f", "\\u007f")
