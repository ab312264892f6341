"""A whole run that keeps events: the packaged model, real tracks, and clips of what it saw."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from lpnet_rt.cli import main
from lpnet_rt.events.record import read_record
from lpnet_rt.selftest import self_test_frame
from lpnet_rt.settings import SourceSettings
from lpnet_rt.sources.demo import DemoScene
from lpnet_rt.sources.video import VideoSource
from lpnet_rt.view.display_stretch import display_stretch

_FRAMES = 75


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """The demo scene as H.264, with a key frame a second."""
    scene = DemoScene(0, (256, 320), targets=2)
    path = tmp_path / "sky.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"g": "30", "crf": "12", "preset": "ultrafast"})
        stream.height, stream.width, stream.pix_fmt = 256, 320, "yuv420p"
        for number in range(_FRAMES):
            grey = av.VideoFrame.from_ndarray(display_stretch(scene.frame(number)), "gray").reformat(format="yuv420p")
            grey.pts, grey.time_base = number, Fraction(1, 30)
            container.mux(stream.encode(grey))
        container.mux(stream.encode(None))
    return path


def test_a_run_keeps_what_it_confirmed(video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--engine", "onnxruntime", "--threads", "1", "--no-publish", "--quiet"]
    root = tmp_path / "events"
    assert main(["run", "--source", str(video), *flags, "--events", str(root)]) == 0
    records = [read_record(path) for path in root.glob("sky/*/*/event.json")]
    assert records
    source = list(VideoSource(video, SourceSettings()))
    for record in records:
        assert record.state == "closed"
        assert record.clip is not None
        assert record.clip.copied
        assert (record.model, record.engine) == ("lpnet-rt", "onnxruntime f32")
        (clip,) = root.glob(f"sky/*/{record.id}/clip.mkv")
        first = next(
            frame
            for frame in VideoSource(clip, SourceSettings())
            if abs((frame.pts_s or 0.0) - (record.clip.first_detection_s or 0.0)) < 0.002
        )
        np.testing.assert_array_equal(first.image, source[round(record.first.t_s * 30)].image)
    capsys.readouterr()
    assert main(["events", str(root), "--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(records)


def test_images_have_no_events_and_a_line_says_so(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), self_test_frame())
    command = [sys.executable, "-m", "lpnet_rt", "run", "--engine", "onnxruntime", "--no-publish", "--quiet"]
    command += ["--source", str(tmp_path / "a.png"), "--events", str(tmp_path / "events")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0
    assert "there will be none: single images are not tracked" in done.stderr
