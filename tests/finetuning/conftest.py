"""A small model and small data for fine-tuning; this file also puts training's helpers on the import path."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "training"))

from bright_network import bright_network
from lpnet_rt_data import sample, write_clip, write_samples

from lpnet_rt.export.build import ExportRequest, export_model
from lpnet_rt.export.cards import CardFacts
from lpnet_rt.export.gate_frames import gate_frames
from lpnet_rt.export.shapes import any_size
from lpnet_rt.networks.lpnet_rt.card import input_rule
from lpnet_rt.networks.lpnet_rt.network import ConvNorm


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX file of a small network that finds bright points, whose batch norms and logits are shifted."""
    network = bright_network(offset=0.5)
    for block in [block for block in network.modules() if isinstance(block, ConvNorm)]:
        torch.nn.init.uniform_(block[1].running_mean, -0.05, 0.05)
        torch.nn.init.uniform_(block[1].running_var, 0.9, 1.1)
        torch.nn.init.uniform_(block[1].bias, -0.05, 0.05)
    assert network.local_view.head.bias is not None
    torch.nn.init.constant_(network.local_view.head.bias, 0.01)
    facts = CardFacts("small", 0.6, ["skies made by a test"], {}, ["none needed"], "A note.")
    out = tmp_path_factory.mktemp("model") / "small.onnx"
    export_model(network, out, facts, ExportRequest("onnx", "f32", any_size(input_rule(network)), gate_frames(None, 1)))
    return out


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images with masks and without splits, of three recordings with targets and three without."""
    root = tmp_path_factory.mktemp("images")
    frames = [sample(i, (20.0 + 7 * i, 40.0) if i % 2 else None) for i in range(12)]
    named = [type(f)(name=f"r{i % 6}_{i:03}", image=f.image, truth=f.truth, role=f.role) for i, f in enumerate(frames)]
    write_samples(root, "all", named)
    (root / "splits" / "all.txt").unlink()
    return root


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips whose names have no numbers."""
    root = tmp_path_factory.mktemp("clips")
    for name in ("east", "north", "south", "west"):
        write_clip(root, name)
    return root
