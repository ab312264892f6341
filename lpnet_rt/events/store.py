"""Reading events: pages of the list, single events, and where their files are; also while a run writes them."""

from __future__ import annotations

import os
import re
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from lpnet_rt.errors import DataError, SinkError, SourceError, reason
from lpnet_rt.events.archive import lock_folder
from lpnet_rt.events.index import EventIndex, EventSummary, readable, summary_of_row
from lpnet_rt.events.record import (
    CHIP_FILE,
    CLIP_FILE,
    RECORD_FILE,
    VIEW_FILE,
    EventRecord,
    folder_of,
    is_event_id,
    read_record,
)

__all__ = ["MAX_PAGE", "EventFilter", "EventPage", "EventStore"]

MAX_PAGE = 1_000
"""Events of one page."""

_COLUMNS = ", ".join(field.name for field in msgspec.structs.fields(EventSummary))
# Where so few events are probable enough, sorting them is quicker than looking for them among all others.
_FEW = 1_000
_CURSOR = re.compile(r"(-?\d{1,18})/(.+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events are wanted; all of the conditions hold.

    Attributes:
        since_us: Whose first detection is not before this Unix time, microseconds.
        until_us: Whose first detection is before this Unix time.
        source: Of this source.
        min_probability: With at least this probability, 0..1.
        alarms: Only alarms.
    """

    since_us: int | None = None
    until_us: int | None = None
    source: str | None = None
    min_probability: float | None = None
    alarms: bool = False


@dataclass(frozen=True, slots=True)
class EventPage:
    """Some of the events, newest first.

    Attributes:
        events: The events.
        after: For the next page; None if there is none.
    """

    events: tuple[EventSummary, ...]
    after: str | None


class EventStore:
    """The events of a folder, for reading; thread-safe.

    No part of a path comes from a caller: an identifier is looked up in the index first.
    """

    def __init__(self, root: Path) -> None:
        """Open the index for reading; if it is missing or damaged and no run writes it, make it again.

        Args:
            root: Folder of the events.

        Raises:
            SourceError: There is no such folder, or its index cannot be read or made.
        """
        if not root.is_dir():
            raise SourceError(f"events: expected a folder of events, found none at {root}; name one")
        self._root = root
        self._lock = threading.Lock()
        try:
            self._db = readable(root)
        except sqlite3.Error as error:
            self._db = _made_again(root, error)

    def page(self, wanted: EventFilter | None = None, after: str | None = None, limit: int = 50) -> EventPage:
        """Return some of the events, newest first.

        Args:
            wanted: Which events; None: all.
            after: ``after`` of the page before; None: the first page.
            limit: Events of a page, 1 to 1,000.

        Raises:
            ValueError: ``limit`` is out of range, or ``after`` is not that of a page.
            SourceError: The index cannot be read.
        """
        if not 1 <= limit <= MAX_PAGE:
            raise ValueError(f"limit: expected 1 to {MAX_PAGE:,}, found {limit}")
        wanted = wanted or EventFilter()
        conditions, values = _conditions(wanted)
        if after is not None:
            match = _CURSOR.fullmatch(after)
            if match is None or not is_event_id(match[2]):
                raise ValueError(f"after: expected that of a page, found {after[:100]!r}")
            conditions.append("(first_us, id) < (?, ?)")
            values += [int(match[1]), match[2]]
        query = f"SELECT {_COLUMNS} FROM events {self._hint(wanted)} WHERE {' AND '.join(conditions)}"
        rows = self._rows(f"{query} ORDER BY first_us DESC, id DESC LIMIT ?", [*values, limit + 1])
        events = tuple(summary_of_row(row) for row in rows[:limit])
        return EventPage(events, f"{events[-1].first_us}/{events[-1].id}" if len(rows) > limit else None)

    def all(self, wanted: EventFilter | None = None) -> Iterator[EventSummary]:
        """Yield the events, newest first, page by page.

        Raises:
            SourceError: The index cannot be read.
        """
        after = None
        while True:
            page = self.page(wanted, after, MAX_PAGE)
            yield from page.events
            after = page.after
            if after is None:
                return

    def count(self, wanted: EventFilter | None = None) -> int:
        """Return how many events there are.

        Raises:
            SourceError: The index cannot be read.
        """
        conditions, values = _conditions(wanted or EventFilter())
        return int(str(self._rows(f"SELECT COUNT(*) FROM events WHERE {' AND '.join(conditions)}", values)[0][0]))

    def get(self, name: str) -> EventRecord | None:
        """Return an event with its track.

        Args:
            name: Identifier of the event, from anywhere.

        Returns:
            None if there is no such event, or its files were deleted.

        Raises:
            SourceError: The index cannot be read.
        """
        path = self._file(name, RECORD_FILE)
        try:
            return None if path is None else read_record(path)
        except DataError:
            return None

    def chip(self, name: str, enlarged: bool = False) -> Path | None:
        """Return the path of an event's chip as PNG, raw counts or, enlarged, stretched to 8 bits; see :meth:`get`."""
        return self._file(name, VIEW_FILE if enlarged else CHIP_FILE)

    def clip(self, name: str) -> Path | None:
        """Return the path of an event's clip, which may still be written; see :meth:`get`."""
        return self._file(name, CLIP_FILE)

    def close(self) -> None:
        """Close the index; harmless when called twice."""
        with self._lock:
            self._db.close()

    def _hint(self, wanted: EventFilter) -> str:
        """Return which index SQLite is to use, or nothing if it may choose."""
        if wanted.min_probability is None:
            return ""
        probable = "SELECT 1 FROM events INDEXED BY by_probability WHERE probability >= ? LIMIT ?"
        count = self._rows(f"SELECT COUNT(*) FROM ({probable})", [wanted.min_probability, _FEW + 1])[0][0]
        return "INDEXED BY by_probability" if int(str(count)) <= _FEW else ""

    def _file(self, name: str, file: str) -> Path | None:
        """Return the path of a file of an event that the index knows, if it is a regular file."""
        if not is_event_id(name):
            return None
        rows = self._rows("SELECT source FROM events WHERE id = ? AND leaving = 0", [name])
        if not rows:
            return None
        path = folder_of(self._root, str(rows[0][0]), name) / file
        inside = os.path.realpath(path) == os.path.join(os.path.realpath(self._root), path.relative_to(self._root))
        return path if inside and path.is_file() else None

    def _rows(self, query: str, values: list[object]) -> list[tuple[object, ...]]:
        with self._lock:
            try:
                return self._db.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise SourceError(f"events: {self._root}: the index cannot be read: {reason(error)}") from error


def _conditions(wanted: EventFilter) -> tuple[list[str], list[object]]:
    given: list[tuple[str, object]] = [
        ("first_us >= ?", wanted.since_us),
        ("first_us < ?", wanted.until_us),
        ("source = ?", wanted.source),
        ("probability >= ?", wanted.min_probability),
    ]
    given = [(condition, value) for condition, value in given if value is not None]
    conditions = ["leaving = 0", *(["alarm = 1"] if wanted.alarms else []), *(condition for condition, _ in given)]
    return conditions, [value for _, value in given]


def _made_again(root: Path, error: sqlite3.Error) -> sqlite3.Connection:
    """Make an index that cannot be read, unless a run writes it.

    Raises:
        SourceError: It cannot be made.
    """
    why = f"events: {root}: the index cannot be read ({reason(error)})"
    if next(root.glob(f"*/*/*/{RECORD_FILE}"), None) is None:
        raise SourceError(f"{why}, and there are no events; name a folder of events") from error
    try:
        held = lock_folder(root)
        try:
            EventIndex(root).close()
        finally:
            os.close(held)
        return readable(root)
    except (SinkError, sqlite3.Error) as failure:
        raise SourceError(f"{why}, and cannot be made again: {failure}") from failure
