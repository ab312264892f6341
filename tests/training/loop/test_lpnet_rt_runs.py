"""Runs of LPNet-RT on small generated data: what they leave, resuming, folders and checkpoints refused."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import pytest
import torch
from lpnet_rt_data import small_video_recipe
from run_files import log_of, same, state_of

from lpnet_rt.errors import DataError, ModelError, SinkError
from lpnet_rt.training.loop.loop import load_checkpoint, train
from lpnet_rt.training.recipes.lpnet_rt import Recipe


@pytest.fixture(scope="module")
def unbroken(folders: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "unbroken"
    assert train(small_video_recipe(folders), folder) == folder / "best.pt"
    return folder


def test_a_run_leaves_log_checkpoints_and_recipe(recipe: Recipe, unbroken: Path) -> None:
    log = log_of(unbroken)
    assert [row["epoch"] for row in log] == ["1", "2", "3"]
    assert all(math.isfinite(float(row["loss"])) and math.isfinite(float(row["fitness"])) for row in log)
    assert msgspec.json.decode((unbroken / "recipe.json").read_bytes(), type=Recipe) == recipe
    assert not list(unbroken.glob("*.partial"))
    state = state_of(unbroken)
    assert state["epoch"] == 3
    assert state["best"] == pytest.approx(max(float(row["fitness"]) for row in log), rel=1e-3)


def test_interrupted_and_resumed_equals_unbroken_bit_for_bit(recipe: Recipe, unbroken: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(recipe, folder, epochs_now=1)
    assert state_of(folder)["epoch"] == 1
    train(recipe, folder, epochs_now=1)
    train(recipe, folder)
    assert same(state_of(folder), state_of(unbroken))
    assert not same(state_of(folder)["network"], state_of(folder)["average"])
    assert log_of(folder) == log_of(unbroken)
    train(recipe, folder)  # finished: nothing more to do
    assert len(log_of(folder)) == 3


def test_the_best_checkpoint_is_a_network_in_eval_mode(recipe: Recipe, unbroken: Path) -> None:
    network = load_checkpoint(unbroken / "best.pt")
    assert not network.training
    assert network.config.channels == recipe.network.channels
    last = load_checkpoint(unbroken / "last.pt")
    assert same(dict(last.state_dict()), state_of(unbroken)["average"])


def test_weights_of_a_run_with_other_recipe_keys_are_read(unbroken: Path, tmp_path: Path) -> None:
    state = state_of(unbroken)
    recipe = msgspec.json.decode(str(state["recipe"]))
    recipe["data"] = {"sirst": "data/sirst", "train_splits": ["v1_train"]}
    torch.save(state | {"recipe": msgspec.json.encode(recipe).decode()}, tmp_path / "old.pt")
    assert same(dict(load_checkpoint(tmp_path / "old.pt").state_dict()), state["average"])


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_state(recipe: Recipe, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(recipe, folder, epochs_now=1)
    state = state_of(folder)
    next(iter(state["network"].values())).fill_(3e38)
    torch.save(state, folder / "last.pt")
    before, log = (folder / "last.pt").read_bytes(), log_of(folder)
    with pytest.raises(DataError, match=r"the loss became nan at epoch 2, step 1 of 4; .*last\.pt is the last good"):
        train(recipe, folder)
    assert (folder / "last.pt").read_bytes() == before
    assert log_of(folder) == log


def test_another_recipe_in_the_same_folder_is_refused(recipe: Recipe, unbroken: Path) -> None:
    before = (unbroken / "last.pt").read_bytes()
    with pytest.raises(ModelError, match=r"holds a run with another recipe \(recipe\.json\); choose another folder"):
        train(msgspec.structs.replace(recipe, seed=6), unbroken)
    assert (unbroken / "last.pt").read_bytes() == before


def test_folders_that_cannot_be_gone_on_with(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match=r"cannot be written: .*; name another folder"):
        train(recipe, tmp_path / "file" / "run")
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "recipe.json").write_bytes(msgspec.json.encode(recipe))
    (damaged / "last.pt").write_bytes(b"PK\x03\x04 half a checkpoint")
    with pytest.raises(ModelError, match=r"last\.pt: expected "):
        train(recipe, damaged)
    (damaged / "recipe.json").write_text("{")
    with pytest.raises(ModelError, match=r"recipe\.json: not a recipe: "):
        train(recipe, damaged)


def test_too_few_crops_for_a_batch(recipe: Recipe, tmp_path: Path) -> None:
    greedy = msgspec.structs.replace(recipe, optimiser=msgspec.structs.replace(recipe.optimiser, batch=9))
    with pytest.raises(DataError, match="expected at least 9 crops per epoch, found 8"):
        train(greedy, tmp_path / "run")


def test_checkpoints_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.pt: expected a checkpoint, found no file"):
        load_checkpoint(tmp_path / "none.pt")
    (tmp_path / "text.pt").write_text("not a checkpoint\n")
    with pytest.raises(ModelError, match=r"text\.pt: expected a checkpoint"):
        load_checkpoint(tmp_path / "text.pt")
    torch.save({"weights": torch.zeros(3)}, tmp_path / "other.pt")
    with pytest.raises(ModelError, match=r"other\.pt: expected a checkpoint"):
        load_checkpoint(tmp_path / "other.pt")
