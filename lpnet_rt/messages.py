"""The wire schema of ZeroMQ messages and JSON Lines; encode and decode.

A message has two parts: a topic (``lpnet.v1.det.<source>.``) and one JSON object. The kinds are: a frame with its
detections and tracks; the start, confirmation and end of a track; the status of the stream, once per second and at
every change of its state; a welcome to new subscribers; and the end of the stream. A line of ``--jsonl`` is the object
of a frame. docs/messages.schema.json is generated from the types below. Numbers are finite, and integers fit a
JavaScript number.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from lpnet_rt.angle_messages import CameraMessage, DirectionMessage, RateMessage
from lpnet_rt.errors import MessageError
from lpnet_rt.text import one_line

__all__ = [
    "INT_LIMIT",
    "TOPIC_PREFIX",
    "VERSION",
    "CameraMessage",
    "CameraMotionMessage",
    "DetectionMessage",
    "DirectionMessage",
    "EndMessage",
    "EventMessage",
    "FrameMessage",
    "LatencyMessage",
    "Message",
    "PlacedTrackMessage",
    "PointMessage",
    "RateMessage",
    "StatusMessage",
    "TrackMessage",
    "WelcomeMessage",
    "decode",
    "encode",
    "json_schema",
    "topic_of",
    "topics",
]

VERSION: Final = 1
TOPIC_PREFIX = "lpnet.v1."
INT_LIMIT = 2**53 - 1

Integer = Annotated[int, Meta(ge=-INT_LIMIT, le=INT_LIMIT)]
Count = Annotated[int, Meta(ge=0, le=INT_LIMIT)]
Score = Annotated[float, Meta(ge=0, le=1)]
TrackStateName = Literal["tentative", "confirmed", "coasting"]
PolarityName = Literal["hot", "cold", "both"]
PictureNoteName = Literal["black-hot", "false-colour"]
StateName = Literal["connecting", "live", "calibrating", "frozen", "lost", "ended"]


class TrackMessage(RateMessage, frozen=True, kw_only=True):
    """The track that a detection belongs to.

    Attributes:
        id: Number of the track; never reused within a session.
        state: ``tentative``, ``confirmed`` or ``coasting``.
        age: Frames since the track's first detection, inclusive.
        hits: Number of these frames with a detection.
        probability: Probability that the track is a target, 0..1.
        vx: Velocity to the right relative to the background, pixels per second.
        vy: Velocity downwards, likewise.
    """

    id: Count
    state: TrackStateName
    age: Count
    hits: Count
    probability: Score
    vx: float
    vy: float


class PlacedTrackMessage(TrackMessage, frozen=True, kw_only=True):
    """A track without a detection in this frame.

    Attributes:
        x: Position or predicted position, to the right, pixels of the frame.
        y: Likewise, downwards.
    """

    x: float
    y: float


class CameraMotionMessage(Struct, frozen=True, kw_only=True):
    """Motion of the background since the previous frame.

    Attributes:
        dx: Pixels to the right.
        dy: Pixels down.
        confidence: Share of the background that agrees, 0..1; 0 if the motion is unknown.
    """

    dx: float
    dy: float
    confidence: Score


class DetectionMessage(DirectionMessage, frozen=True, kw_only=True):
    """One detection, in pixels of the original frame; the centre of the first pixel is (0, 0).

    Attributes:
        cx: Score-weighted centroid, x to the right, pixels.
        cy: Score-weighted centroid, y down, pixels.
        box: Pixel indices x1, y1, x2, y2; x2 and y2 are exclusive.
        score: Highest score of the blob, 0..1.
        area_px: Pixels at or over the threshold.
        peak: Highest raw count of the blob; of a cold one, the lowest.
        snr: (peak - local mean) / local standard deviation; of a cold one, (local mean - peak) / the same.
        track: The track that it belongs to, or null.
    """

    cx: float
    cy: float
    box: tuple[Integer, Integer, Integer, Integer]
    score: Score
    area_px: Count
    peak: Integer
    snr: float
    track: TrackMessage | None = None


class LatencyMessage(Struct, frozen=True, kw_only=True):
    """Milliseconds that the frame spent in each stage; ``total`` runs from frame available to report ready."""

    queue: float
    prepare: float
    infer: float
    detect: float
    total: float


class FrameMessage(Struct, frozen=True, kw_only=True):
    """One frame, with or without detections.

    Attributes:
        v: Version of the schema.
        session: Random identifier, new at every start of the publisher.
        seq: Number of the frame in this session, from 0, without gaps.
        source: Name of the source.
        frame: Index of the frame in its source, from 0; dropped frames leave gaps.
        width: Width of the frame, pixels.
        height: Height of the frame, pixels.
        t_capture_us: Unix time of capture, microseconds.
        pts_s: Time in the stream, seconds, or null if the source has no clock.
        t_publish_us: Unix time of publication, microseconds.
        latency_ms: Time spent in each stage.
        dropped: Frames dropped so far, by the source or because the detector was behind.
        model: Name of the model.
        detections: Strongest score first.
        error: Why this frame failed, in one line; it then has no detections. Else null.
        file: Name of the frame's image file, or null if the source is not a set of images.
        clock: Clock of ``t_capture_us``: ``sender`` if the stream reports it, else ``arrival``.
        epoch: Number of changes of the size or depth of the source's pictures.
        tracks: Tracks without a detection in this frame that are, or have been, confirmed.
        camera_motion: Motion of the background, or null without tracking.
        polarity: What was searched for: targets warmer (``hot``) or colder (``cold``) than their surroundings, or both.
    """

    v: Literal[1] = VERSION
    session: str
    seq: Count
    source: str
    frame: Count
    width: Count
    height: Count
    t_capture_us: Integer
    pts_s: float | None
    t_publish_us: Integer
    latency_ms: LatencyMessage
    dropped: Count
    model: str
    detections: tuple[DetectionMessage, ...]
    error: str | None = None
    file: str | None = None
    clock: Literal["sender", "arrival"] = "arrival"
    epoch: Count = 0
    tracks: tuple[PlacedTrackMessage, ...] = ()
    camera_motion: CameraMotionMessage | None = None
    polarity: PolarityName = "hot"


class StatusMessage(Struct, frozen=True, kw_only=True):
    """Status of the stream, once per second and at every change of its state.

    Attributes:
        v: Version of the schema.
        kind: ``status``.
        session: As in the frames.
        source: Name of the source.
        seq: Last ``seq`` published, or null before the first frame.
        frames: Frames published so far.
        dropped: Frames dropped so far, by the source or because the detector was behind.
        failed: Frames published with an ``error`` so far.
        fps: Frames per second since the last status.
        detections: Detections published so far.
        uptime_s: Seconds since the publisher started.
        model: Name of the model.
        engine: Name and precision of the engine.
        t_publish_us: Unix time of publication, microseconds.
        status_seq: Number of the status message in this session, from 0, without gaps.
        state: ``connecting``, ``live``, ``calibrating``, ``frozen``, ``lost`` or ``ended``.
        state_reason: Reason in one line, or null.
        state_since_us: Unix time at which the state began, microseconds, or null for a source without states.
        reconnects: Number of times the source delivered again after it was lost.
        epoch: Number of changes of the size or depth of its pictures.
        left_out: Frames that the source could not decode so far.
        late: Frames dropped so far because the detector was behind.
        corrupt_packets: Packets of the source lost or damaged in transit so far.
        polarity: As in the frames.
        picture_notes: What the pictures look like, where that is not what the detector expects: ``black-hot``,
            ``false-colour``. Nothing is changed.
    """

    v: Literal[1] = VERSION
    kind: Literal["status"] = "status"
    session: str
    source: str
    seq: Count | None
    frames: Count
    dropped: Count
    failed: Count
    fps: float
    detections: Count
    uptime_s: float
    model: str
    engine: str
    t_publish_us: Integer
    status_seq: Count = 0
    state: StateName = "live"
    state_reason: str | None = None
    state_since_us: Integer | None = None
    reconnects: Count = 0
    epoch: Count = 0
    left_out: Count = 0
    late: Count = 0
    corrupt_packets: Count = 0
    polarity: PolarityName = "hot"
    picture_notes: tuple[PictureNoteName, ...] = ()


class WelcomeMessage(Struct, frozen=True, kw_only=True):
    """Current state of the stream, published for each new subscriber; earlier subscribers receive it, too.

    Attributes:
        v: Version of the schema.
        kind: ``welcome``.
        session: As in the frames.
        source: Name of the source.
        seq: Last ``seq`` published, or null before the first frame.
        status_seq: Last ``status_seq`` published, or null before the first status.
        state: As in the status.
        state_reason: As in the status.
        model: Name of the model.
        engine: Name and precision of the engine.
        software: Name and version of the publishing program.
        t_publish_us: Unix time of publication, microseconds.
        camera: Where the camera stands and looks; left out without a ``[[camera]]``.
    """

    v: Literal[1] = VERSION
    kind: Literal["welcome"] = "welcome"
    session: str
    source: str
    seq: Count | None
    status_seq: Count | None
    state: StateName
    state_reason: str | None
    model: str
    engine: str
    software: str
    t_publish_us: Integer
    camera: CameraMessage | UnsetType = UNSET


class EndMessage(Struct, frozen=True, kw_only=True):
    """End of the session; no message follows.

    Attributes:
        v: Version of the schema.
        kind: ``end``.
        session: As in the frames.
        source: Name of the source.
        last_seq: Last ``seq`` published, or null if there was no frame.
        frames: Frames published.
        reason: ``end``, ``interrupted`` or ``error: ...``.
        t_publish_us: Unix time of publication, microseconds.
    """

    v: Literal[1] = VERSION
    kind: Literal["end"] = "end"
    session: str
    source: str
    last_seq: Count | None
    frames: Count
    reason: Annotated[str, Meta(pattern=r"^(end$|interrupted$|error: )")]
    t_publish_us: Integer


class PointMessage(DirectionMessage, frozen=True, kw_only=True):
    """A position in pixels of the frame, and its direction."""

    x: float
    y: float


class EventMessage(Struct, frozen=True, kw_only=True):
    """A track started, was confirmed or ended.

    Attributes:
        v: Version of the schema.
        kind: ``event``.
        session: As in the frames.
        source: Name of the source.
        event_seq: Number of the event in this session, from 0, without gaps.
        event: ``started``, ``confirmed`` or ``ended``.
        track: Number of the track.
        confirmed: Whether it has ever been confirmed.
        seq: Number of the frame of the event.
        t_capture_us: Unix time at which that frame was captured, microseconds.
        first: Position of its first detection.
        last: Position of its last detection.
        duration_s: Time from its first to its last detection, seconds.
        best_score: Highest score of its detections.
        probability: Probability that it is a target, 0..1.
        chip: 64x64 pixels around a track at its confirmation, as PNG in base64; else null.
        t_publish_us: Unix time of publication, microseconds.
    """

    v: Literal[1] = VERSION
    kind: Literal["event"] = "event"
    session: str
    source: str
    event_seq: Count
    event: Literal["started", "confirmed", "ended"]
    track: Count
    confirmed: bool
    seq: Count
    t_capture_us: Integer
    first: PointMessage
    last: PointMessage
    duration_s: float
    best_score: Score
    probability: Score
    chip: str | None
    t_publish_us: Integer


Message = FrameMessage | EventMessage | StatusMessage | WelcomeMessage | EndMessage


class _Header(Struct, frozen=True):
    """Fields that identify the kind of a message; a frame has no ``kind``."""

    v: int
    kind: str = "frame"
    source: str = ""


_ENCODER = msgspec.json.Encoder()
_HEADER_DECODER = msgspec.json.Decoder(_Header)
_DECODERS = {
    "frame": msgspec.json.Decoder[Message](FrameMessage),
    "event": msgspec.json.Decoder[Message](EventMessage),
    "status": msgspec.json.Decoder[Message](StatusMessage),
    "welcome": msgspec.json.Decoder[Message](WelcomeMessage),
    "end": msgspec.json.Decoder[Message](EndMessage),
}
_TOPIC_WORDS = {"frame": "det", "event": "event", "status": "status", "welcome": "welcome", "end": "end"}


def encode(message: Message) -> bytes:
    """Write a message as one JSON object without line breaks.

    Raises:
        MessageError: A value does not fit the schema: a number that is not finite, an integer over 2^53 - 1.
    """
    try:
        payload = _ENCODER.encode(message)
        # Check by decoding: JSON turns NaN into null, and constructors do not check types.
        read_back = _DECODERS[_kind_of(message)].decode(payload)
    except (msgspec.MsgspecError, OverflowError, UnicodeError, TypeError) as error:
        raise MessageError(f"message of kind {_kind_of(message)}: cannot be written: {error}") from error
    if isinstance(read_back, FrameMessage) and isinstance(message, FrameMessage) and read_back.pts_s != message.pts_s:
        raise MessageError(f"message of kind frame: expected a finite pts_s or None, found {message.pts_s}")
    return payload


def decode(topic: bytes | None, payload: bytes) -> Message:
    """Decode a message; unknown fields are ignored.

    Args:
        topic: First part of the ZeroMQ message, checked against the payload; None for a line of JSON Lines.
        payload: One JSON object.

    Raises:
        MessageError: It is not JSON, does not match this schema or version, or the topic does not match.
    """
    try:
        header = _HEADER_DECODER.decode(payload)
        if header.v != VERSION:
            raise MessageError(f"message: expected version {VERSION}, found {header.v}; use a matching lpnet-rt")
        if header.kind not in _DECODERS:
            raise MessageError(f"message: expected kind {', '.join(_DECODERS)}, found {header.kind!r}")
        message = _DECODERS[header.kind].decode(payload)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise MessageError(f"message: not of schema {VERSION}: {one_line(str(error))}") from error
    if topic is not None and topic != topic_of(message):
        raise MessageError(f"message: expected topic {topic_of(message)!r} for this payload, found {topic[:100]!r}")
    return message


def topic_of(message: Message) -> bytes:
    """Return a message's topic; it ends in a dot, so that a subscription does not match longer names."""
    return f"{TOPIC_PREFIX}{_TOPIC_WORDS[_kind_of(message)]}.{message.source}.".encode("utf-8", "replace")


def topics(source: str) -> dict[str, bytes]:
    """Return the topics of a source by the kind of message: ``frame``, ``event``, ``status``, ``welcome``, ``end``."""
    return {kind: f"{TOPIC_PREFIX}{word}.{source}.".encode() for kind, word in _TOPIC_WORDS.items()}


def json_schema() -> dict[str, object]:
    """Return the JSON Schema (2020-12) of the messages; what is always written is required."""
    kinds, parts = msgspec.json.schema_components(
        (FrameMessage, EventMessage, StatusMessage, WelcomeMessage, EndMessage), ref_template="#/$defs/{name}"
    )
    for part in parts.values():
        # What has neither a default nor to be there is left out where it is not known.
        written = part.get("required", ())
        part["required"] = [name for name, each in part["properties"].items() if name in written or "default" in each]
        part["description"] = part["description"].partition("\n")[0]
    schema: dict[str, object] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"lpnet-rt messages, version {VERSION}",
        "oneOf": list(kinds),
        "$defs": parts,
    }
    read_back: dict[str, object] = msgspec.json.decode(msgspec.json.encode(schema))  # lists, where defaults are tuples
    return read_back


def _kind_of(message: Message) -> str:
    return "frame" if isinstance(message, FrameMessage) else message.kind
