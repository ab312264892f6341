"""A network that is exported within seconds, and what goes with it."""

from __future__ import annotations

import pytest
from bright_network import bright_network

from lpnet_rt.export.cards import CardFacts
from lpnet_rt.export.gate_frames import GateFrame
from lpnet_rt.networks.lpnet_rt.network import LPNetRT
from lpnet_rt.selftest import self_test_frame


@pytest.fixture(scope="session")
def network() -> LPNetRT:
    """Finds the bright points of a frame."""
    return bright_network()


@pytest.fixture(scope="session")
def facts() -> CardFacts:
    return CardFacts("tiny", 0.5, ["nothing"], {}, ["none"], "for tests")


@pytest.fixture(scope="session")
def frames() -> list[GateFrame]:
    frame = self_test_frame()
    return [GateFrame("self-test", frame), GateFrame("mirrored", frame[:, ::-1].copy())]
