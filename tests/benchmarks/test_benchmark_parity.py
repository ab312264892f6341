from __future__ import annotations

from pathlib import Path

import pytest

from lpnet_rt.benchmarks.choosing import load_detectors
from lpnet_rt.benchmarks.parity import compare_engines, demo_frames, main, reference_of
from lpnet_rt.detector import Detector
from lpnet_rt.errors import SettingsError
from lpnet_rt.selftest import self_test_frame
from lpnet_rt.settings import DetectorSettings


def test_engines_on_the_demo_scene(blob_model: Path) -> None:
    pytest.importorskip("openvino")
    detectors = load_detectors("onnxruntime,openvino:f32", str(blob_model), 1)
    reference = reference_of(detectors[::-1])
    assert reference is detectors[0]
    (row,) = compare_engines(reference, detectors[1:], demo_frames(3, (128, 160)), "demo")
    assert (row.engine, row.reference, row.frames) == ("openvino f32", "onnxruntime f32", 3)
    assert row.detections > 0
    assert (row.gained, row.lost) == (0, 0)
    assert row.largest_move_px < 0.01
    assert row.largest_score_difference < 0.01


def test_a_threshold_that_loses_everything_is_seen(blob_model: Path) -> None:
    settings = DetectorSettings(model=str(blob_model), engine="onnxruntime", threads=1)
    reference, strict = Detector.load(settings), Detector.load(settings)
    strict.threshold = 1.0
    (row,) = compare_engines(reference, [strict], [self_test_frame()], "blobs")
    assert (row.detections, row.lost, row.gained) == (3, 3, 0)


def test_the_command_prints_a_table(blob_model: Path, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("openvino")
    engines = "onnxruntime,openvino:f32"
    assert main(["--model", str(blob_model), "--engines", engines, "--frames", "1", "--source", str(clip)]) == 0
    shown = capsys.readouterr().out
    assert "beside those of onnxruntime f32" in shown
    assert "demo scene" in shown
    assert "clip.mp4" in shown
    assert main(["--model", str(blob_model), "--engines", "onnxruntime", "--frames", "2"]) == SettingsError.exit_code
    assert "expected two engines or more" in capsys.readouterr().err
