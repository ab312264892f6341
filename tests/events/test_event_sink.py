"""The output of events: what is on disk after targets came and went."""

from __future__ import annotations

import itertools
import json
import os
import resource
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_events import RATE_HZ, SESSION, Seen, frame_of, made_record, tracked, write_numbered

from lpnet_rt.clock import SYSTEM_CLOCK, Clock
from lpnet_rt.errors import SinkError
from lpnet_rt.events import EventHub, EventNotice, EventRecord, EventStore
from lpnet_rt.events.archive import MAX_CLIPS, EventArchive
from lpnet_rt.events.record import read_record
from lpnet_rt.events.sink import EventSink
from lpnet_rt.settings import AlarmSettings, EventSettings, SourceSettings
from lpnet_rt.sinks.runner import QueuedSink
from lpnet_rt.sources.packets import PacketRing
from lpnet_rt.sources.video import VideoSource
from lpnet_rt.tracking import TrackState

ReadClip = Callable[[Path], list[tuple[float, int]]]


def _records(root: Path) -> list[EventRecord]:
    """All events, in order of their tracks."""
    records = [read_record(path) for path in root.glob("*/*/*/event.json")]
    return sorted(records, key=lambda record: (record.track, record.part))


def _clip(root: Path, record: EventRecord) -> Path:
    (path,) = root.glob(f"*/*/{record.id}/clip.mkv")
    return path


def _play(sink: EventSink, path: Path, ring: PacketRing, seen: Callable[[int], list[Seen]]) -> None:
    """Read a video as a run does, with tracks by the number of the frame."""
    for frame in VideoSource(path, SourceSettings(), tap=ring):
        sink.write(tracked(frame, seen(frame.index)))
    sink.close()


def _target(number: int, first: int, last: int, track: int = 1, confirmed_after: int = 5) -> list[Seen]:
    """A track that is detected from one frame to another, and coasts for a second."""
    if not first <= number <= last + RATE_HZ:
        return []
    early = number < first + confirmed_after
    state = TrackState.TENTATIVE if early else TrackState.CONFIRMED if number <= last else TrackState.COASTING
    return [Seen(track, x=20.0 + number - first, score=0.9 if number <= last else None, state=state)]


def test_first_detection_lies_inside_the_clip_in_100_of_100_events(
    tmp_path: Path, open_sink: Callable[..., EventSink], read_clip: ReadClip
) -> None:
    """Each picture says which frame it is: at the second that the record names, the clip shows the first detection."""
    starts = [20 + 12 * event + event % 7 for event in range(100)]
    video = write_numbered(
        tmp_path / "long.mkv", starts[-1] + 60, options={"preset": "ultrafast", "g": "25", "bf": "2"}
    )
    ring = PacketRing(30.0, 10**8)
    sink = open_sink(ring, before_s=0.3, after_s=0.2)
    _play(sink, video, ring, lambda number: list(itertools.chain(*(_target(number, s, s + 9, s) for s in starts))))
    records = _records(tmp_path / "events")
    inside = 0
    for record, start in zip(records, starts, strict=True):
        assert record.clip is not None
        assert record.clip.first_detection_s is not None
        pictures = read_clip(_clip(tmp_path / "events", record))
        shown = {number: time_s for time_s, number in pictures}
        assert record.first.t_s == pytest.approx(start / RATE_HZ, abs=0.002)
        inside += abs(shown[start] - record.clip.first_detection_s) < 0.003
        assert shown[start] == pytest.approx(record.first.t_s - record.clip.starts_at_s, abs=0.003)
        numbers = [number for _, number in pictures]
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
        assert max(start - 9 - 25, 0) <= numbers[0] <= max(start - 9, 0)  # at most one group of pictures too early
        assert start + 9 + 6 <= numbers[-1] <= start + 9 + 12
    assert inside == 100


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "options", "container", "kept"),
    [
        ("a.mp4", "libx264", "yuv420p", {"g": "12", "bf": "2"}, None, "h264"),
        ("a.ts", "libx264", "yuv420p", {"g": "12", "bf": "2"}, None, "h264"),
        ("a.mkv", "ffv1", "gray16le", {"level": "3"}, None, "ffv1"),
        ("a.avi", "mjpeg", "yuvj420p", {"strict": "-1"}, None, "mjpeg"),
        ("b.avi", "libx264", "yuv420p", {"bf": "0", "g": "12"}, None, "h264"),
        ("a.webm", "libvpx", "yuv420p", {"deadline": "realtime", "g": "12"}, None, "vp8"),
    ],
)
def test_the_packets_of_a_clip_are_those_of_the_source(
    tmp_path: Path,
    open_sink: Callable[..., EventSink],
    read_clip: ReadClip,
    name: str,
    codec: str,
    pix_fmt: str,
    options: dict[str, str],
    container: str | None,
    kept: str,
) -> None:
    video = write_numbered(tmp_path / name, 100, codec, pix_fmt, options, container)
    ring = PacketRing(30.0, 10**8)
    sink = open_sink(ring, before_s=0.5, after_s=0.5)
    _play(sink, video, ring, lambda number: _target(number, 40, 60))
    (record,) = _records(tmp_path / "events")
    clip = record.clip
    assert clip is not None
    assert (clip.codec, clip.copied, clip.note) == (kept, True, None)
    pictures = read_clip(_clip(tmp_path / "events", record))
    assert clip.frames == len(pictures)
    shown = {number: time_s for time_s, number in pictures}
    assert shown[40] == pytest.approx(clip.first_detection_s, abs=0.003)
    assert shown[60] == pytest.approx(clip.last_detection_s, abs=0.003)
    assert min(shown) <= 25
    assert 75 <= max(shown) <= 80
    original = {number: frame.image for number, frame in enumerate(VideoSource(video, SourceSettings()))}
    for frame in VideoSource(_clip(tmp_path / "events", record), SourceSettings()):
        np.testing.assert_array_equal(frame.image, original[min(shown) + frame.index])


@pytest.mark.parametrize(("name", "codec", "pix_fmt"), [("a.avi", "rawvideo", "gray"), ("b.avi", "libx264", "yuv420p")])
def test_pictures_are_encoded_where_packets_cannot_be_copied(
    tmp_path: Path, open_sink: Callable[..., EventSink], read_clip: ReadClip, name: str, codec: str, pix_fmt: str
) -> None:
    """Matroska holds no raw grey video, and AVI says nothing of the order of B pictures."""
    video = write_numbered(
        tmp_path / name, 100, codec, pix_fmt, {"bf": "2"} if codec == "libx264" else {"threads": "1"}
    )
    ring = PacketRing(30.0, 10**8)
    sink = open_sink(ring, before_s=0.5, after_s=0.5)
    _play(sink, video, ring, lambda number: _target(number, 40, 60))
    (record,) = _records(tmp_path / "events")
    assert record.clip is not None
    assert not record.clip.copied
    numbers = [number for _, number in read_clip(_clip(tmp_path / "events", record))]
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert numbers[0] in (25, 26)
    assert 75 <= numbers[-1] <= 76


@pytest.mark.parametrize(("dtype", "codec"), [(np.uint8, "h264"), (np.uint16, "ffv1")])
def test_a_source_that_is_not_encoded(
    tmp_path: Path, open_sink: Callable[..., EventSink], read_clip: ReadClip, dtype: type, codec: str
) -> None:
    sink = open_sink(before_s=0.5, after_s=0.5)
    for number in range(120):
        sink.write(tracked(frame_of(number, dtype), _target(number, 40, 60)))
    (record,) = _records(tmp_path / "events")  # closed by its time, not by the end of the source
    assert record.state == "closed"
    assert record.ended == "the track ended"
    assert record.clip is not None
    assert (record.clip.codec, record.clip.copied, record.clip.note) == (codec, False, None)
    pictures = read_clip(_clip(tmp_path / "events", record))
    assert [number for _, number in pictures] == list(range(25, 76))
    assert {number: time_s for time_s, number in pictures}[40] == pytest.approx(record.clip.first_detection_s, abs=2e-3)
    if dtype is np.uint16:
        (first, *_) = VideoSource(_clip(tmp_path / "events", record), SourceSettings())
        np.testing.assert_array_equal(first.image, frame_of(25, dtype).image)  # without loss


def test_a_target_in_the_first_picture(tmp_path: Path, open_sink: Callable[..., EventSink]) -> None:
    sink = open_sink(before_s=0.5, after_s=0.5)
    for number in range(1, 60):  # from a thirtieth of a second, which no decimal number is
        sink.write(tracked(frame_of(number), _target(number, 1, 20)))
    (record,) = _records(tmp_path / "events")
    assert record.clip is not None
    assert (record.clip.first_detection_s, record.clip.note) == (0.0, None)


def test_a_track_whose_beginning_is_no_longer_in_memory(tmp_path: Path, open_sink: Callable[..., EventSink]) -> None:
    """A megabyte is 162 pictures; the track is confirmed after 300."""
    sink = open_sink(before_s=0.5, after_s=0.5, buffer_mb=1)
    for number in range(400):
        report = tracked(frame_of(number), _target(number, 10, 350, confirmed_after=300))
        sink.write(report)
    sink.close()
    (record,) = _records(tmp_path / "events")
    assert record.clip is not None
    assert record.clip.first_detection_s is None
    assert record.clip.note == "it starts after the first detection: no earlier key frame was kept in memory"
    assert record.clip.last_detection_s <= record.clip.duration_s


def test_what_is_on_disk(tmp_path: Path, open_sink: Callable[..., EventSink]) -> None:
    sink = open_sink(before_s=0.5, after_s=0.2)
    for number in range(90):
        sink.write(tracked(frame_of(number, np.uint16), _target(number, 20, 30, track=7)))
    sink.close()
    name = f"20231114T221320Z-{SESSION}-7"
    folder = tmp_path / "events" / "mast" / "2023-11-14" / name
    assert sorted(path.name for path in folder.iterdir()) == ["chip-view.png", "chip.png", "clip.mkv", "event.json"]
    files = [*folder.iterdir(), tmp_path / "events" / "index.sqlite"]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o640}
    record = read_record(folder / "event.json")
    assert (record.id, record.track, record.hits, record.part) == (name, 7, 11, 1)
    assert (record.first.x, record.last.x, record.duration_s) == (20.0, 30.0, pytest.approx(10 / RATE_HZ, abs=1e-3))
    assert [row.x for row in record.rows] == [20.0 + step for step in range(11)]
    assert record.alarm
    content = json.loads((folder / "event.json").read_bytes())
    assert content["rows"][0] == [record.first.t_us, record.first.t_s, 20.0, 20.0, 0.9]
    chip = cv2.imread(str(folder / "chip.png"), cv2.IMREAD_UNCHANGED)
    assert (chip.shape, chip.dtype) == ((64, 64), np.uint16)
    assert cv2.imread(str(folder / "chip-view.png"), cv2.IMREAD_UNCHANGED).shape == (256, 256)


def test_a_tentative_track_leaves_nothing(tmp_path: Path, open_sink: Callable[..., EventSink]) -> None:
    sink = open_sink()
    for number in range(60):
        seen = [Seen(1, state=TrackState.TENTATIVE)] if number < 30 else []
        sink.write(tracked(frame_of(number), seen))
    sink.close()
    assert _records(tmp_path / "events") == []


def test_detections_that_min_state_left_out_count_as_the_first(
    tmp_path: Path, open_sink: Callable[..., EventSink]
) -> None:
    sink = open_sink(clips=False)
    for number in range(20):
        report = tracked(frame_of(number), _target(number, 5, 15))
        update = report.tracks
        assert update is not None
        update.tracks.hits[:] = max(min(number, 15) - 4, 0)
        if number < 10:
            update.detection_track_id[:] = 0
        sink.write(report)
    sink.close()
    (record,) = _records(tmp_path / "events")
    assert record.first.t_s == pytest.approx(5 / RATE_HZ, abs=1e-3)
    assert record.no_clip == "clips are switched off"


def test_more_events_than_clips_at_once(tmp_path: Path, open_sink: Callable[..., EventSink]) -> None:
    sink = open_sink(before_s=0.1, after_s=0.1)
    before = len(os.listdir("/proc/self/fd"))
    everyone = [Seen(track, x=float(track)) for track in range(1, 31)]
    for number in range(5):
        sink.write(tracked(frame_of(number), everyone))
    assert len(os.listdir("/proc/self/fd")) - before <= MAX_CLIPS
    sink.close()
    records = _records(tmp_path / "events")
    assert len(records) == 30
    assert sum(record.clip is not None for record in records) == MAX_CLIPS
    assert {record.no_clip for record in records} == {None, "16 other clips were being written"}


def test_an_event_that_is_too_long_goes_on_as_another(
    tmp_path: Path, open_sink: Callable[..., EventSink], read_clip: ReadClip
) -> None:
    sink = open_sink(before_s=0.5, after_s=0.5, max_clip_s=1.0)
    for number in range(80):
        sink.write(tracked(frame_of(number), _target(number, 10, 60)))
    sink.close()
    first, second = _records(tmp_path / "events")
    assert (first.part, second.part) == (1, 2)
    assert first.ended == "it was longer than 1 s and goes on as part 2"
    assert second.id.endswith("-1-2")
    assert second.first.t_s - first.last.t_s == pytest.approx(1 / RATE_HZ, abs=1e-3)
    assert (first.alarm, second.alarm, second.no_alarm) == (True, False, "its track was an alarm before")
    assert read_clip(_clip(tmp_path / "events", first))[0][1] == 0
    assert first.clip is not None
    assert first.clip.duration_s < 2.1


@pytest.mark.parametrize(
    ("change", "why"), [("epoch", "the pictures changed in size or depth"), ("reconnects", "the source came back")]
)
def test_a_break_ends_the_event_and_its_clip(
    tmp_path: Path, open_sink: Callable[..., EventSink], read_clip: ReadClip, change: str, why: str
) -> None:
    sink = open_sink(before_s=0.5, after_s=2.0)
    for number in range(40):
        sink.write(tracked(frame_of(number), _target(number, 10, 60)))
    for number in range(40, 50):
        sink.write(tracked(frame_of(number, **{change: 1}), []))
    (record,) = _records(tmp_path / "events")
    assert (record.state, record.ended) == ("closed", why)
    assert [number for _, number in read_clip(_clip(tmp_path / "events", record))] == list(range(40))


def test_a_stream_that_starts_over_ends_the_clip(
    tmp_path: Path, open_sink: Callable[..., EventSink], read_clip: ReadClip
) -> None:
    sink = open_sink(before_s=0.5, after_s=2.0)
    for number in range(40):
        sink.write(tracked(frame_of(number + 100), _target(number, 10, 60)))
    for number in range(30):
        read_ns = 10_000_000_000 + number
        sink.write(tracked(frame_of(number, t_read_ns=read_ns), []))
    (record,) = _records(tmp_path / "events")
    assert record.state == "closed"
    assert [number for _, number in read_clip(_clip(tmp_path / "events", record))] == list(range(100, 140))


def test_a_live_source_that_falls_silent(tmp_path: Path, open_sink: Callable[..., EventSink], clock: Clock) -> None:
    sink = open_sink(live=True)
    for number in range(40):
        sink.write(tracked(frame_of(number), _target(number, 10, 60)))
    clock.sleep(4.0)
    sink.tick()
    assert _records(tmp_path / "events")[0].state == "open"
    clock.sleep(2.1)
    sink.tick()
    (record,) = _records(tmp_path / "events")
    assert (record.state, record.ended) == ("closed", "the source was lost")


def test_alarms_only_for_what_moves_and_notices_for_others(
    tmp_path: Path, open_sink: Callable[..., EventSink], clock: Clock
) -> None:
    archive = EventArchive(EventSettings(folder=str(tmp_path / "events")), clock)
    notices: list[EventNotice] = []
    archive.hub.subscribe(notices.append)

    def fail(notice: EventNotice) -> None:
        raise RuntimeError("a listener that fails")

    archive.hub.subscribe(fail)
    sink = open_sink(archive=archive, clips=False, alarm=AlarmSettings(min_motion_px=10.0))
    for number in range(30):
        moving = Seen(1, x=20.0 + number, reach_px=float(number))
        sink.write(tracked(frame_of(number), [moving, Seen(2, x=90.0, reach_px=3.25)]))
    sink.close()
    moved, stood = _records(tmp_path / "events")
    assert (moved.alarm, moved.no_alarm) == (True, None)
    assert moved.alarm_t_us == frame_of(10).t_capture_us
    assert (stood.alarm, stood.no_alarm) == (False, "it moved 3.2 px, less than 10 px")
    assert [(one.kind, one.record.track) for one in notices] == [
        ("started", 1),
        ("started", 2),
        ("alarm", 1),
        ("ended", 1),
        ("ended", 2),
    ]


def test_the_record_is_written_again_every_second(
    tmp_path: Path, open_sink: Callable[..., EventSink], clock: Clock
) -> None:
    sink = open_sink(clips=False)
    for number in range(95):
        clock.sleep(1 / RATE_HZ)
        sink.write(tracked(frame_of(number), [Seen(1)]))
        if number % 10 == 0:
            (record,) = _records(tmp_path / "events")
            assert number / RATE_HZ - record.last.t_s <= 1.0 + 2 / RATE_HZ
    with closing(EventStore(tmp_path / "events")) as store:
        assert [event.state for event in store.page().events] == ["open"]


def test_a_full_disk_costs_events_only(tmp_path: Path, open_sink: Callable[..., EventSink]) -> None:
    """Files cannot grow past a limit here; the output is given up, and its runner goes on taking reports."""
    noise = np.random.default_rng(3).integers(0, 60_000, (128, 160), np.uint16)
    runner = QueuedSink(open_sink(), "events", SYSTEM_CLOCK, lossy=False)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
    try:
        for number in range(200):
            frame = frame_of(number, np.uint16, image=noise.copy())
            while not runner.offer(tracked(frame, [Seen(1)])):
                time.sleep(0.001)
        runner.close("end")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert runner.failure is not None
    assert "cannot be written" in runner.failure
    (record,) = _records(tmp_path / "events")
    assert record.state == "open"  # the next start repairs it


def test_a_subscription_ends(tmp_path: Path) -> None:
    hub, notices = EventHub(), list[EventNotice]()
    end = hub.subscribe(notices.append)
    record = made_record(1)
    hub.publish(EventNotice("started", record))
    end()
    end()
    hub.publish(EventNotice("ended", record))
    assert [notice.kind for notice in notices] == ["started"]


def test_a_folder_that_cannot_be_written_gives_up_the_output(
    tmp_path: Path, open_sink: Callable[..., EventSink]
) -> None:
    sink = open_sink()
    (tmp_path / "events" / "mast").write_text("in the way")
    with pytest.raises(SinkError, match="cannot be made"):
        sink.write(tracked(frame_of(0), [Seen(1)]))
    sink.close()
