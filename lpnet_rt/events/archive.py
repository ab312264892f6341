"""The folder of events as the run that writes it sees it: files, index, retention, and repair after a kill."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from pathlib import Path

import msgspec

from lpnet_rt.clock import Clock
from lpnet_rt.errors import DataError, SinkError, reason
from lpnet_rt.events.chips import chip_png, view_png
from lpnet_rt.events.clips import probe_clip
from lpnet_rt.events.hub import EventHub
from lpnet_rt.events.index import EventIndex, EventSummary, summary_of
from lpnet_rt.events.record import (
    CHIP_FILE,
    CLIP_FILE,
    EVENT_FILES,
    RECORD_FILE,
    VIEW_FILE,
    EventRecord,
    folder_of,
    read_record,
    record_bytes,
)
from lpnet_rt.files import write_whole
from lpnet_rt.frames import GreyImage
from lpnet_rt.settings import EventSettings, bytes_of, seconds_of

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

__all__ = ["MAX_CLIPS", "EventArchive", "lock_folder"]

_logger = logging.getLogger(__name__)

MAX_CLIPS = 16
"""Clips that are written at once; each holds a file open."""

_LOCK_FILE = ".lock"
_AT_ONCE = 16
_KILLED = "the program was killed"


class EventArchive:
    """Writes the events of all sources of a run; thread-safe.

    Attributes:
        root: Folder of the events.
        hub: Passes notices on to other outputs.
    """

    def __init__(self, settings: EventSettings, clock: Clock) -> None:
        """Open the folder, repair what a kill has left, and delete what is too old or too much.

        Args:
            settings: ``folder`` is given; ``keep_age`` and ``keep_size`` are used.
            clock: Clock of the run.

        Raises:
            SinkError: The folder cannot be written, or another run writes it.
        """
        assert settings.folder is not None
        self.root, self.hub = Path(settings.folder), EventHub()
        self._clock = clock
        self._keep_s = None if settings.keep_age is None else seconds_of(settings.keep_age)
        self._keep_bytes = None if settings.keep_size is None else bytes_of(settings.keep_size)
        self._users, self._clips = 0, 0
        self._lock = threading.Lock()
        self._held = lock_folder(self.root)
        try:
            self._index = EventIndex(self.root)
            if self._index.was_made:
                _logger.info("%s: the index of events was made from their files", self.root)
            while self.prune():  # first, so that there is room for what follows
                pass
            self._repair()
        except BaseException:
            os.close(self._held)
            raise

    def join(self) -> None:
        """Add a user: the folder stays open until every user has left."""
        with self._lock:
            self._users += 1

    def leave(self) -> None:
        """Close the folder if it has no other user."""
        with self._lock:
            self._users -= 1
            is_last = self._users == 0
        if is_last:
            self._index.close()
            os.close(self._held)

    def take_clip(self) -> bool:
        """Return whether another clip may be written now; if so, give it back with :meth:`return_clip`."""
        with self._lock:
            if self._clips >= MAX_CLIPS:
                return False
            self._clips += 1
            return True

    def return_clip(self) -> None:
        """Say that a clip is complete."""
        with self._lock:
            self._clips -= 1

    def begin(self, record: EventRecord) -> Path:
        """Make the folder of a new event.

        Returns:
            The folder.

        Raises:
            SinkError: It cannot be made.
        """
        folder = folder_of(self.root, record.source, record.id)
        # First the index: after a kill, it is where events are found that are not complete.
        self._index.put([summary_of(record, 0)])
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SinkError(f"events: {folder}: cannot be made: {reason(error)}") from error
        return folder

    def save(self, record: EventRecord, chip: GreyImage | None) -> EventRecord:
        """Write the files of an event except its clip, and its line in the index.

        Args:
            record: What is known of it; ``chip`` and ``view`` are filled in.
            chip: (64, 64) raw counts, or None if its files are up to date.

        Returns:
            The record as it was written.

        Raises:
            SinkError: Something cannot be written.
        """
        folder = folder_of(self.root, record.source, record.id)
        if chip is not None:
            write_whole(folder / CHIP_FILE, chip_png(chip), "events")
            write_whole(folder / VIEW_FILE, view_png(chip), "events")
        record = msgspec.structs.replace(record, chip=CHIP_FILE, view=VIEW_FILE)
        write_whole(folder / RECORD_FILE, record_bytes(record), "events")
        self._index.put([summary_of(record, _size_of(folder))])
        return record

    def prune(self) -> bool:
        """Delete some of the events over the limits, the oldest first; called again and again.

        Returns:
            Whether any was deleted.

        Raises:
            SinkError: The index cannot be written.
        """
        going: list[EventSummary] = []
        if self._keep_s is not None:
            going = self._index.ended_before(self._clock.unix_us() - round(self._keep_s * 1e6), _AT_ONCE)
        if not going and self._keep_bytes is not None:
            excess = self._index.total_bytes() - self._keep_bytes
            for summary in self._index.oldest(_AT_ONCE) if excess > 0 else []:
                if excess <= 0:
                    break
                excess -= summary.bytes
                going.append(summary)
        self._index.mark_leaving([summary.id for summary in going])
        self._delete(going)
        return len(going) > 0

    def _delete(self, summaries: list[EventSummary]) -> None:
        """Delete hidden events: only our files, so a folder with others stays."""
        for summary in summaries:
            folder = folder_of(self.root, summary.source, summary.id)
            if folder.is_symlink():
                continue
            _delete_files(folder, EVENT_FILES)
            for emptied in (folder, folder.parent):
                with contextlib.suppress(OSError):
                    emptied.rmdir()
            _logger.info("%s: deleted", folder)
        self._index.remove([summary.id for summary in summaries])

    def _repair(self) -> None:
        """Complete what a kill has left: events that were open, and events that were being deleted."""
        self._delete(self._index.leaving())
        for summary in self._index.unfinished():
            folder = folder_of(self.root, summary.source, summary.id)
            _delete_files(folder, ())
            try:
                record = read_record(folder / RECORD_FILE)
            except DataError as error:
                if (folder / RECORD_FILE).exists():
                    _logger.warning("%s; the event is left out of the index", error)
                else:
                    _delete_files(folder, EVENT_FILES)  # the kill came before its first second was written
                    with contextlib.suppress(OSError):
                        folder.rmdir()
                self._index.remove([summary.id])
                continue
            self.save(_interrupted(record, folder), None)
            _logger.warning("%s: the event was going on when the program was killed", folder)


def lock_folder(root: Path) -> int:
    """Make a folder of events if it is missing, and keep other processes from writing it.

    Returns:
        File descriptor that holds the lock until it is closed.

    Raises:
        SinkError: It cannot be written, or another process writes it.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        held = os.open(root / _LOCK_FILE, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o640)
    except OSError as error:
        raise SinkError(f"events {root}: expected a folder that can be written, found: {reason(error)}") from error
    if fcntl is not None:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(held)
            raise SinkError(f"events {root}: another run writes this folder; give another one") from error
        except OSError:
            pass  # a file system without locks
    return held


def _interrupted(record: EventRecord, folder: Path) -> EventRecord:
    """Return the record of an event that a kill cut short, with what its clip holds."""
    record = msgspec.structs.replace(record, state="interrupted", ended=record.ended or _KILLED)
    if record.clip is None:
        return record
    path = folder / CLIP_FILE
    probed = probe_clip(path)
    if probed is None:
        with contextlib.suppress(OSError):
            path.unlink()
        return msgspec.structs.replace(record, clip=None, no_clip=f"{_KILLED} before its first half second was written")
    duration_s, frames = probed
    changes = {"duration_s": round(duration_s, 3), "frames": frames, "bytes": path.stat().st_size, "note": _KILLED}
    return msgspec.structs.replace(record, clip=msgspec.structs.replace(record.clip, **changes))


def _delete_files(folder: Path, names: tuple[str, ...]) -> None:
    """Delete files of an event, and what a kill has left of files that were being written."""
    with contextlib.suppress(OSError):
        for path in [*(folder / name for name in names), *folder.glob(".*.part")]:
            path.unlink(missing_ok=True)


def _size_of(folder: Path) -> int:
    """Return the size of the event's files, bytes."""
    total = 0
    for name in EVENT_FILES:
        with contextlib.suppress(OSError):
            total += (folder / name).stat().st_size
    return total
