"""The folder of events: retention, repair, its index, and what is refused."""

from __future__ import annotations

import itertools
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from made_events import SESSION, START_US, Seen, frame_of, made_record, tracked, write_numbered

from lpnet_rt.clock import Clock
from lpnet_rt.errors import SinkError, SourceError
from lpnet_rt.events import EventFilter, EventRecord, EventStore
from lpnet_rt.events.archive import EventArchive
from lpnet_rt.events.index import INDEX_FILE, EventIndex, summary_of
from lpnet_rt.events.record import folder_of, read_record, record_bytes
from lpnet_rt.events.sink import EventSink
from lpnet_rt.settings import EventSettings, SourceSettings
from lpnet_rt.sources.video import VideoSource

DAY_US = 86_400_000_000


def write_event(root: Path, record: EventRecord, size_bytes: int = 0) -> Path:
    """An event on disk, with a clip of a size."""
    folder = folder_of(root, record.source, record.id)
    folder.mkdir(parents=True)
    (folder / "event.json").write_bytes(record_bytes(record))
    if size_bytes:
        (folder / "clip.mkv").write_bytes(bytes(size_bytes))
    return folder


@pytest.fixture
def open_archive(tmp_path: Path, clock: Clock) -> Iterator[Callable[..., EventArchive]]:
    opened: list[EventArchive] = []

    def start(**settings: object) -> EventArchive:
        opened.append(EventArchive(EventSettings(folder=str(tmp_path), **settings), clock))
        opened[-1].join()
        return opened[-1]

    yield start
    for archive in opened:
        archive.leave()


def ids(root: Path, wanted: EventFilter | None = None) -> list[str]:
    with closing(EventStore(root)) as store:
        return [event.id for event in store.all(wanted)]


def test_old_events_are_deleted_at_the_start_and_later(
    tmp_path: Path, open_archive: Callable[..., EventArchive], clock: Clock
) -> None:
    folders = [write_event(tmp_path, made_record(day, START_US - day * DAY_US)) for day in range(10)]
    (folders[9] / "notes.txt").write_text("not ours")
    archive = open_archive(keep_age="5d")
    assert [folder.exists() for folder in folders] == [True] * 5 + [False] * 4 + [True]
    assert [path.name for path in folders[9].iterdir()] == ["notes.txt"]
    assert not folders[8].parent.exists()  # an empty day goes, too
    assert len(ids(tmp_path)) == 5
    clock.sleep(86_400.0)
    assert archive.prune()
    assert not archive.prune()
    assert len(ids(tmp_path)) == 4


def test_the_oldest_events_are_deleted_over_the_size(tmp_path: Path, open_archive: Callable[..., EventArchive]) -> None:
    folders = [write_event(tmp_path, made_record(hour, START_US + hour * 3_600_000_000), 400_000) for hour in range(40)]
    open_archive(keep_size="2MB")
    kept = [folder for folder in folders if folder.exists()]
    assert kept == folders[-4:]
    assert sum(file.stat().st_size for folder in kept for file in folder.iterdir()) <= 2_000_000
    assert len(ids(tmp_path)) == 4


def test_an_event_that_goes_on_is_never_deleted(
    tmp_path: Path, open_sink: Callable[..., EventSink], clock: Clock
) -> None:
    sink = open_sink(keep_age="1s", clips=False)
    sink.write(tracked(frame_of(0, t_capture_us=START_US - DAY_US), [Seen(1)]))
    clock.sleep(20.0)
    sink.tick()
    assert len(ids(tmp_path / "events")) == 1


def test_a_link_in_place_of_an_event_is_not_followed(tmp_path: Path, open_archive: Callable[..., EventArchive]) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "event.json").write_text("precious")
    record = made_record(1, START_US - 9 * DAY_US)
    with closing(EventIndex(tmp_path)) as index:
        index.put([summary_of(record, 10)])
    folder = folder_of(tmp_path, "mast", record.id)
    folder.parent.mkdir(parents=True)
    folder.symlink_to(outside)
    with closing(EventStore(tmp_path)) as store:
        assert store.get(record.id) is None
    open_archive(keep_age="1d")
    assert (outside / "event.json").read_text() == "precious"
    assert ids(tmp_path) == []


def test_a_second_run_is_refused(tmp_path: Path, open_archive: Callable[..., EventArchive]) -> None:
    open_archive()
    with pytest.raises(SinkError, match="another run writes this folder"):
        open_archive()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="expected a folder that can be written"):
        EventArchive(EventSettings(folder=str(tmp_path / "file" / "events")), clock)


@pytest.mark.parametrize("harm", ["missing", "garbage", "version", "truncated", "unfinished"])
def test_an_index_that_is_lost_is_made_from_the_files(
    tmp_path: Path, open_archive: Callable[..., EventArchive], harm: str
) -> None:
    records = [made_record(track, START_US + track) for track in range(300)]
    for record in records:
        write_event(tmp_path, record)
    (tmp_path / "mast" / "2023-11-14" / "junk").mkdir()
    (tmp_path / "mast" / "2023-11-14" / "junk" / "event.json").write_text("{}")
    EventIndex(tmp_path).close()
    path = tmp_path / INDEX_FILE
    if harm == "missing":
        path.unlink()
    elif harm == "garbage":
        path.write_bytes(b"no database" * 1_000)
    elif harm == "unfinished":  # the program was killed while it made the index
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("DELETE FROM events WHERE track > 100")
            db.execute("PRAGMA user_version = 0")
    elif harm == "version":
        with closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA user_version = 99")
    else:
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
    open_archive()
    with closing(EventStore(tmp_path)) as store:
        assert store.count() == 300
        assert [event.id for event in store.page(limit=2).events] == [records[299].id, records[298].id]


def test_a_reader_makes_a_lost_index_unless_a_run_writes_it(
    tmp_path: Path, open_archive: Callable[..., EventArchive]
) -> None:
    record = made_record(1)
    write_event(tmp_path, record)
    assert ids(tmp_path) == [record.id]
    archive = open_archive()
    (tmp_path / INDEX_FILE).write_bytes(b"no database" * 1_000)
    with pytest.raises(SourceError, match="another run writes this folder"):
        EventStore(tmp_path)
    archive.leave()
    assert ids(tmp_path) == [record.id]


def test_a_folder_without_events_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there are no events"):
        EventStore(tmp_path)
    with pytest.raises(SourceError, match="expected a folder of events"):
        EventStore(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_deleting_that_a_kill_cut_short_is_finished(tmp_path: Path, open_archive: Callable[..., EventArchive]) -> None:
    record = made_record(1)
    folder = write_event(tmp_path, record)
    with closing(EventIndex(tmp_path)) as index:
        index.mark_leaving([record.id])
    assert ids(tmp_path) == []
    open_archive()
    assert not folder.exists()


def test_an_event_that_a_kill_left_without_its_record_is_removed(
    tmp_path: Path, open_archive: Callable[..., EventArchive]
) -> None:
    record = made_record(1, state="open")
    folder = folder_of(tmp_path, "mast", record.id)
    folder.mkdir(parents=True)
    (folder / "clip.mkv").write_bytes(b"")
    (folder / ".event.json.17.part").write_bytes(b"half")
    with closing(EventIndex(tmp_path)) as index:
        index.put([summary_of(record, 0)])
    open_archive()
    assert not folder.exists()
    assert ids(tmp_path) == []


_CHILD = """
import itertools, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from made_events import SESSION, START_US, Seen, frame_of, made_record, tracked, write_numbered
from lpnet_rt.clock import SYSTEM_CLOCK
from lpnet_rt.events.archive import EventArchive
from lpnet_rt.events.following import Origin
from lpnet_rt.events.sink import EventSink
from lpnet_rt.settings import AlarmSettings, EventSettings, SourceSettings
from lpnet_rt.sources.packets import PacketRing
from lpnet_rt.sources.video import VideoSource

wanted = EventSettings(folder=sys.argv[2], before_s=0.5)
ring = PacketRing(30.0, 10**8)
archive = EventArchive(wanted, SYSTEM_CLOCK)
sink = EventSink(archive, Origin("mast", SESSION, "m", "e"), (wanted, AlarmSettings()), ring, True, SYSTEM_CLOCK)
for frame in VideoSource(Path(sys.argv[1]), SourceSettings(realtime=True), tap=ring):
    sink.write(tracked(frame, [Seen(1)] if frame.index >= 10 else []))
    print(frame.index, flush=True)
"""


def test_a_kill_loses_less_than_the_last_second(
    tmp_path: Path, open_sink: Callable[..., EventSink], read_clip: Callable[[Path], list[tuple[float, int]]]
) -> None:
    video = write_numbered(tmp_path / "long.mkv", 600, options={"preset": "ultrafast", "g": "30", "bf": "0"})
    helpers = str(Path(__file__).parent.parent)
    command = [sys.executable, "-c", _CHILD, str(video), str(tmp_path / "events"), helpers]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        last = next(int(line) for line in child.stdout if int(line) >= 75)
        child.kill()
        last = max([last, *(int(line) for line in child.stdout.read().split())])
    sink = open_sink()  # the next start repairs
    (path,) = (tmp_path / "events").glob("*/*/*/event.json")
    record = read_record(path)
    assert (record.state, record.ended) == ("interrupted", "the program was killed")
    assert record.clip is not None
    assert record.clip.note == "the program was killed"
    numbers = [number for _, number in read_clip(path.with_name("clip.mkv"))]
    assert numbers == list(range(len(numbers)))
    assert record.clip.frames == len(numbers)
    assert numbers[-1] >= last - 30
    assert record.last.t_s >= (last - 33) / 30
    with closing(EventStore(tmp_path / "events")) as store:
        assert [event.state for event in store.page().events] == ["interrupted"]
        assert store.get(record.id) == record
    sink.close()
    pictures = list(itertools.islice(VideoSource(path.with_name("clip.mkv"), SourceSettings()), 5))
    assert len(pictures) == 5


def test_another_programs_database_is_left_alone(tmp_path: Path, open_archive: Callable[..., EventArchive]) -> None:
    with closing(sqlite3.connect(tmp_path / INDEX_FILE)) as db:
        db.execute("CREATE TABLE photos (name TEXT)")
        db.execute("PRAGMA user_version = 7")
    before = (tmp_path / INDEX_FILE).read_bytes()
    with pytest.raises(SinkError, match="found another database; give another folder"):
        open_archive()
    assert (tmp_path / INDEX_FILE).read_bytes() == before


def test_an_open_event_whose_record_is_damaged_keeps_its_files(
    tmp_path: Path, open_archive: Callable[..., EventArchive]
) -> None:
    record = made_record(1, state="open")
    folder = write_event(tmp_path, record, 10)
    (folder / "event.json").write_text("{")
    with closing(EventIndex(tmp_path)) as index:
        index.put([summary_of(record, 0)])
    open_archive()
    assert sorted(path.name for path in folder.iterdir()) == ["clip.mkv", "event.json"]
    assert ids(tmp_path) == []


def test_reading_while_a_run_writes(tmp_path: Path, open_sink: Callable[..., EventSink]) -> None:
    sink = open_sink(clips=False)
    sink.write(tracked(frame_of(0), [Seen(1)]))
    with closing(EventStore(tmp_path / "events")) as store:
        for number in range(1, 20):
            sink.write(tracked(frame_of(number), [Seen(track) for track in range(1, number + 2)]))
            assert store.count() == number + 1
            assert store.get(store.page(limit=1).events[0].id) is not None


def test_pages_hold_every_event_once_in_order(tmp_path: Path) -> None:
    records = [
        made_record(n, START_US + n // 3, source=("north", "south")[n % 2], alarm=n % 5 == 0, probability=n / 100)
        for n in range(100)
    ]
    with closing(EventIndex(tmp_path)) as index:
        index.put([summary_of(record, 1) for record in records])
    filters = {
        EventFilter(): lambda record: True,
        EventFilter(source="north"): lambda record: record.source == "north",
        EventFilter(alarms=True, min_probability=0.5): lambda record: record.alarm and record.probability >= 0.5,
        EventFilter(since_us=START_US + 5, until_us=START_US + 20): lambda r: (
            START_US + 5 <= r.first.t_us < START_US + 20
        ),
        EventFilter(source="nobody"): lambda record: False,
    }
    with closing(EventStore(tmp_path)) as store:
        for wanted, fits in filters.items():
            expected = sorted((r for r in records if fits(r)), key=lambda r: (r.first.t_us, r.id), reverse=True)
            found, after = [], None
            for _ in range(40):
                page = store.page(wanted, after, limit=7)
                found += [event.id for event in page.events]
                after = page.after
                if after is None:
                    break
            assert found == [record.id for record in expected]
            assert store.count(wanted) == len(expected)
        with pytest.raises(ValueError, match="expected 1 to 1,000"):
            store.page(limit=0)
        with pytest.raises(ValueError, match="after: expected"):
            store.page(after="1/' OR 1=1 --")


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "..",
        "",
        "/etc/passwd",
        f"20231114T221320Z-{SESSION}-1/../../x",
        f"20231114T221320Z-{SESSION}-2",
        "\x00",
    ],
)
def test_names_that_the_index_does_not_know_lead_nowhere(tmp_path: Path, name: str) -> None:
    record = made_record(1)
    folder = write_event(tmp_path, record, 10)
    with closing(EventStore(tmp_path)) as store:
        assert store.clip(record.id) == folder / "clip.mkv"
        assert store.chip(record.id) is None  # it has none
        assert (store.get(name), store.clip(name), store.chip(name)) == (None, None, None)


def test_a_source_name_in_the_index_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    root = tmp_path / "events"
    record = made_record(1)
    outside = write_event(tmp_path, msgspec.structs.replace(record, source="secret"), 10)
    root.mkdir()
    with closing(EventIndex(root)) as index:
        index.put([summary_of(msgspec.structs.replace(record, source="../secret"), 10)])
    with closing(EventStore(root)) as store:
        assert outside.exists()
        assert store.clip(record.id) is None


def test_records_read_back(tmp_path: Path) -> None:
    record = made_record(3)
    path = write_event(tmp_path, record) / "event.json"
    assert read_record(path) == record
    assert path.read_text().endswith('"rows": []\n}\n')
