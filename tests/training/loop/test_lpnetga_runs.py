"""Runs of LPNetGA on small generated data: killed and resumed, broken states, averages, gates."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import torch
from lpnetga_data import small_lpnetga_recipe
from run_files import log_of, same, state_of

from lpnet_rt.errors import DataError, ModelError, SettingsError
from lpnet_rt.networks.lpnetga.network import LPNetGA
from lpnet_rt.networks.lpnetga.patches import PatchGrid
from lpnet_rt.training.loop.checkpoints import load_checkpoint, load_lpnetga_checkpoint
from lpnet_rt.training.loop.logs import RunLog
from lpnet_rt.training.loop.loop import train
from lpnet_rt.training.tasks.lpnetga import LPNetGATask


@pytest.fixture(scope="module")
def unbroken(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "unbroken"
    assert train(small_lpnetga_recipe(plain), folder) == folder / "best.pt"
    return folder


def test_a_run_leaves_weights_log_and_events(plain: Path, unbroken: Path) -> None:
    rows = log_of(unbroken)
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[2]["loss"]) < float(rows[0]["loss"])
    assert 0 <= float(rows[2]["target_f1"]) <= 1
    assert next((unbroken / "tensorboard").iterdir()).stat().st_size > 0
    network = load_lpnetga_checkpoint(unbroken / "best.pt")
    assert isinstance(network, LPNetGA)
    assert (network.grid, network.training) == (PatchGrid(12, 6, 0), False)
    with pytest.raises(ModelError, match="expected a checkpoint of LPNet-RT, found one of LPNetGA"):
        load_checkpoint(unbroken / "best.pt")


_KILLED = """
import os, sys
from pathlib import Path
from lpnet_rt.training.loop.loop import Run, train
from lpnet_rt.training.loop.checkpoints import decode_recipe
steps, real = 0, Run._step
def step(self, *arguments):
    global steps
    steps += 1
    if steps == 5:
        os.kill(os.getpid(), 9)
    return real(self, *arguments)
Run._step = step
train(decode_recipe(Path(sys.argv[1]).read_bytes()), Path(sys.argv[2]))
"""


def test_killed_in_the_middle_of_an_epoch_and_resumed_equals_unbroken(
    plain: Path, unbroken: Path, tmp_path: Path
) -> None:
    recipe, folder = tmp_path / "recipe.json", tmp_path / "run"
    recipe.write_bytes(msgspec.json.encode(small_lpnetga_recipe(plain)))
    done = subprocess.run([sys.executable, "-c", _KILLED, recipe, folder], capture_output=True, timeout=110)
    assert done.returncode == -9, done.stderr
    assert state_of(folder)["epoch"] == 1
    train(small_lpnetga_recipe(plain), folder)
    assert same(state_of(folder), state_of(unbroken))
    assert log_of(folder) == log_of(unbroken)


def test_what_a_killed_run_logged_too_much_is_dropped(tmp_path: Path) -> None:
    folder = tmp_path
    (folder / "log.csv").write_text("epoch,loss,seconds\n")
    for earlier in ("1,0.7,1.0", "2,0.6,1.0", "3,0.5,1.0\n4,0."):
        with (folder / "log.csv").open("a") as file:
            file.write(f"{earlier}\n")
    log = RunLog(folder, ("epoch", "loss", "seconds", "fitness"), 2)
    log.add({"epoch": 3, "loss": 0.25, "seconds": 2.0, "fitness": 1.5})
    log.close()
    with (folder / "log.csv").open(newline="") as file:
        rows = [tuple(row.values()) for row in csv.DictReader(file)]
    assert rows == [("1", "0.7", "1.0", ""), ("2", "0.6", "1.0", ""), ("3", "0.25", "2", "1.5")]


def test_broken_states_are_named_and_kept(plain: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(small_lpnetga_recipe(plain), folder, epochs_now=1)
    state = state_of(folder)
    state["network"]["gfe.block1.conv1.weight"].fill_(3e38)  # type: ignore[index]
    torch.save(state, folder / "last.pt")
    before = (folder / "last.pt").read_bytes()
    with pytest.raises(DataError, match=r"the loss became nan at epoch 2, step 1 of 3; .*last\.pt is the last good"):
        train(small_lpnetga_recipe(plain), folder)
    assert (folder / "last.pt").read_bytes() == before
    (folder / "last.pt").write_bytes(before[: len(before) // 2])
    with pytest.raises(ModelError, match=r"last\.pt: expected a checkpoint of a run: "):
        train(small_lpnetga_recipe(plain), folder)


def test_an_averaged_network_is_what_is_judged_and_kept(plain: Path, tmp_path: Path) -> None:
    recipe = small_lpnetga_recipe(plain, "optimiser.average=0.9", "optimiser.cosine=true", "optimiser.epochs=1")
    train(recipe, tmp_path)
    state = state_of(tmp_path)
    assert not same(state["network"], state["average"])
    assert same(dict(load_lpnetga_checkpoint(tmp_path / "best.pt").state_dict()), state["average"])


def test_a_gate_of_another_scale_is_gone_from_what_a_run_leaves(plain: Path, tmp_path: Path) -> None:
    recipe = small_lpnetga_recipe(
        plain, "network.gate_scale=4096", "network.prior=0.01", "optimiser.epochs=1", "precision=f32"
    )
    learning = LPNetGATask(recipe).build()
    assert learning.gate_scale == 4096
    assert learning.lfe.patch_net.classifier.bias is not None
    assert float(torch.sigmoid(learning.lfe.patch_net.classifier.bias).detach()) == pytest.approx(0.01)
    train(recipe, tmp_path)
    left = load_lpnetga_checkpoint(tmp_path / "best.pt")
    learning.load_state_dict(state_of(tmp_path, "best.pt")["average"])  # type: ignore[arg-type]
    image = torch.rand(1, 1, 24, 24, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert torch.equal(left(image, "dense"), learning.eval()(image, "dense"))
    assert left.gate_scale == 1.0


def test_precisions_and_devices_that_cannot_be_had(plain: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="precision f16: expected a CUDA device, found a processor"):
        train(small_lpnetga_recipe(plain, "precision=f16"), tmp_path, device="cpu")
    with pytest.raises(SettingsError, match="--device tpu: expected auto, cpu or cuda"):
        train(small_lpnetga_recipe(plain), tmp_path / "b", device="tpu")
