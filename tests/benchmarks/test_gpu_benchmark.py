from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from lpnet_rt.benchmarks.gpu import main
from lpnet_rt.errors import EngineError


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == EngineError.exit_code
    assert "expected an NVIDIA GPU that PyTorch can use, found none" in capsys.readouterr().err


@pytest.mark.slow
def test_everything_runs_on_the_processor_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--device", "cpu", "--quick", "--json", str(tmp_path / "out.json")]) == 0
    rows = json.loads((tmp_path / "out.json").read_text())["rows"]
    assert [(row["name"].split()[0], row["precision"], row["batch"]) for row in rows] == [
        ("LPNet-RT", "bf16", 1),
        ("LPNet-RT", "bf16", 2),
        ("LPNet-RT", "f32", 1),
        ("LPNet-RT", "f32", 2),
        ("LPNetGA", "f32", 1),
        ("LPNetGA", "f32", 1),
        ("LPNetGA", "f32", 2),
        ("LPNetGA", "bfloat16", 1),
        ("LPNetGA", "bfloat16", 2),
    ]
    assert rows[5]["score_difference"] < 1e-5
    assert rows[7]["score_difference"] < 0.05
    assert all(row["times_the_loop"] > 0 for row in rows[5:])
    assert all(row["bound_by"] for row in rows)
    assert "LPNetGA exact" in capsys.readouterr().out
