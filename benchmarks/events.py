"""Pages of the list of events: how long each takes, with many events in the index and a run that writes beside it.

    python -m lpnet_rt.benchmarks.events [--events N] [--page N] [--files N] [--json OUT]

makes an index of a year with N events of four sources, reads every page of the whole list and of lists that are
filtered, and reads the list again while another thread updates an event a hundred times a second. With ``--files``, it
also writes so many events as files and makes a lost index from them.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lpnet_rt.benchmarks.outputs import check_output, write_figures
from lpnet_rt.benchmarks.results import Spread
from lpnet_rt.console import exit_code_of
from lpnet_rt.errors import SettingsError
from lpnet_rt.events import EventFilter, EventStore, EventSummary
from lpnet_rt.events.index import INDEX_FILE, EventIndex
from lpnet_rt.events.record import EventRecord, Place, TrackRow, event_id, folder_of, record_bytes

__all__ = ["main", "measure_pages"]

_START_US = 1_700_000_000_000_000
_YEAR_US = 365 * 86_400_000_000
_SESSION = "0123456789abcdef"
_SOURCES = ("north", "south", "east", "west")
_FILTERS = {
    "everything": EventFilter(),
    "one source": EventFilter(source="north"),
    "alarms": EventFilter(alarms=True),
    "alarms of one source": EventFilter(source="east", alarms=True),
    "probability over 0.99": EventFilter(min_probability=0.99),
    "probability over 0.9998": EventFilter(min_probability=0.9998),
    "nothing fits": EventFilter(min_probability=1.0),
    "one week": EventFilter(since_us=_START_US + _YEAR_US // 2, until_us=_START_US + _YEAR_US // 2 + _YEAR_US // 52),
}


def measure_pages(root: Path, wanted: EventFilter, size: int) -> tuple[Spread, Spread]:
    """Read every page of a list, from the newest to the oldest event.

    Args:
        root: Folder of the events.
        wanted: Which events.
        size: Events of a page.

    Returns:
        How long each page took, and how much of a processor's time, which a busy machine does not stretch.
    """
    durations_ms: list[float] = []
    processor_ms: list[float] = []
    with closing(EventStore(root)) as store:
        after = None
        while True:
            begun_ns, begun_processor_ns = time.perf_counter_ns(), time.thread_time_ns()
            page = store.page(wanted, after, size)
            durations_ms.append((time.perf_counter_ns() - begun_ns) / 1e6)
            processor_ms.append((time.thread_time_ns() - begun_processor_ns) / 1e6)
            after = page.after
            if after is None:
                return Spread.of(durations_ms), Spread.of(processor_ms)


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m lpnet_rt.benchmarks.events", description=__doc__)
    parser.add_argument("--events", type=int, default=100_000, metavar="N", help="in the index (default: %(default)s)")
    parser.add_argument("--page", type=int, default=50, metavar="N", help="events of a page (default: %(default)s)")
    parser.add_argument("--files", type=int, default=0, metavar="N", help="events to make an index from")
    parser.add_argument("--json", type=Path, metavar="OUT")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that exists")
    args = parser.parse_args(argv)
    return exit_code_of(lambda: _run(args))


def _run(args: argparse.Namespace) -> int:
    if min(args.events, args.page) < 1:
        raise SettingsError("--events and --page: expected whole numbers of at least 1")
    if args.json:
        check_output(args.json, "--json", args.overwrite)
    figures: dict[str, object] = {}
    title = f"{args.events:,} events, {args.page} per page; milliseconds"
    columns = ("list", "pages", "p50", "p99", "longest", "processor p50", "processor longest")
    table = Table(*columns, title=title)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        with closing(EventIndex(root)) as index:
            index.put(_summaries(args.events))
            for name, wanted in _FILTERS.items():
                figures[name] = _add(table, name, measure_pages(root, wanted, args.page))
            with _writing(index):
                name = "everything, beside a run"
                figures[name] = _add(table, name, measure_pages(root, EventFilter(), args.page))
        size_mb = (root / INDEX_FILE).stat().st_size / 1e6
    Console().print(table, f"the index takes {size_mb:.1f} MB")
    if args.files:
        figures["make_index_s"] = made_s = _make_index(args.files)
        print(f"{args.files:,} events on disk: an index is made from them in {made_s:.2f} s")
    if args.json:
        write_figures(figures, args.json, args.overwrite)
    return 0


def _add(table: Table, name: str, measured: tuple[Spread, Spread]) -> dict[str, object]:
    pages, processor = measured
    values = pages.p50_ms, pages.p99_ms, pages.max_ms, processor.p50_ms, processor.max_ms
    table.add_row(name, f"{pages.count:,}", *(f"{ms:.2f}" for ms in values))
    return {"pages": asdict(pages), "processor": asdict(processor)}


def _summaries(count: int) -> Iterator[EventSummary]:
    """Yield events at random times of a year."""
    chance = random.Random(5)
    for number in range(count):
        first_us = _START_US + chance.randrange(_YEAR_US)
        yield EventSummary(
            id=event_id(first_us, _SESSION, number, 1),
            source=chance.choice(_SOURCES),
            first_us=first_us,
            last_us=first_us + 4_000_000,
            duration_s=4.0,
            probability=0.5 + 0.4999 * chance.random(),
            best_score=0.9,
            moved_px=30.0,
            alarm=chance.random() < 0.1,
            no_alarm=None,
            state="closed",
            session=_SESSION,
            track=number,
            part=1,
            clip_s=14.0,
            bytes=3_000_000,
        )


@contextmanager
def _writing(index: EventIndex) -> Iterator[None]:
    """Update an event again and again in another thread."""
    ended = threading.Event()
    (summary,) = _summaries(1)

    def write() -> None:
        while not ended.wait(0.01):
            index.put([summary])

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _make_index(count: int) -> float:
    """Write events of 300 frames as files, and return how long an index takes to be made from them, seconds."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for summary in _summaries(count):
            path = folder_of(root, summary.source, summary.id)
            path.mkdir(parents=True)
            (path / "event.json").write_bytes(record_bytes(_record(summary)))
        begun_s = time.perf_counter()
        EventIndex(root).close()
        return time.perf_counter() - begun_s


def _record(summary: EventSummary) -> EventRecord:
    place = Place(t_us=summary.first_us, t_s=0.0, x=10.0, y=20.0)
    return EventRecord(
        id=summary.id,
        source=summary.source,
        session=summary.session,
        track=summary.track,
        part=summary.part,
        state=summary.state,
        ended="the track ended",
        first=place,
        last=place,
        duration_s=summary.duration_s,
        probability=summary.probability,
        best_score=summary.best_score,
        hits=300,
        moved_px=summary.moved_px,
        width=640,
        height=512,
        alarm=summary.alarm,
        alarm_t_us=None,
        no_alarm=None,
        model="lpnet-rt",
        engine="openvino bf16",
        software="lpnet-rt",
        chip=None,
        view=None,
        clip=None,
        no_clip=None,
        rows=tuple(TrackRow(summary.first_us + 33_333 * n, n / 30, 10.0 + n, 20.0, 0.9) for n in range(300)),
    )


if __name__ == "__main__":
    sys.exit(main())
