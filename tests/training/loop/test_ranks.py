"""Several processes of a run: each one's part of a batch, and the same weights on all."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import torch
from lpnetga_data import small_lpnetga_recipe
from run_files import state_of

from lpnet_rt.errors import SettingsError
from lpnet_rt.training.loop.ranks import ShardedBatches, TrainingProcess


def test_every_process_gets_its_part_of_every_batch() -> None:
    cpu = torch.device("cpu")
    assert list(ShardedBatches(9, 4, TrainingProcess(cpu))) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert list(ShardedBatches(9, 4, TrainingProcess(cpu, 0, 2))) == [[0, 1], [4, 5]]
    assert list(ShardedBatches(9, 4, TrainingProcess(cpu, 1, 2))) == [[2, 3], [6, 7]]
    with pytest.raises(SettingsError, match="batch: expected a multiple of the 3 processes, found 4"):
        ShardedBatches(9, 4, TrainingProcess(cpu, 0, 3))


_SEVERAL = """
import hashlib, sys
from pathlib import Path
from lpnet_rt.training.loop.checkpoints import decode_recipe
from lpnet_rt.training.loop.loop import Run, make_task
from lpnet_rt.training.loop.ranks import join_run
recipe, folder = decode_recipe(Path(sys.argv[1]).read_bytes()), Path(sys.argv[2])
with join_run("cpu") as process:
    run = Run(recipe, make_task(recipe), folder, process)
    run.one_epoch()
    run.close()
    values = b"".join(value.detach().numpy().tobytes() for value in run.network.parameters())
    print("weights", hashlib.sha256(values).hexdigest())
"""


def test_two_processes_keep_the_same_weights(plain: Path, tmp_path: Path) -> None:
    recipe, folder = tmp_path / "recipe.json", tmp_path / "run"
    recipe.write_bytes(msgspec.json.encode(small_lpnetga_recipe(plain, "optimiser.batch=2")))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ranks = []
    for rank in range(2):
        environment = {
            **os.environ,
            "RANK": str(rank),
            "WORLD_SIZE": "2",
            "LOCAL_RANK": str(rank),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "OMP_NUM_THREADS": "1",
        }
        command = [sys.executable, "-c", _SEVERAL, str(recipe), str(folder)]
        ranks.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    outputs = [process.communicate(timeout=110) for process in ranks]
    assert [process.returncode for process in ranks] == [0, 0], outputs
    weights = [out.decode().partition("weights ")[2].strip() for out, _ in outputs]
    assert len(weights[0]) == 64
    assert weights[0] == weights[1]
    assert state_of(folder)["epoch"] == 1
    assert "epoch 1" in outputs[0][0].decode()
    assert "epoch 1" not in outputs[1][0].decode()  # the second process writes nothing
