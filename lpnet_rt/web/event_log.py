"""Events for the page: every confirmed track of this run, newest last, within a bound.

The page reads events only through :class:`EventLog`; a store on disk that has clips, too, can take the place of the
one in memory.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Protocol

import cv2
import msgspec
from msgspec import Struct

from lpnet_rt.frames import Frame, GreyImage
from lpnet_rt.tracking.updates import TrackEvent
from lpnet_rt.view.display_stretch import display_stretch

__all__ = ["EventLog", "EventRow", "MemoryEventLog"]

_MAX_EVENTS = 2_000


class EventRow(Struct, frozen=True, kw_only=True):
    """One event as the page shows it.

    Attributes:
        id: Number of the event in this log, from 1.
        version: Rises with every change in the log; rows with a higher one than a viewer has are new to it.
        source: Name of the source.
        track: Number of the track.
        began_us: Unix time of its first detection, microseconds.
        ended_us: Unix time of its last detection, microseconds, or None while it lasts.
        first_xy: Position of its first detection, pixels of the frame.
        last_xy: Position of its latest detection, pixels of the frame.
        best_score: Highest score of its detections, 0 to 1.
        probability: That it is a target, 0 to 1.
        has_chip: Whether there is a picture of it.
        has_clip: Whether there is a video of it.
    """

    id: int
    version: int
    source: str
    track: int
    began_us: int
    ended_us: int | None
    first_xy: tuple[float, float]
    last_xy: tuple[float, float]
    best_score: float
    probability: float
    has_chip: bool = False
    has_clip: bool = False


class EventLog(Protocol):
    """Where the page finds events."""

    @property
    def version(self) -> int:
        """Rises with every change."""
        ...

    def changed_since(self, version: int) -> list[EventRow]:
        """Return the events that are new or changed since a version, oldest first."""
        ...

    def page(self, before_id: int | None, limit: int) -> list[EventRow]:
        """Return the newest events before one, newest first; None: from the newest on."""
        ...

    def chip_png(self, event_id: int) -> bytes | None:
        """Return the picture of an event as PNG, or None."""
        ...

    def clip(self, event_id: int) -> Path | None:
        """Return the file with the video of an event, or None."""
        ...


class MemoryEventLog:
    """The last 2,000 confirmed tracks of this run; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: OrderedDict[int, EventRow] = OrderedDict()
        self._chips: dict[int, GreyImage] = {}
        self._open: dict[tuple[str, int], int] = {}
        self._version = self._last_id = 0

    @property
    def version(self) -> int:
        """See :class:`EventLog`."""
        return self._version

    def note(self, frame: Frame, event: TrackEvent) -> None:
        """Take an event of a track; only those of confirmed tracks are kept.

        Args:
            frame: The frame of the event.
            event: What happened.
        """
        if event.kind == "started" or not event.confirmed:
            return
        key = (frame.source, event.track_id)
        with self._lock:
            self._version += 1
            if event.kind == "confirmed" and key not in self._open:
                self._last_id += 1
                self._open[key] = self._last_id
                self._rows[self._last_id] = _row(self._last_id, self._version, frame, event)
                if event.chip is not None:
                    self._chips[self._last_id] = event.chip
            elif event.kind == "ended":
                number = self._open.pop(key, 0)
                if number in self._rows:
                    self._rows[number] = self._ended(self._rows[number], event)
            while len(self._rows) > _MAX_EVENTS:
                self._chips.pop(self._rows.popitem(last=False)[0], None)

    def changed_since(self, version: int) -> list[EventRow]:
        """See :class:`EventLog`."""
        with self._lock:
            return [row for row in self._rows.values() if row.version > version]

    def page(self, before_id: int | None, limit: int) -> list[EventRow]:
        """See :class:`EventLog`."""
        with self._lock:
            newest_first = reversed(self._rows.values())
            return [row for row in newest_first if before_id is None or row.id < before_id][:limit]

    def chip_png(self, event_id: int) -> bytes | None:
        """See :class:`EventLog`."""
        with self._lock:
            chip = self._chips.get(event_id)
        return None if chip is None else cv2.imencode(".png", display_stretch(chip))[1].tobytes()

    def clip(self, event_id: int) -> Path | None:
        """See :class:`EventLog`: there are none in memory."""
        return None

    def _ended(self, row: EventRow, event: TrackEvent) -> EventRow:
        return msgspec.structs.replace(
            row,
            version=self._version,
            ended_us=row.began_us + round(event.duration_s * 1e6),
            last_xy=_rounded(event.last_xy),
            best_score=round(event.best_score, 4),
            probability=round(event.probability, 4),
        )


def _row(number: int, version: int, frame: Frame, event: TrackEvent) -> EventRow:
    return EventRow(
        id=number,
        version=version,
        source=frame.source,
        track=event.track_id,
        began_us=frame.t_capture_us - round(event.duration_s * 1e6),
        ended_us=None,
        first_xy=_rounded(event.first_xy),
        last_xy=_rounded(event.last_xy),
        best_score=round(event.best_score, 4),
        probability=round(event.probability, 4),
        has_chip=event.chip is not None,
    )


def _rounded(xy: tuple[float, float]) -> tuple[float, float]:
    return round(xy[0], 2), round(xy[1], 2)
