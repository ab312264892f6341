"""What is asked of an engine at every start, and what becomes of one that is broken."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from lpnet_rt.engines import choose_engine
from lpnet_rt.errors import EngineError
from lpnet_rt.models import ModelFile, SelfTest, find_model
from lpnet_rt.settings import DetectorSettings


def expecting(centroid_xy: list[tuple[float, float]], score: list[float]) -> ModelFile:
    model = find_model("lpnet-rt")
    card = msgspec.structs.replace(model.card, self_test=SelfTest(centroid_xy=centroid_xy, score=score))
    return dataclasses.replace(model, card=card)


def test_a_remembered_engine_is_tested_at_every_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is remembered says only which engine was fastest, not what it computes now."""
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setenv("LPNET_CACHE", str(tmp_path / "cache"))
    assert choose_engine(find_model("lpnet-rt"), DetectorSettings()).why.endswith("(measured now)")
    assert choose_engine(find_model("lpnet-rt"), DetectorSettings()).why.endswith("(measured earlier on this machine)")
    with pytest.raises(EngineError, match="onnxruntime f32: fails the self-test"):
        choose_engine(expecting([(5.0, 5.0)], [0.9]), DetectorSettings())


def test_an_engine_that_is_asked_for_is_tested() -> None:
    with pytest.raises(
        EngineError, match=r"--engine onnxruntime: onnxruntime f32 fails the self-test of lpnet-rt\.onnx: expected 1"
    ):
        choose_engine(expecting([(5.0, 5.0)], [0.9]), DetectorSettings(engine="onnxruntime"))


@pytest.mark.parametrize("engine", ["auto", "onnxruntime"])
def test_a_card_without_a_self_test_is_said(engine: str, caplog: pytest.LogCaptureFixture) -> None:
    choice = choose_engine(expecting([], []), DetectorSettings(engine=engine, precision="f32"))
    assert choice.why.endswith("; no self-test in its card")
    (line,) = caplog.messages
    assert line == "lpnet-rt.onnx: its card has no self-test: scores are known to be finite, not to be right"


@pytest.mark.parametrize("error", ["ImportError", "OSError", "RuntimeError"])
def test_a_broken_openvino_leaves_onnx_runtime(tmp_path: Path, error: str) -> None:
    (tmp_path / "openvino").mkdir()
    (tmp_path / "openvino" / "__init__.py").write_text(f"raise {error}('no libtbb.so')\n")
    done = subprocess.run(
        [sys.executable, "-m", "lpnet_rt", "info"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "LPNET_CACHE": str(tmp_path / "cache")},
    )
    assert done.returncode == 0, done.stderr
    assert "pip install --force-reinstall openvino (importing it fails: no libtbb.so)" in done.stdout
    assert "auto takes   onnxruntime f32: " in done.stdout


def test_a_broken_onnx_runtime_leaves_openvino(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    (tmp_path / "onnxruntime").mkdir()
    (tmp_path / "onnxruntime" / "__init__.py").write_text("raise ImportError('no libonnxruntime.so')\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "LPNET_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "lpnet_rt", "run", "--source", "demo", "--frames", "2", "--no-publish"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert "openvino" in done.stdout
    command += ["--engine", "onnxruntime"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert done.returncode == EngineError.exit_code
    assert "onnxruntime: cannot be loaded (no libonnxruntime.so); install it again" in done.stderr
