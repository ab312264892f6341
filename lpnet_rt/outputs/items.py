"""What outputs with a peer are given to send: tracks, events and states, not yet in any peer's words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from msgspec import UNSET, UnsetType

from lpnet_rt.messages import EventMessage, FrameMessage, PlacedTrackMessage, StateName

__all__ = ["EventItem", "Item", "StateItem", "TrackItem", "TrackReport", "track_reports"]


class TrackReport(PlacedTrackMessage, frozen=True, kw_only=True):
    """A confirmed track in one frame, as JSON of its own.

    Attributes:
        source: Name of the source.
        session: As in the frames of docs/messages.md.
        seq: Number of the frame.
        t_capture_us: Unix time at which the frame was captured, microseconds.
        score: Score of its detection in this frame; left out without one.
        box: Box of that detection: pixel indices x1, y1, x2, y2; x2 and y2 are exclusive.
    """

    source: str
    session: str
    seq: int
    t_capture_us: int
    score: float | UnsetType = UNSET
    box: tuple[int, int, int, int] | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class TrackItem:
    """Where a confirmed track is; only the latest of each track is sent."""

    report: TrackReport
    size_hw: tuple[int, int]


@dataclass(frozen=True, slots=True)
class EventItem:
    """A track started, was confirmed or ended."""

    message: EventMessage
    size_hw: tuple[int, int]


@dataclass(frozen=True, slots=True)
class StateItem:
    """State of a source; only the latest is sent.

    Attributes:
        source: Name of the source.
        session: As in the frames.
        state: As in the status of docs/messages.md.
        reason: Reason in one line, or None.
        since_us: Unix time at which the state began, microseconds, or None.
        fps: Frames per second, over about a second or since the last state item.
        tracks: Confirmed tracks in the last frame.
        frames: Frames so far.
        dropped: Frames dropped so far.
        reconnects: Number of times the source delivered again after it was lost.
        t_us: Unix time, microseconds.
        size_hw: Size of the last frame, pixels, or None before the first.
        is_news: Whether the state, or whether there is a track, differs from the last item's.
    """

    source: str
    session: str
    state: StateName
    reason: str | None
    since_us: int | None
    fps: float
    tracks: int
    frames: int
    dropped: int
    reconnects: int
    t_us: int
    size_hw: tuple[int, int] | None
    is_news: bool


Item = TrackItem | EventItem | StateItem

_CONFIRMED: tuple[Literal["confirmed", "coasting"], ...] = ("confirmed", "coasting")
_TRACK_FIELDS = PlacedTrackMessage.__struct_fields__


def track_reports(message: FrameMessage) -> list[TrackReport]:
    """The confirmed tracks of a frame, with a detection or without; coasting ones had been confirmed."""
    shared: dict[str, Any] = {
        "source": message.source, "session": message.session, "seq": message.seq, "t_capture_us": message.t_capture_us
    }  # fmt: skip
    reports = []
    for detection in message.detections:
        track = detection.track
        if track is not None and track.state in _CONFIRMED:
            values: dict[str, Any] = {name: getattr(track, name) for name in _TRACK_FIELDS if name not in ("x", "y")}
            own: dict[str, Any] = {"x": detection.cx, "y": detection.cy, "score": detection.score, "box": detection.box}
            reports.append(TrackReport(**values, **own, **shared))
    for placed in message.tracks:
        values = {name: getattr(placed, name) for name in _TRACK_FIELDS}
        reports.append(TrackReport(**values, **shared))
    return reports
