"""The accuracy benchmark: one pass for all thresholds, and what counts neither way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from lpnet_rt_data import write_folders

from lpnet_rt.benchmarks.accuracy import main


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders with one frame of each kind and a clip that is held back."""
    root = tmp_path_factory.mktemp("data")
    write_folders(root)
    return root


def _figures(data: Path, model: Path, out: Path, thresholds: str) -> dict[str, object]:
    flags = ["--data", str(data), "--model", str(model), "--engine", "onnxruntime", "--threads", "1"]
    assert main([*flags, "--thresholds", thresholds, "--json", str(out)]) == 0
    figures: dict[str, object] = json.loads(out.read_text())
    return figures


def test_several_thresholds_give_what_each_gives(data: Path, blob_model: Path, tmp_path: Path) -> None:
    both = _figures(data, blob_model, tmp_path / "both.json", "0.5,0.9")
    single = [_figures(data, blob_model, tmp_path / f"{t}.json", t) for t in ("0.5", "0.9")]
    assert both["thresholds"] == [one["thresholds"][0] for one in single]  # type: ignore[index]
    video = both["thresholds"][0]["video"]["all clips"]  # type: ignore[index]
    assert video["labelled_frames"] > 0
    assert video["hit_rate"] == 1.0


def test_a_threshold_below_one_half_is_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(data), "--thresholds", "0.3,0.6"]) == 2
    assert "--thresholds 0.3,0.6: expected numbers from 0.5 to 1" in capsys.readouterr().err
