import os
import subprocess
import sys
from pathlib import Path

import pytest

from lpnet_rt.clock import SYSTEM_CLOCK
from lpnet_rt.errors import SinkError
from lpnet_rt.messages import decode
from lpnet_rt.sinks.jsonl import JsonlSink, LineFile
from lpnet_rt.stamping import FrameStamper


def stamper() -> FrameStamper:
    return FrameStamper("lpnet-rt", SYSTEM_CLOCK)


def test_one_line_a_frame_and_each_is_in_the_file_at_once(tmp_path: Path, make_report) -> None:
    path = tmp_path / "out.jsonl"
    sink = JsonlSink(LineFile(str(path)), stamper())
    for i in range(5):
        sink.write(make_report(i, error="no answer" if i == 3 else None))
        lines = path.read_bytes().split(b"\n")
        assert len(lines) == i + 2
        assert lines[-1] == b""
    sink.close()
    sink.close()
    told = [decode(None, line) for line in path.read_bytes().splitlines()]
    assert [message.frame for message in told] == [0, 1, 2, 3, 4]
    assert [message.error for message in told] == [None, None, None, "no answer", None]
    assert [len(message.detections) for message in told] == [1, 1, 1, 0, 1]
    with pytest.raises(SinkError, match="closed"):
        sink.write(make_report(5))


def test_a_dash_is_standard_output_and_stays_open(make_report, capfd) -> None:
    sink = JsonlSink(LineFile("-"), stamper())
    sink.write(make_report(0))
    sink.close()
    print("still open", flush=True)
    line, after = capfd.readouterr().out.splitlines()
    assert decode(None, line.encode()).frame == 0
    assert after == "still open"


def test_a_file_that_is_there_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").write_text("old\n")
    with pytest.raises(SinkError, match="--overwrite"):
        JsonlSink(LineFile(str(tmp_path / "out.jsonl")), stamper())
    assert (tmp_path / "out.jsonl").read_text() == "old\n"


def test_an_overwritten_file_keeps_what_it_holds_until_the_first_frame(tmp_path: Path, make_report) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("old\n" * 1000)
    JsonlSink(LineFile(str(path), overwrite=True), stamper()).close()
    assert path.read_text() == "old\n" * 1000
    sink = JsonlSink(LineFile(str(path), overwrite=True), stamper())
    sink.write(make_report(0))
    sink.close()
    assert [decode(None, line).frame for line in path.read_bytes().splitlines()] == [0]


def test_two_runs_never_write_one_file(tmp_path: Path) -> None:
    first = JsonlSink(LineFile(str(tmp_path / "out.jsonl"), overwrite=True), stamper())
    with pytest.raises(SinkError, match="another process is writing"):
        JsonlSink(LineFile(str(tmp_path / "out.jsonl"), overwrite=True), stamper())
    first.close()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing/out.jsonl", "cannot be written: .*; give a file in a folder you can write"),
        (".", "expected a file or a free name, found a folder; give another name"),
        ("file/out.jsonl", "cannot be written: .*; give a file in a folder you can write"),
    ],
)
def test_what_cannot_be_written_is_one_clear_line(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match=f"^jsonl .*: {reason}$"):
        JsonlSink(LineFile(str(tmp_path / name)), stamper())


def test_a_pipe_without_a_reader_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SinkError, match="expected a reader"):
        JsonlSink(LineFile(str(tmp_path / "pipe")), stamper())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full, a disk that is always full")
def test_a_full_disk_is_one_clear_line(make_report) -> None:
    sink = JsonlSink(LineFile("/dev/full"), stamper())
    with pytest.raises(SinkError, match="No space left"):
        sink.write(make_report(0))
    sink.close()


def test_a_reader_that_goes_away_is_the_wish_to_stop() -> None:
    script = (
        "from made_reports import make\n"
        "from lpnet_rt.clock import SYSTEM_CLOCK\nfrom lpnet_rt.stamping import FrameStamper\n"
        "from lpnet_rt.sinks.jsonl import JsonlSink, LineFile\n"
        "sink = JsonlSink(LineFile('-'), FrameStamper('m', SYSTEM_CLOCK))\nreport = make(0)\n"
        "for _ in range(1_000_000):\n    sink.write(report)\n    if sink.wants_stop: raise SystemExit(9)\n"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=Path(__file__).parent.parent
    )
    assert writer.stdout is not None
    writer.stdout.readline()
    writer.stdout.close()
    _, said = writer.communicate(timeout=20)
    assert (writer.returncode, said) == (9, b"")
