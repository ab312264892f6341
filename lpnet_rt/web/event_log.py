"""Events for the page: every confirmed track of this run, newest last, within a bound.

The page reads events only through :class:`EventLog`. Where events are kept on disk, too, ``kept_events.py`` adds those
of the last day, and clips.
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

__all__ = ["EventFiles", "EventLog", "EventRow", "MemoryEventLog"]

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


class EventFiles(Protocol):
    """Where pictures and videos of events are, by the identifier that they have on disk."""

    def chip_png(self, name: str) -> bytes | None:
        """Return the picture of an event as PNG, or None."""
        ...

    def clip(self, name: str) -> Path | None:
        """Return the file with the video of an event, or None."""
        ...


class MemoryEventLog:
    """The last 2,000 confirmed tracks of this run, and earlier ones that are added; thread-safe.

    Attributes:
        files: Where the pictures and videos of those are that are kept on disk; None without such.
    """

    def __init__(self) -> None:
        self.files: EventFiles | None = None
        self._names: dict[int, str] = {}
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
            self._forget()

    def add(self, row: EventRow, name: str) -> None:
        """Add an event of an earlier run.

        Args:
            row: The event; id and version are given to it here.
            name: Its identifier on disk.
        """
        with self._lock:
            self._version += 1
            self._last_id += 1
            self._rows[self._last_id] = msgspec.structs.replace(row, id=self._last_id, version=self._version)
            self._names[self._last_id] = name
            self._forget()

    def keep(self, source_and_track: tuple[str, int], name: str, has_clip: bool) -> None:
        """Say that the latest event of a track is on disk.

        Args:
            source_and_track: Name of the source and number of the track.
            name: Identifier of the event on disk.
            has_clip: Whether its video is complete.
        """
        with self._lock:
            numbers = (
                number for number, row in reversed(self._rows.items()) if (row.source, row.track) == source_and_track
            )
            number = next(numbers, 0)
            if number in self._rows and self._names.get(number, name) == name:
                self._version += 1
                self._names[number] = name
                row = self._rows[number]
                self._rows[number] = msgspec.structs.replace(row, version=self._version, has_clip=has_clip)

    def _forget(self) -> None:
        while len(self._rows) > _MAX_EVENTS:
            number, _ = self._rows.popitem(last=False)
            self._chips.pop(number, None)
            self._names.pop(number, None)

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
            chip, name = self._chips.get(event_id), self._names.get(event_id)
        if chip is None and name is not None and self.files is not None:
            return self.files.chip_png(name)
        return None if chip is None else cv2.imencode(".png", display_stretch(chip))[1].tobytes()

    def clip(self, event_id: int) -> Path | None:
        """See :class:`EventLog`: only of events that are kept on disk."""
        with self._lock:
            name = self._names.get(event_id)
        return None if name is None or self.files is None else self.files.clip(name)

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
