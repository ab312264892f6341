from __future__ import annotations

import os
from pathlib import Path

import av
import pytest

from lpnet_rt.sinks.recording import RecordingSink, Retention
from lpnet_rt.view.overlay import Painter


def open_sink(path: Path, clock, overwrite: bool = False, **retention) -> RecordingSink:
    return RecordingSink(str(path), 30.0, Painter("clip", clock), clock, Retention(**retention), overwrite)


def frames_of(path: Path) -> list[tuple[int, int]]:
    with av.open(str(path)) as container:
        return [(frame.height, frame.width) for frame in container.decode(video=0)]


def test_segments_follow_each_other_and_lose_no_frame(tmp_path: Path, clock, make_report) -> None:
    sink = open_sink(tmp_path / "out.mkv", clock, segment_s=1.0)
    for index in range(50):
        sink.write(make_report(index))
        clock.sleep(0.1)
    sink.close()
    segments = sorted(tmp_path.iterdir())
    assert [len(frames_of(path)) for path in segments] == [10] * 5
    assert [path.name for path in segments] == [f"out-20231114T22132{second}Z.mkv" for second in range(5)]


def test_two_segments_of_the_same_second_have_names_of_their_own(tmp_path: Path, clock, make_report) -> None:
    sink = open_sink(tmp_path / "out.mkv", clock, segment_s=0.1)
    for index in range(3):
        sink.write(make_report(index))
        clock.sleep(0.1)
    sink.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "out-20231114T221320Z-2.mkv", "out-20231114T221320Z-3.mkv", "out-20231114T221320Z.mkv",
    ]  # fmt: skip


def test_other_pictures_begin_a_new_file_without_segments_too(tmp_path: Path, clock, make_report) -> None:
    sink = open_sink(tmp_path / "out.mkv", clock)
    for index in range(6):
        sink.write(make_report(index, (48, 64) if index < 4 else (96, 128), epoch=index // 4))
    sink.close()
    first, second = sorted(tmp_path.iterdir(), key=lambda path: len(path.name))
    assert first.name == "out.mkv"
    assert len(frames_of(first)) == 4
    assert len(frames_of(second)) == 2
    assert frames_of(second)[0][0] > frames_of(first)[0][0]


@pytest.mark.parametrize(("limit", "left"), [({"keep_bytes": 3000}, 3), ({"keep_s": 500.0}, 3), ({}, 6)])
def test_old_segments_are_deleted_and_nothing_else(tmp_path: Path, clock, make_report, limit, left) -> None:
    now_s = clock.unix_us() / 1e6
    for number in range(5):
        path = tmp_path / f"out-20231114T10000{number}Z.mkv"
        path.write_bytes(bytes(1000))
        os.utime(path, (now_s - 1000 + 200 * number, now_s - 1000 + 200 * number))
    others = ["out.mkv", "out-2.mkv", "out-20231114T100000Z.mp4", "another-20231114T100000Z.mkv"]
    for name in others:
        (tmp_path / name).write_bytes(bytes(1000))
        os.utime(tmp_path / name, (0, 0))
    sink = open_sink(tmp_path / "out.mkv", clock, segment_s=60.0, **limit)
    sink.write(make_report(0))
    clock.sleep(61.0)
    sink.tick()
    sink.close()
    names = {path.name for path in tmp_path.iterdir()}
    assert set(others) <= names
    segments = sorted(names - set(others))
    assert len(segments) == left
    assert segments[-1] == "out-20231114T221320Z.mkv", "the file that is written was deleted"


def test_the_wall_clock_set_back_does_not_hold_a_segment_open(tmp_path: Path, clock, make_report) -> None:
    sink = open_sink(tmp_path / "out.mkv", clock, segment_s=1.0)
    before = clock.unix_us
    for index in range(20):
        if index == 5:
            clock.unix_us = lambda: before() - 3_600_000_000
        sink.write(make_report(index))
        clock.sleep(0.1)
    sink.close()
    assert [len(frames_of(path)) for path in sorted(tmp_path.iterdir())] == [10, 10]
