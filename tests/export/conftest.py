"""A network small enough to export within seconds, that finds the bright points of a frame."""

from __future__ import annotations

import pytest
import torch

from lpnet_rt.export.cards import CardFacts
from lpnet_rt.export.gate_frames import GateFrame
from lpnet_rt.networks.lpnet_rt.network import LPNetRT, LPNetRTConfig
from lpnet_rt.selftest import self_test_frame

CONFIG = LPNetRTConfig(channels=(16, 4, 4), blocks=(1, 1, 1), hints=1, local_channels=4, local_blocks=1, patches=4)


@pytest.fixture(scope="session")
def network() -> LPNetRT:
    """Every pixel's score is a steep function of its brightness; what the other layers, all random, add is small."""
    torch.manual_seed(5)
    network = LPNetRT(CONFIG)
    each = torch.arange(16)
    with torch.no_grad():
        for name, value in network.named_parameters():
            if name.endswith("weight") and value.ndim == 4:
                value.mul_(0.2)
        network.local_view.head.weight.normal_(0, 0.05)
        network.global_view.stem[0].weight[each, each, 1, 1] += 1.0
        network.global_view.head.weight[each, each, 0, 0] += 2.0
        network.global_view.head.bias[:16] = -8.0
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def facts() -> CardFacts:
    return CardFacts("tiny", 0.5, ["nothing"], {}, ["none"], "for tests")


@pytest.fixture(scope="session")
def frames() -> list[GateFrame]:
    frame = self_test_frame()
    return [GateFrame("self-test", frame), GateFrame("mirrored", frame[:, ::-1].copy())]
