"""A file that no start would take is not written, though it is close enough on the gate's frames."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lpnet_rt.detections import detect
from lpnet_rt.errors import ModelError
from lpnet_rt.export.build import ExportRequest, export_model
from lpnet_rt.export.cards import CardFacts
from lpnet_rt.export.gate_frames import GateFrame
from lpnet_rt.export.precision import plan_precision
from lpnet_rt.export.shapes import read_shapes
from lpnet_rt.networks.lpnet_rt.card import input_rule
from lpnet_rt.networks.lpnet_rt.inference import ScoredLPNetRT, apply_plan
from lpnet_rt.networks.lpnet_rt.network import LPNetRT
from lpnet_rt.preprocessing.frame_and_local import model_input
from lpnet_rt.selftest import self_test_frame


def weakest_logit(scores: torch.Tensor) -> float:
    """Of the weakest of the three blobs."""
    found = detect(scores[0, 0, :128, :160].contiguous().numpy(), self_test_frame(), 0.5)
    return float(torch.logit(torch.tensor(float(found.score.min()), dtype=torch.float64)))


@pytest.fixture
def on_the_edge(network: LPNetRT) -> Iterator[LPNetRT]:
    """An offset at which the weakest blob scores over one half in f32 and under it in f16, or the other way round."""
    before = network.config
    batch = torch.from_numpy(model_input(self_test_frame(), 16, network.config.min_side_px))
    module = ScoredLPNetRT(network).eval()
    with torch.inference_mode():
        full = weakest_logit(module(batch))
        half = weakest_logit(apply_plan(module, plan_precision(module, [batch]))(batch))
    assert full != half
    network.config = replace(before, offset=before.offset - (full + half) / 2)
    yield network
    network.config = before


def test_a_file_that_fails_the_self_test_is_not_written(on_the_edge: LPNetRT, tmp_path: Path) -> None:
    facts = CardFacts("tiny", 0.99, ["nothing"], {}, ["none"], "for tests")  # so strict that the gate sees nothing
    frames = [GateFrame("mirrored", self_test_frame()[:, ::-1].copy())]
    shapes = read_shapes("128x160", None, 1, input_rule(on_the_edge))
    export_model(on_the_edge, tmp_path / "full.pt2", facts, ExportRequest("torch-export", "f32", shapes, frames))
    for path in tmp_path.iterdir():
        path.unlink()
    request = ExportRequest("torch-export", "f16", shapes, frames)
    with pytest.raises(
        ModelError, match=r"half\.pt2: self-test: torch-export f16: expected \d detections, found \d"
    ) as e:
        export_model(on_the_edge, tmp_path / "half.pt2", facts, request)
    assert str(e.value).endswith("nothing was written")
    assert not list(tmp_path.iterdir())


_EXPORT = """
import sys, torch
from lpnet_rt.export.cards import CardFacts
from lpnet_rt.export.onnx import export_onnx
from lpnet_rt.networks.lpnet_rt.network import LPNetRT, LPNetRTConfig
from pathlib import Path
config = LPNetRTConfig(channels=(4, 4, 4), blocks=(1, 1, 1), hints=1, local_channels=4, local_blocks=1, patches=4)
export_onnx(LPNetRT(config), Path(sys.argv[1]), CardFacts("tiny", 0.5, [], {}, [], ""))
"""


def test_an_export_prints_no_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _EXPORT, tmp_path / "tiny.onnx"], capture_output=True, text=True, timeout=110
    )
    assert (done.returncode, done.stderr) == (0, "")
