"""Fixtures for the tests of the paper's network."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from lpnet_rt.networks.lpnetga.network import LPNetGA


def seeded_state(seed: int = 0) -> dict[str, torch.Tensor]:
    """Weights by the recipe behind data/seeded.npz: drawn key by key, in the order of the published checkpoints."""
    random = np.random.RandomState(seed)
    state: dict[str, torch.Tensor] = {}
    for key, value in LPNetGA().state_dict().items():
        if key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(0)
            continue
        z = random.standard_normal(tuple(value.shape)).astype(np.float32)
        if value.ndim == 4:
            z *= np.float32(np.sqrt(2 / np.prod(value.shape[1:])))
        elif "bn" in key and key.endswith("weight"):
            z = 1 + np.float32(0.1) * z
        elif key.endswith("running_var"):
            z = 1 + np.float32(0.2) * np.abs(z)
        else:
            z *= np.float32(0.1)
        state[key] = torch.from_numpy(z)
    return state


@pytest.fixture(scope="session")
def seeded_lpnetga() -> LPNetGA:
    model = LPNetGA()
    model.load_state_dict(seeded_state())
    return model.eval()


@pytest.fixture(scope="session")
def reference() -> Path:
    """Folder with the published weights and what the published implementation computes with them."""
    default = Path(__file__).parents[4] / "shared" / "reference"
    folder = Path(os.environ.get("LPNET_REFERENCE", default)) / "lpnetga"
    if not folder.is_dir():
        pytest.skip(f"no reference values at {folder}; set LPNET_REFERENCE to the folder that holds lpnetga/")
    return folder


@pytest.fixture(scope="session")
def sirst_images() -> Path:
    """Folder of the SIRST images."""
    default = Path(__file__).parents[4] / "shared" / "data"
    folder = Path(os.environ.get("LPNET_DATA", default)) / "sirst" / "images"
    if not folder.is_dir():
        pytest.skip(f"no SIRST images at {folder}; set LPNET_DATA to the folder that holds sirst/")
    return folder
