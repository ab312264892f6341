from __future__ import annotations

import itertools
from pathlib import Path

import av
import numpy as np
import pytest

from lpnet_rt.benchmarks.live import measure_live
from lpnet_rt.benchmarks.published import run_published
from lpnet_rt.benchmarks.videos import decode_rate_hz, first_frames, repeat_video
from lpnet_rt.clock import SYSTEM_CLOCK
from lpnet_rt.errors import LpnetError


def flags_of(model: Path) -> list[str]:
    return ["--model", str(model), "--engine", "onnxruntime", "--threads", "1"]


def test_a_run_is_taken_from_its_first_message_to_its_last(blob_model: Path, clip: Path, tmp_path: Path) -> None:
    ballast = np.ones(100_000_000)  # 760 MiB of this process, which must not be taken for the other's
    run = run_published(["--source", str(clip), *flags_of(blob_model)], SYSTEM_CLOCK, tmp_path)
    assert 30 < run.peak_mib < 500
    assert max(run.resident_mib) <= run.peak_mib
    del ballast
    assert [arrival.message.frame for arrival in run.arrivals] == list(range(40))
    assert [arrival.message.seq for arrival in run.arrivals] == list(range(40))
    times = [arrival.since_start_s for arrival in run.arrivals]
    assert times == sorted(times)
    assert 0 < times[0] < times[-1] <= run.wall_s


def test_a_run_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(LpnetError, match=r"exit code 5: lpnet-rt: .*none.onnx: expected a model file"):
        run_published(["--source", "demo", "--model", str(tmp_path / "none.onnx")], SYSTEM_CLOCK)


def test_live_counts_from_the_time_a_frame_was_due(blob_model: Path, clip: Path) -> None:
    live = measure_live(clip, "onnxruntime f32", 40, flags_of(blob_model), SYSTEM_CLOCK)
    assert live.arrived + live.dropped == live.due == 40
    assert 0 < live.beside_inference.p50_ms < live.latency.p50_ms
    assert live.latency.count == live.arrived
    assert live.memory_early_mib is None  # a second and a third says nothing of growth
    assert live.peak_mib > 30


def test_a_video_repeated_is_as_long_and_never_goes_back(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "long.mkv"
    repeat_video(clip, out, 3)
    with av.open(str(out)) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert len(times) == 120
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert min(gaps) > 0.02
    assert max(gaps) < 0.05
    assert decode_rate_hz(out) > 0
    again = first_frames(out, 50)
    assert (again[0].image == again[40].image).all()
    assert len(again) == 50
