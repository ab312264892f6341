"""What is kept of an event: ``event.json``, its identifier and its place on disk."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct

from lpnet_rt.errors import DataError
from lpnet_rt.files import read_limited
from lpnet_rt.text import one_line

__all__ = [
    "CHIP_FILE",
    "CLIP_FILE",
    "EVENT_FILES",
    "RECORD_FILE",
    "VERSION",
    "VIEW_FILE",
    "ClipNote",
    "EventRecord",
    "EventState",
    "Place",
    "TrackRow",
    "event_id",
    "folder_of",
    "is_event_id",
    "read_record",
    "record_bytes",
]

VERSION: Final = 1
RECORD_FILE, CHIP_FILE, VIEW_FILE, CLIP_FILE = "event.json", "chip.png", "chip-view.png", "clip.mkv"
EVENT_FILES = (RECORD_FILE, CHIP_FILE, VIEW_FILE, CLIP_FILE)
EventState = Literal["open", "closed", "interrupted"]
_LIMIT_BYTES = 64 * 2**20
_ID = re.compile(r"(\d{4})(\d\d)(\d\d)T\d{6}Z-[0-9a-f]{16}-\d{1,16}(-\d{1,9})?", re.ASCII)


class Place(Struct, frozen=True, kw_only=True):
    """Where and when the target was detected; x to the right, y down, the centre of the first pixel is (0, 0).

    Attributes:
        t_us: Unix time of capture, microseconds.
        t_s: Time in the stream, seconds.
        x: Pixels of the frame.
        y: Pixels of the frame.
    """

    t_us: int
    t_s: float
    x: float
    y: float


class TrackRow(Struct, frozen=True, array_like=True, gc=False):
    """The track in one frame, a list in the file.

    Attributes:
        t_us: Unix time of capture, microseconds.
        t_s: Time in the stream, seconds.
        x: Of the detection or, without one, as predicted; pixels of the frame.
        y: Likewise.
        score: Of the detection, 0..1; null without one, and where ``min_state`` left it out.
    """

    t_us: int
    t_s: float
    x: float
    y: float
    score: float | None


class ClipNote(Struct, frozen=True, kw_only=True):
    """The clip of an event.

    Attributes:
        file: Its name.
        codec: FFmpeg's name of its codec.
        copied: True if it has the source's packets as they came; false if it was encoded from its pictures.
        starts_at_s: Time in the stream at which it starts, seconds.
        first_detection_s: Second of the clip with the first detection; null if that came before it.
        last_detection_s: Second of the clip with the last detection.
        duration_s: From its first picture to its last, seconds.
        frames: Pictures in it.
        bytes: Size of the file.
        note: Why it is not as long as it should be, or null.
    """

    file: str
    codec: str
    copied: bool
    starts_at_s: float
    first_detection_s: float | None
    last_detection_s: float
    duration_s: float
    frames: int
    bytes: int
    note: str | None = None


class EventRecord(Struct, frozen=True, kw_only=True):
    """An event: a confirmed track from its first to its last detection; the content of ``event.json``.

    Attributes:
        v: Version of this format.
        id: Identifier, also the name of the event's folder.
        source: Name of the source.
        session: Of the run, as in the messages.
        track: Number of the track, as in the messages.
        part: 1, or more if the track was too long for one event.
        state: ``open`` while it goes on, ``closed``, or ``interrupted`` if the program was killed.
        ended: Why it ended, in one line; null while it goes on.
        first: First detection.
        last: Last detection.
        duration_s: Between these two, seconds.
        probability: Highest probability that it is a target, 0..1.
        best_score: Highest score of a detection, 0..1.
        hits: Number of frames with a detection.
        moved_px: Farthest distance from the first place of the track, against the background, pixels.
        width: Width of the frames, pixels.
        height: Height of the frames, pixels.
        alarm: Whether it is an alarm.
        alarm_t_us: Unix time of the frame that made it one, microseconds; else null.
        no_alarm: Why it is none, in one line; else null.
        model: Name of the model.
        engine: Name and precision of the engine.
        software: Name and version of the program.
        chip: File with 64x64 pixels around the detection with the highest score; raw counts.
        view: The same stretched and enlarged, for people.
        clip: The clip, or null.
        no_clip: Why there is no clip, in one line; else null.
        rows: The track, a row for each frame: t_us, t_s, x, y, score.
    """

    v: Literal[1] = VERSION
    id: str
    source: str
    session: str
    track: int
    part: int
    state: EventState
    ended: str | None
    first: Place
    last: Place
    duration_s: float
    probability: float
    best_score: float
    hits: int
    moved_px: float
    width: int
    height: int
    alarm: bool
    alarm_t_us: int | None
    no_alarm: str | None
    model: str
    engine: str
    software: str
    chip: str | None
    view: str | None
    clip: ClipNote | None
    no_clip: str | None
    rows: tuple[TrackRow, ...] = ()


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(EventRecord)


def event_id(t_us: int, session: str, track: int, part: int) -> str:
    """Return an event's identifier, such as ``20260131T235959Z-0123456789abcdef-17``.

    Args:
        t_us: Unix time of its first detection, microseconds.
        session: 16 hexadecimal digits.
        track: Number of the track.
        part: 1, or more if the track was too long for one event.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(max(t_us, 0) / 1e6))
    return f"{stamp}-{session}-{track}" + (f"-{part}" if part > 1 else "")


def is_event_id(text: str) -> bool:
    """Return whether a text has the form of an identifier."""
    return _ID.fullmatch(text) is not None


def folder_of(root: Path, source: str, name: str) -> Path:
    """Return an event's folder.

    Args:
        root: Folder of all events.
        source: Name of the source.
        name: Identifier of the event.

    Raises:
        DataError: It is not an identifier.
    """
    match = _ID.fullmatch(name)
    if match is None:
        raise DataError(f"event: expected an identifier, found {one_line(name)[:100]!r}")
    return root / source / "-".join(match.group(1, 2, 3)) / name


def record_bytes(record: EventRecord) -> bytes:
    """Return the content of ``event.json``: one key per line, and one row of the track per line."""
    head = msgspec.structs.replace(record, rows=())
    text = msgspec.json.format(_ENCODER.encode(head), indent=1).decode().removesuffix("[]\n}")
    rows = ",\n  ".join(_ENCODER.encode(row).decode() for row in record.rows)
    return f"{text}[{f'{chr(10)}  {rows}{chr(10)} ' if rows else ''}]\n}}\n".encode()


def read_record(path: Path) -> EventRecord:
    """Read ``event.json``.

    Raises:
        DataError: It is missing, or not of this format and version.
    """
    try:
        return _DECODER.decode(read_limited(path, _LIMIT_BYTES, "event", DataError))
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise DataError(f"{path}: not an event of version {VERSION}: {one_line(str(error))}") from error
