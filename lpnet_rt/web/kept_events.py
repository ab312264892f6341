"""Events of the page that are kept on disk, too: those of the last day before this run, and clips."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lpnet_rt.clock import Clock
from lpnet_rt.errors import SourceError
from lpnet_rt.web.event_log import EventRow, MemoryEventLog

if TYPE_CHECKING:
    from lpnet_rt.events import EventHub, EventNotice, EventRecord, EventStore

__all__ = ["KeptEvents"]

_DAY_US = 86_400_000_000
_MAX_BEFORE = 200


class KeptEvents:
    """Joins a log of events with the folder that keeps them."""

    def __init__(self, log: MemoryEventLog, store: EventStore, hub: EventHub, clock: Clock) -> None:
        """Take the latest events of the last day, and hear of every further one.

        Args:
            log: Of the page.
            store: The events on disk.
            hub: Passes on what happens to them.
            clock: Clock of the run.
        """
        self._log, self._store = log, store
        log.files = self
        self._take_earlier(clock.unix_us() - _DAY_US)
        self._unsubscribe = hub.subscribe(self._hear)

    def chip_png(self, name: str) -> bytes | None:
        """Return the picture of an event, stretched and enlarged, or None."""
        try:
            path = self._store.chip(name, enlarged=True)
            return None if path is None else path.read_bytes()
        except (OSError, SourceError):
            return None

    def clip(self, name: str) -> Path | None:
        """Return the file with the video of an event, or None."""
        try:
            return self._store.clip(name)
        except SourceError:
            return None

    def close(self) -> None:
        """Hear of no further event."""
        self._unsubscribe()
        self._store.close()

    def _take_earlier(self, since_us: int) -> None:
        from lpnet_rt.events import EventFilter

        page = self._store.page(EventFilter(since_us=since_us), limit=_MAX_BEFORE)
        for summary in reversed(page.events):
            record = self._store.get(summary.id)
            if record is not None and record.state != "open":
                self._log.add(_row(record), record.id)

    def _hear(self, notice: EventNotice) -> None:
        """Give the row of a track the files of its event; a track too long for one event keeps those of the first."""
        record = notice.record
        if record.part == 1 and notice.kind != "alarm":
            self._log.keep((record.source, record.track), record.id, has_clip=record.clip is not None)


def _row(record: EventRecord) -> EventRow:
    return EventRow(
        id=0,
        version=0,
        source=record.source,
        track=record.track,
        began_us=record.first.t_us,
        ended_us=record.last.t_us,
        first_xy=(record.first.x, record.first.y),
        last_xy=(record.last.x, record.last.y),
        best_score=record.best_score,
        probability=record.probability,
        has_chip=True,
        has_clip=record.clip is not None,
    )
