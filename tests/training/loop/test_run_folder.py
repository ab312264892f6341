"""Checkpoints and the folder of a run: damage is noticed when read, failed starts leave nothing in the way."""

from __future__ import annotations

import pickle
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import msgspec
import pytest
import torch
from small_data import small_recipe, write_set

from lpnet_rt.errors import DataError, ModelError, SinkError
from lpnet_rt.training.loop.checkpoints import load_checkpoint
from lpnet_rt.training.loop.loop import train
from lpnet_rt.training.recipes.lpnet_rt import NetworkRecipe, Recipe
from lpnet_rt.training.states import read_state, write_state


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    return small_recipe(write_set(tmp_path_factory.mktemp("sirst")))


@pytest.fixture(scope="module")
def finished(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(recipe, folder)
    return folder


def spoil(path: Path, member: str) -> None:
    """Lay 64 bytes of 0xFF into the middle of a tensor's values."""
    with zipfile.ZipFile(path) as archive:
        info = max((m for m in archive.infolist() if member in m.filename), key=lambda m: m.file_size)
    content = bytearray(path.read_bytes())
    at = info.header_offset + 256 + info.file_size // 2
    content[at : at + 64] = b"\xff" * 64
    path.write_bytes(bytes(content))


def test_damage_is_noticed_when_a_checkpoint_is_read(recipe: Recipe, finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    spoil(folder / "last.pt", "/data/")
    torch.load(folder / "last.pt", weights_only=True)  # PyTorch itself does not notice
    with pytest.raises(
        ModelError, match=r"last\.pt: the checkpoint is damaged \(.*/data/\d+ is not .*; copy .*best\.pt"
    ):
        train(recipe, folder)
    spoil(folder / "best.pt", "/data/")
    with pytest.raises(ModelError, match=r"best\.pt: the checkpoint is damaged"):
        load_checkpoint(folder / "best.pt")


def test_a_run_goes_on_from_its_best_state(recipe: Recipe, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(recipe, folder, epochs_now=1)
    shutil.copy(folder / "best.pt", tmp_path / "first.pt")
    train(recipe, folder)
    whole = (folder / "last.pt").read_bytes()
    shutil.copy(tmp_path / "first.pt", folder / "last.pt")
    train(recipe, folder)
    assert (folder / "last.pt").read_bytes() == whole


def test_checkpoints_are_for_owner_and_group(finished: Path) -> None:
    for name in ("last.pt", "best.pt", "recipe.json"):
        assert stat.S_IMODE((finished / name).stat().st_mode) == 0o640
    assert not [path for path in finished.iterdir() if path.name.startswith(".")]


def test_weights_that_are_not_finite_are_refused(finished: Path, tmp_path: Path) -> None:
    state = torch.load(finished / "last.pt", weights_only=True)
    name, value = next(iter(state["average"].items()))
    value.fill_(float("nan"))
    torch.save(state, tmp_path / "spoilt.pt")
    with pytest.raises(ModelError, match=rf"spoilt\.pt: '{name}': expected finite weights, found NaN or infinity"):
        load_checkpoint(tmp_path / "spoilt.pt")


def test_a_small_storage_cannot_pose_as_a_huge_tensor(finished: Path, tmp_path: Path) -> None:
    state = torch.load(finished / "last.pt", weights_only=True)
    state["average"] = {"huge": torch.zeros(1).expand(1 << 40)}
    torch.save(state, tmp_path / "huge.pt")
    with pytest.raises(ModelError, match=r"huge\.pt: 'huge': expected a tensor as large as its values"):
        read_state(tmp_path / "huge.pt")


def test_a_recipe_of_a_huge_network_takes_no_memory(finished: Path, tmp_path: Path) -> None:
    state = torch.load(finished / "last.pt", weights_only=True)
    recipe = msgspec.json.decode(state["recipe"], type=Recipe)
    huge = msgspec.structs.replace(recipe, network=NetworkRecipe(channels=(4096, 4096, 4096)))
    write_state(tmp_path / "huge.pt", {**state, "recipe": msgspec.json.encode(huge).decode()})
    with pytest.raises(ModelError, match="the weights do not fit the recipe beside them"):
        load_checkpoint(tmp_path / "huge.pt")


_BOMB = """
import resource, sys
from pathlib import Path
from lpnet_rt.errors import ModelError
from lpnet_rt.training.states import read_state
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read_state(Path(sys.argv[1]))
except ModelError as error:
    print(error)
print("grown", (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_a_compressed_archive_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    plain, packed = tmp_path / "plain.pt", tmp_path / "packed.pt"
    torch.save({"recipe": "", "average": {}, "network": torch.zeros(1 << 16)}, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for member in source.infolist():
            with target.open(member.filename, "w") as file:
                file.write(source.read(member.filename))
                if "/data/0" in member.filename:
                    for _ in range(512):
                        file.write(bytes(1 << 20))
    assert packed.stat().st_size < 1 << 20
    done = subprocess.run([sys.executable, "-c", _BOMB, packed], capture_output=True, text=True, timeout=60)
    assert "expected a checkpoint as PyTorch writes it, found one that is larger than its file" in done.stdout, done
    assert int(done.stdout.split()[-1]) < 100  # MiB


class _Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return (exec, ("raise SystemExit('code ran')",))


def test_nothing_in_a_checkpoint_is_run(tmp_path: Path) -> None:
    torch.save({"recipe": "{}", "average": _Evil()}, tmp_path / "evil.pt")
    with pytest.raises(ModelError, match=r"evil\.pt: expected tensors and nothing else; refused, nothing was run"):
        read_state(tmp_path / "evil.pt")
    (tmp_path / "pickle.pt").write_bytes(pickle.dumps(_Evil()))
    with pytest.raises(ModelError, match=r"pickle\.pt: expected a checkpoint of a run"):
        read_state(tmp_path / "pickle.pt")


# The folder


def test_a_start_that_fails_leaves_no_folder(recipe: Recipe, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "run"
    wrong = msgspec.structs.replace(recipe, data=msgspec.structs.replace(recipe.data, root=str(tmp_path / "nowhere")))
    with pytest.raises(DataError, match="nowhere"):
        train(wrong, folder)
    greedy = msgspec.structs.replace(recipe, optimiser=msgspec.structs.replace(recipe.optimiser, batch=99))
    with pytest.raises(DataError, match="expected at least 99 crops"):
        train(greedy, folder)
    missing = msgspec.structs.replace(recipe.optimiser, start=str(tmp_path / "none.pt"))
    with pytest.raises(ModelError, match=r"none\.pt: expected a checkpoint, found no file"):
        train(msgspec.structs.replace(recipe, optimiser=missing), folder)
    assert not folder.parent.exists()
    train(recipe, folder, epochs_now=1)
    assert (folder / "last.pt").is_file()


def test_a_folder_without_a_checkpoint_takes_another_recipe(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_bytes(msgspec.json.encode(msgspec.structs.replace(recipe, seed=77)))
    (tmp_path / "log.csv").write_text("epoch,loss\n")
    train(recipe, tmp_path, epochs_now=1)
    assert msgspec.json.decode((tmp_path / "recipe.json").read_bytes(), type=Recipe) == recipe


def test_a_folder_of_other_files_is_left_as_it_is(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("mine\n")
    with pytest.raises(SinkError, match="expected an empty folder or that of a run, found other files"):
        train(recipe, tmp_path)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("log.csv", "mine\n")]
    with pytest.raises(SinkError, match=r"log\.csv is no folder; name another folder"):
        train(recipe, tmp_path / "log.csv")
