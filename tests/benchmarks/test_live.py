from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from lpnet_rt.benchmarks.live import busy_processes, main
from lpnet_rt.benchmarks.videos import count_frames, write_demo_video
from lpnet_rt.errors import LpnetError


def busy_children() -> int:
    """Processes of ours that spin."""
    mine = Path("/proc/self/task").glob("*/children")
    pids = [int(pid) for path in mine for pid in path.read_text().split()]
    return sum(b"spin()" in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids if Path(f"/proc/{pid}").exists())


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
def test_the_load_is_there_for_as_long_as_it_is_wanted() -> None:
    with busy_processes(2):
        ends_at = time.monotonic() + 10
        while busy_children() < 2 and time.monotonic() < ends_at:
            time.sleep(0.01)
        assert busy_children() == 2
    assert busy_children() == 0


def test_a_clip_is_played_with_each_number_of_threads_beside_each_load(tmp_path: Path) -> None:
    clip, out = tmp_path / "demo.mp4", tmp_path / "live.json"
    write_demo_video(clip, (96, 128), 20)
    flags = ["--clip", str(clip), "--seconds", "1", "--threads", "1", "--load", "0,1", "--subscribers", "3"]
    assert main([*flags, "--json", str(out), "--engine", "onnxruntime"]) == 0
    rows = json.loads(out.read_text())["live"]
    assert [row["engine"] for row in rows] == ["1 threads, 0 busy", "1 threads, 1 busy"]
    for row in rows:
        assert row["arrived"] + row["dropped"] == row["due"] == 40


def test_what_is_no_video_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "no.mp4").write_bytes(b"no video")
    with pytest.raises(LpnetError, match="expected a video, found none"):
        count_frames(tmp_path / "no.mp4")
    assert main(["--clip", str(tmp_path / "no.mp4")]) != 0
    assert capsys.readouterr().err.count("\n") == 1
