"""The index of events: SQLite, made from the events' files and made again from them when it is lost."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec
from msgspec import Struct

from lpnet_rt.errors import DataError, SinkError, reason
from lpnet_rt.events.record import RECORD_FILE, EventRecord, EventState, folder_of, read_record
from lpnet_rt.files import FILE_MODE

__all__ = [
    "INDEX_FILE",
    "SCHEMA_VERSION",
    "EventIndex",
    "EventSummary",
    "readable",
    "records_on_disk",
    "summary_of",
    "summary_of_row",
]

INDEX_FILE: Final = "index.sqlite"
SCHEMA_VERSION: Final = 1
_APPLICATION = 0x4C504E45  # tells our databases from others
_BUSY_S = 2.0
_CHUNK = 1_000


class EventSummary(Struct, frozen=True, kw_only=True):
    """One line of the list of events; the fields are those of :class:`lpnet_rt.events.EventRecord`.

    Attributes:
        id: Identifier of the event.
        source: Name of the source.
        first_us: Unix time of the first detection, microseconds.
        last_us: Of the last one.
        duration_s: Between these two, seconds.
        probability: Highest probability that it is a target, 0..1.
        best_score: Highest score of a detection, 0..1.
        moved_px: Farthest distance from its first place, pixels.
        alarm: Whether it is an alarm.
        no_alarm: Why it is none, or null.
        state: ``open``, ``closed`` or ``interrupted``.
        session: Of the run.
        track: Number of the track.
        part: 1, or more if the track was too long for one event.
        clip_s: Length of its clip, seconds; null without one.
        bytes: Size of its files.
    """

    id: str
    source: str
    first_us: int
    last_us: int
    duration_s: float
    probability: float
    best_score: float
    moved_px: float
    alarm: bool
    no_alarm: str | None
    state: EventState
    session: str
    track: int
    part: int
    clip_s: float | None
    bytes: int


_COLUMNS = tuple(field.name for field in msgspec.structs.fields(EventSummary))
# The list is read newest first. Every index holds all columns that the list is filtered by, so that rows that are left
# out are never fetched.
_SCHEMA = f"""
CREATE TABLE events (
  id TEXT PRIMARY KEY, source TEXT NOT NULL, first_us INTEGER NOT NULL, last_us INTEGER NOT NULL,
  duration_s REAL NOT NULL, probability REAL NOT NULL, best_score REAL NOT NULL, moved_px REAL NOT NULL,
  alarm INTEGER NOT NULL, no_alarm TEXT, state TEXT NOT NULL, session TEXT NOT NULL, track INTEGER NOT NULL,
  part INTEGER NOT NULL, clip_s REAL, bytes INTEGER NOT NULL, leaving INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX by_time ON events (first_us, id, source, probability, alarm, leaving);
CREATE INDEX by_source ON events (source, first_us, id, probability, alarm, leaving);
CREATE INDEX by_alarm ON events (first_us, id, source, probability, leaving) WHERE alarm = 1;
CREATE INDEX unfinished ON events (state) WHERE state = 'open';
CREATE INDEX leaving ON events (leaving) WHERE leaving = 1;
CREATE INDEX by_end ON events (last_us);
CREATE INDEX by_probability ON events (probability);
PRAGMA application_id = {_APPLICATION};
"""
_INSERT = (
    f"INSERT INTO events ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))}) "
    f"ON CONFLICT (id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _COLUMNS[1:])}"
)


class EventIndex:
    """The index as the run that writes it sees it; thread-safe.

    Attributes:
        was_made: Whether it was lost and made again from the files of at least one event.
    """

    def __init__(self, root: Path) -> None:
        """Open it; make it from the events' files if it is missing, damaged or of another version.

        Args:
            root: Folder of the events.

        Raises:
            SinkError: It cannot be opened or made, or is another program's database.
        """
        self._path = root / INDEX_FILE
        self._lock = threading.Lock()
        self.was_made = False
        try:
            self._db = _opened(self._path)
            is_sound = _is_sound(self._db, self._path)
            if not is_sound:
                self._db.close()
                _put_aside(self._path)
                self._db = _opened(self._path)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            if not is_sound:
                self._make(root)
        except (sqlite3.Error, OSError) as error:
            raise self._failure(error) from error

    def put(self, summaries: Iterable[EventSummary]) -> None:
        """Insert or update events.

        Raises:
            SinkError: The index cannot be written.
        """
        with self._writing() as db:
            db.executemany(_INSERT, [_values(summary) for summary in summaries])

    def mark_leaving(self, names: Iterable[str]) -> None:
        """Hide events whose files are about to be deleted.

        Raises:
            SinkError: The index cannot be written.
        """
        with self._writing() as db:
            db.executemany("UPDATE events SET leaving = 1 WHERE id = ?", [(name,) for name in names])

    def remove(self, names: Iterable[str]) -> None:
        """Remove events.

        Raises:
            SinkError: The index cannot be written.
        """
        with self._writing() as db:
            db.executemany("DELETE FROM events WHERE id = ?", [(name,) for name in names])

    def unfinished(self) -> list[EventSummary]:
        """Return the events that are open; this and what follows raise SinkError if the index cannot be read."""
        return self._select("state = 'open'", ())

    def leaving(self) -> list[EventSummary]:
        """Return the events that are hidden."""
        return self._select("leaving = 1", ())

    def ended_before(self, t_us: int, limit: int) -> list[EventSummary]:
        """Return closed events whose last detection is older, in Unix microseconds; at most ``limit``."""
        return self._select("last_us < ? AND state <> 'open' AND leaving = 0 LIMIT ?", (t_us, limit))

    def oldest(self, limit: int) -> list[EventSummary]:
        """Return the oldest closed events."""
        return self._select("state <> 'open' AND leaving = 0 ORDER BY first_us, id LIMIT ?", (limit,))

    def total_bytes(self) -> int:
        """Return the size of all events' files."""
        return int(str(self._read("SELECT COALESCE(SUM(bytes), 0) FROM events", ())[0][0]))

    def close(self) -> None:
        """Close it; harmless when called twice."""
        with self._lock:
            self._db.close()

    def _select(self, condition: str, values: tuple[object, ...]) -> list[EventSummary]:
        rows = self._read(f"SELECT {', '.join(_COLUMNS)} FROM events WHERE {condition}", values)
        return [summary_of_row(row) for row in rows]

    def _read(self, query: str, values: tuple[object, ...]) -> list[tuple[object, ...]]:
        with self._lock:
            try:
                return self._db.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise self._failure(error) from error

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                with self._db:
                    yield self._db
            except sqlite3.Error as error:
                raise self._failure(error) from error

    def _make(self, root: Path) -> None:
        """Make the index from the events' files."""
        self._db.executescript(_SCHEMA)
        chunk: list[tuple[object, ...]] = []
        for record, size in records_on_disk(root):
            chunk.append(_values(summary_of(record, size)))
            if len(chunk) >= _CHUNK:
                self._insert(chunk)
        self._insert(chunk)
        # Last: an index that was not finished is made again.
        self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _insert(self, chunk: list[tuple[object, ...]]) -> None:
        self.was_made = self.was_made or len(chunk) > 0
        with self._db:
            self._db.executemany(_INSERT, chunk)
        chunk.clear()

    def _failure(self, error: Exception) -> SinkError:
        return SinkError(f"events: {self._path}: the index cannot be used: {reason(error)}")


def records_on_disk(root: Path) -> Iterator[tuple[EventRecord, int]]:
    """Yield every event on disk and the size of its files in bytes; what is not an event is skipped."""
    for path in root.glob(f"*/*/*/{RECORD_FILE}"):
        with contextlib.suppress(DataError, OSError):
            record = read_record(path)
            if folder_of(root, record.source, record.id) == path.parent:
                yield record, sum(file.stat().st_size for file in path.parent.iterdir() if file.is_file())


def summary_of(record: EventRecord, size_bytes: int) -> EventSummary:
    """Return an event's line in the list; ``size_bytes`` is that of its files."""
    return EventSummary(
        first_us=record.first.t_us,
        last_us=record.last.t_us,
        clip_s=None if record.clip is None else record.clip.duration_s,
        bytes=size_bytes,
        **{name: getattr(record, name) for name in _COLUMNS if name not in ("first_us", "last_us", "clip_s", "bytes")},
    )


def summary_of_row(row: tuple[object, ...]) -> EventSummary:
    """Return a row of the index, in the order of the fields."""
    return msgspec.convert(dict(zip(_COLUMNS, row, strict=True)), EventSummary, strict=False)


def readable(root: Path) -> sqlite3.Connection:
    """Open the index for reading only, also while a run writes it.

    Raises:
        sqlite3.Error: It is missing, damaged or of another version.
    """
    db = sqlite3.connect(
        f"file:{quote(str((root / INDEX_FILE).absolute()))}?mode=ro",
        uri=True,
        timeout=_BUSY_S,
        check_same_thread=False,
        isolation_level=None,
    )
    try:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version != SCHEMA_VERSION:
            raise sqlite3.DatabaseError(f"expected version {SCHEMA_VERSION}, found {version}")
        db.execute("SELECT id FROM events LIMIT 1").fetchone()
    except sqlite3.Error:
        db.close()
        raise
    return db


def _opened(path: Path) -> sqlite3.Connection:
    # SQLite gives its other files the mode of this one.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), FILE_MODE))
    return sqlite3.connect(path, timeout=_BUSY_S, check_same_thread=False)


def _put_aside(path: Path) -> None:
    """Rename an index that cannot be used, and delete what belongs to it."""
    if path.stat().st_size:
        path.replace(path.with_suffix(".damaged"))
    for part in ("", "-wal", "-shm"):
        path.with_name(path.name + part).unlink(missing_ok=True)


def _is_sound(db: sqlite3.Connection, path: Path) -> bool:
    """Return whether the index is whole and of this version.

    Raises:
        SinkError: It is another program's database, which is left alone.
    """
    try:
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (tables,) = db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        if tables and application != _APPLICATION:
            db.close()
            raise SinkError(f"events: {path}: expected an index of events, found another database; give another folder")
        (version,) = db.execute("PRAGMA user_version").fetchone()
        (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
        return bool(version == SCHEMA_VERSION and verdict == "ok")
    except sqlite3.OperationalError:
        raise  # locked, or the disk fails: nothing is known of its content
    except sqlite3.DatabaseError:
        return False


def _values(summary: EventSummary) -> tuple[object, ...]:
    return msgspec.structs.astuple(summary)
