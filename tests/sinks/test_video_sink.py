import os
import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from lpnet_rt.errors import SinkError
from lpnet_rt.sinks.video import VideoSink
from lpnet_rt.view.overlay import Painter, Status, draw

HERE = Path(__file__).parent
ENVIRONMENT = os.environ | {"PYTHONPATH": str(HERE.parent)}  # where made_reports.py is
KILLED = """
import os, sys
from conftest import SteppedClock, make
from lpnet_rt.view.overlay import Painter
from lpnet_rt.sinks.video import VideoSink
sink = VideoSink(sys.argv[1], 30.0, Painter("clip", SteppedClock()))
for i in range(200):
    sink.write(make(i))
os._exit(9)
"""


def decode(path: Path) -> tuple[list[np.ndarray], list[float]]:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        return [frame.to_ndarray(format="bgr24") for frame in frames], [float(frame.time) for frame in frames]


def error_db(found: np.ndarray, expected: np.ndarray) -> float:
    return float(cv2.PSNR(found, expected))


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_the_video_holds_the_overlay_of_every_frame_at_its_time(tmp_path: Path, make_report, clock, ending) -> None:
    path = tmp_path / f"out.{ending}"
    sink = VideoSink(str(path), 30.0, Painter("clip", clock))
    reports = [make_report(i, pts_s=7.0 + i / 30) for i in range(45)]
    for report in reports:
        sink.write(report)
    sink.close()
    sink.close()
    pictures, times_s = decode(path)
    assert len(pictures) == 45
    assert times_s == pytest.approx([i / 30 for i in range(45)], abs=2e-3)
    for i in (0, 20, 44):
        assert error_db(pictures[i], draw(reports[i], Status("clip"))) > 26
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name in ("h264", "mpeg4")
    with pytest.raises(SinkError, match="closed"):
        sink.write(make_report(45))


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_a_killed_program_leaves_a_video_that_plays(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"out.{ending}"
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(path)], cwd=HERE, env=ENVIRONMENT, timeout=60, check=False
    )
    assert killed.returncode == 9
    pictures, _ = decode(path)
    assert len(pictures) >= 150


def test_frames_without_a_clock_stand_at_the_sources_rate_and_drops_leave_room(tmp_path: Path, make_report, clock):
    sink = VideoSink(str(tmp_path / "out.mp4"), 10.0, Painter("", clock))
    for index in (4, 5, 8):
        sink.write(make_report(index, pts_s=None))
    sink.close()
    assert decode(tmp_path / "out.mp4")[1] == pytest.approx([0.0, 0.1, 0.4], abs=1e-3)


def test_a_clock_that_starts_anew_or_runs_wild_does_not_stop_the_video(tmp_path: Path, make_report, clock) -> None:
    sink = VideoSink(str(tmp_path / "out.mp4"), 10.0, Painter("", clock))
    for index, pts_s in enumerate((100.0, 100.2, 0.0, 0.1, 5000.0, float("nan"), 5000.1)):
        sink.write(make_report(index, pts_s=pts_s))
    sink.close()
    assert decode(tmp_path / "out.mp4")[1] == pytest.approx([0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], abs=1e-3)


def test_a_frame_of_another_size_is_fitted_with_bars(tmp_path: Path, make_report, clock) -> None:
    sink = VideoSink(str(tmp_path / "out.mp4"), 25.0, Painter("", clock))
    sink.write(make_report(0, (51, 63)))
    sink.write(make_report(1, (60, 20)))
    sink.write(make_report(2, (400, 900)))
    sink.close()
    pictures, _ = decode(tmp_path / "out.mp4")
    assert [picture.shape for picture in pictures] == [(51 * 4 + 24, 63 * 4, 3)] * 3
    assert pictures[1][:-24, :40].max() < 30, "the status line alone reaches into the bars"
    assert pictures[1][:, 126].max() > 30
    assert pictures[2][:30].max() < 24


def test_an_odd_size_is_made_even(tmp_path: Path, make_report, clock) -> None:
    sink = VideoSink(str(tmp_path / "out.mp4"), None, Painter("", clock))
    sink.write(make_report(0, (641, 701)))
    sink.close()
    assert decode(tmp_path / "out.mp4")[0][0].shape == (666, 702, 3)


def test_a_file_without_frames_is_removed(tmp_path: Path, clock) -> None:
    sink = VideoSink(str(tmp_path / "out.mp4"), 25.0, Painter("", clock))
    assert (tmp_path / "out.mp4").exists()
    sink.close()
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("out.avi", "ends in .mp4 or .mkv"),
        ("out", "ends in .mp4 or .mkv"),
        ("missing/out.mp4", "cannot be written: No such file"),
        ("folder.mp4", "expected a file or a free name, found a folder"),
    ],
)
def test_what_cannot_be_written_is_one_clear_line(tmp_path: Path, clock, name: str, reason: str) -> None:
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(SinkError, match=reason):
        VideoSink(str(tmp_path / name), 25.0, Painter("", clock))


FULL_DISK = """
import resource, signal, sys
from conftest import SteppedClock, make
from lpnet_rt.view.overlay import Painter
from lpnet_rt.sinks.video import VideoSink
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
sink = VideoSink(sys.argv[1], 25.0, Painter("", SteppedClock()))
for i in range(200):
    sink.write(make(i))
sink.close()
"""


def test_a_full_disk_is_one_clear_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, tmp_path / "out.mkv"],
        cwd=HERE,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "SinkError: video: " in done.stderr.splitlines()[-1]
    assert "File too large" in done.stderr.splitlines()[-1]


def test_an_existing_video_is_kept_until_the_first_frame_of_its_replacement(tmp_path: Path, make_report, clock) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"precious")
    with pytest.raises(SinkError, match="--overwrite"):
        VideoSink(str(path), 25.0, Painter("", clock))
    VideoSink(str(path), 25.0, Painter("", clock), overwrite=True).close()
    assert path.read_bytes() == b"precious"
    sink = VideoSink(str(path), 25.0, Painter("", clock), overwrite=True)
    sink.write(make_report(0))
    sink.close()
    assert len(decode(path)[0]) == 1
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_link_is_not_written_through(tmp_path: Path, clock) -> None:
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "out.mkv").symlink_to(tmp_path / "precious")
    with pytest.raises(SinkError, match="found a link"):
        VideoSink(str(tmp_path / "out.mkv"), 25.0, Painter("", clock), overwrite=True)
