"""Small checkpoints that would take gigabytes: PyTorch inflates and allocates whatever they ask for."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from lpnet_rt.networks.checkpoint_check import check_checkpoint

# A byte array of 16 GiB, in a pickle of 32 bytes.
GREEDY = b"\x80\x02cbuiltins\nbytearray\n\x8a\x05\x00\x00\x00\x00\x04\x85R."
READ = (
    "import resource, sys; from pathlib import Path; from lpnet_rt.networks.lpnetga.weights import read_tensors; "
    "resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30)); read_tensors(Path(sys.argv[1]))"
)


@pytest.mark.parametrize(
    ("form", "found"),
    [
        ("packed", "found packed or overlapping ones"),
        ("zip", "it asks for 'builtins bytearray'"),
        ("before zip", "it asks for 'builtins bytearray'"),
    ],
)
def test_small_checkpoints_cannot_ask_for_much_memory(tmp_path: Path, form: str, found: str) -> None:
    path = tmp_path / "bomb.pth"
    if form == "before zip":
        path.write_bytes(GREEDY)
    else:
        packing = zipfile.ZIP_DEFLATED if form == "packed" else zipfile.ZIP_STORED
        with zipfile.ZipFile(path, "w", packing) as archive:
            archive.writestr("x/data.pkl", GREEDY if form == "zip" else bytes(1 << 26))
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)], capture_output=True, text=True, timeout=100, check=False
    )
    last = done.stderr.splitlines()[-1]
    assert last.startswith("lpnet_rt.errors.ModelError: ")
    assert found in last


@pytest.mark.parametrize("zipped", [True, False])
def test_what_training_keeps_passes(tmp_path: Path, zipped: bool) -> None:
    network = torch.nn.Conv2d(1, 2, 3)
    optimiser = torch.optim.AdamW(network.parameters())
    network(torch.zeros(1, 1, 4, 4)).sum().backward()
    optimiser.step()
    state = {
        "weights": network.state_dict(),
        "parameters": list(network.parameters()),
        "optimiser": optimiser.state_dict(),
        "random": torch.get_rng_state(),
        "half": torch.zeros(2, dtype=torch.bfloat16),
        "size": torch.Size([1, 2]),
        "recipe": "{}",
    }
    torch.save(state, tmp_path / "state.pt", _use_new_zipfile_serialization=zipped)
    check_checkpoint(tmp_path / "state.pt")
