"""Training of the paper's network on small generated data: recipes, frames, losses, the loop, several processes."""

from __future__ import annotations

import csv
import os
import socket
import subprocess
import sys
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
import torch

from lpnet_rt.errors import DataError, ModelError, SettingsError
from lpnet_rt.networks.lpnetga import LPNetGA
from lpnet_rt.networks.patches import PatchGrid, split
from lpnet_rt.training.commands.train import load_recipe, named_recipes
from lpnet_rt.training.crops.lpnetga import PaperCrops, load_frames, shrink, split_entries
from lpnet_rt.training.data.layouts import open_data_set
from lpnet_rt.training.loop.checkpoints import load_checkpoint, load_lpnetga_checkpoint
from lpnet_rt.training.loop.logs import RunLog
from lpnet_rt.training.loop.loop import train
from lpnet_rt.training.loop.ranks import ShardedBatches, TrainingProcess
from lpnet_rt.training.recipes.lpnet_rt import Recipe
from lpnet_rt.training.recipes.lpnetga import LPNetGADataRecipe, LPNetGALossRecipe, LPNetGARecipe
from lpnet_rt.training.tasks.lpnetga import LPNetGATask, attention_loss, patch_loss
from lpnet_rt.training.tasks.spread_maps import spread_map


def frame(seed: int, size_hw: tuple[int, int] = (60, 90)) -> tuple[np.ndarray, np.ndarray]:
    """A noisy sky with one blob, and its mask."""
    rng = np.random.default_rng(seed)
    ys, xs = np.mgrid[0 : size_hw[0], 0 : size_hw[1]]
    y, x = rng.uniform(12, size_hw[0] - 12), rng.uniform(12, size_hw[1] - 12)
    shape = np.exp(-0.5 * ((xs - x) ** 2 + (ys - y) ** 2) / 2.0**2)
    image = (90 + rng.normal(0, 3, size_hw) + 120 * shape).clip(0, 255).astype(np.uint8)
    return image, np.where(shape > 0.5, 255, 0).astype(np.uint8)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set in the plain layout: six training frames, two for validation."""
    root = tmp_path_factory.mktemp("plain")
    for name in ("images", "masks", "splits"):
        (root / name).mkdir()
    names = [f"f{i}" for i in range(8)]
    for i, name in enumerate(names):
        image, mask = frame(i)
        assert cv2.imwrite(str(root / "images" / f"{name}.png"), image)
        assert cv2.imwrite(str(root / "masks" / f"{name}.png"), mask)
    (root / "splits" / "train.txt").write_text("\n".join(names[:6]))
    (root / "splits" / "val.txt").write_text("\n".join(names[6:]))
    (root / "splits" / "test.txt").write_text(names[0])
    return root


def small(root: Path, *changes: str) -> LPNetGARecipe:
    """Patches of 12 px in crops of 24, batches of 2: three steps an epoch."""
    recipe = load_recipe(
        "lpnetga-sirst",
        str(root),
        [
            "network.patch_px=12",
            "network.stride_px=6",
            "network.padding_px=0",
            "data.side_px=24",
            "optimiser.batch=2",
            "optimiser.epochs=3",
            "optimiser.validate_every=3",
            "precision=f32",
            *changes,
        ],
    )
    assert isinstance(recipe, LPNetGARecipe)
    return recipe


def state_of(folder: Path, name: str = "last.pt") -> dict[str, object]:
    return torch.load(folder / name, weights_only=True)


def same(left: object, right: object) -> bool:
    """Bit for bit."""
    if isinstance(left, torch.Tensor):
        return isinstance(right, torch.Tensor) and torch.equal(left, right)
    if isinstance(left, dict):
        return isinstance(right, dict) and left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))  # type: ignore[arg-type]
    return left == right


def log_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open(newline="") as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


# Recipes


def test_the_published_recipes_are_what_the_paper_says() -> None:
    assert {"lpnet-rt", "lpnetga-mfirst", "lpnetga-sirst"} <= set(named_recipes())
    sirst, mfirst = load_recipe("lpnetga-sirst", None, []), load_recipe("lpnetga-mfirst", None, [])
    assert isinstance(sirst, LPNetGARecipe)
    assert isinstance(mfirst, LPNetGARecipe)
    told = [
        (r.optimiser.epochs, r.optimiser.batch, r.loss.sigma, r.loss.supervised, r.optimiser.rate, r.data.side_px)
        for r in (sirst, mfirst)
    ]
    assert told == [(600, 8, 5.0, False, 1e-3, 120), (40, 20, 20.0, True, 1e-3, 120)]
    for recipe in (sirst, mfirst):
        assert recipe.network == msgspec.convert({}, type(recipe.network))
        assert (recipe.loss.patches, recipe.optimiser.average, recipe.optimiser.cosine) == (0, 0, False)
    assert isinstance(load_recipe("lpnet-rt", None, []), Recipe)
    assert load_recipe("lpnet-rt", None, []) == load_recipe(None, None, [])


def test_recipes_from_files_and_flags(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('task = "lpnetga"\n[optimiser]\nepochs = 7\n')
    recipe = load_recipe(str(file), "/data/x", ["loss.sigma=9", 'data.train_splits=["a","b"]'])
    assert isinstance(recipe, LPNetGARecipe)
    assert (recipe.optimiser.epochs, recipe.loss.sigma, recipe.data.root) == (7, 9.0, "/data/x")
    assert recipe.data.train_splits == ("a", "b")
    with pytest.raises(SettingsError, match=r"unknown key loss\.sigmas; did you mean loss\.sigma\?"):
        load_recipe(str(file), None, ["loss.sigmas=9"])
    file.write_text('task = "unet"\n')
    with pytest.raises(SettingsError, match="task"):
        load_recipe(str(file), None, [])
    with pytest.raises(SettingsError, match="cannot read the recipe: No such file or directory; known by name: lpnet-"):
        load_recipe("lpnetga-sirts", None, [])


# Frames


def test_the_shorter_side_is_resized_and_the_shape_kept() -> None:
    image, mask = frame(0, (60, 90))
    small_frame = shrink("a", image, mask, 30)
    assert small_frame.image.shape == small_frame.truth.shape == (30, 45)
    assert small_frame.image.dtype == np.float32
    assert 0 <= small_frame.image.min() < small_frame.image.max() <= 1
    expected = np.argwhere(mask).mean(axis=0) / 2 - 0.25
    np.testing.assert_allclose(np.argwhere(small_frame.truth == 255).mean(axis=0), expected, atol=0.5)
    assert shrink("a", image.T, mask.T, 120).truth.shape == (180, 120)


def test_no_target_is_lost_to_resizing() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        truth = np.zeros((300, 410), np.uint8)
        y, x = rng.integers(2, 298), rng.integers(2, 408)
        truth[y, x] = 255
        found = np.argwhere(shrink("a", truth, truth, 120).truth == 255)
        assert 1 <= len(found) <= 4
        np.testing.assert_allclose(found.mean(axis=0), (np.array([y, x]) + 0.5) * 120 / 300 - 0.5, atol=1)


def test_crops_follow_from_seed_and_epoch_and_take_every_frame_once(plain: Path) -> None:
    recipe = small(plain).data
    frames, video, validation = load_frames(recipe)
    assert ([f.name for f in frames], video, [f.name for f in validation]) == (
        [f"f{i}" for i in range(6)],
        [],
        ["f6", "f7"],
    )
    first, again, other = (PaperCrops(frames, [], recipe, 3, epoch) for epoch in (0, 0, 1))
    assert len(first) == 6
    for index in range(6):
        image, truth = first[index]
        assert (image.shape, image.dtype, truth.shape, truth.dtype) == (
            (1, 24, 24),
            torch.float32,
            (1, 24, 24),
            torch.uint8,
        )
        assert torch.equal(image, again[index][0])
        assert torch.equal(truth, again[index][1])
    assert not all(torch.equal(first[i][0], other[i][0]) for i in range(6))
    marked = [f.image.copy() for f in frames]
    for i, image in enumerate(marked):
        image[:] = i
    numbered = [type(f)(f.name, image, f.truth) for f, image in zip(frames, marked, strict=True)]
    seen = PaperCrops(numbered, [], recipe, 3)
    assert sorted(float(seen[i][0][0, 0, 0]) for i in range(6)) == [0, 1, 2, 3, 4, 5]


def test_video_frames_are_an_option(plain: Path) -> None:
    recipe = msgspec.structs.replace(small(plain).data, video_crops=4)
    frames, _, _ = load_frames(recipe)
    image, mask = frame(9)
    crops = PaperCrops(frames, [shrink("clip:0", image, mask, 24)], recipe, 0)
    assert len(crops) == 10
    assert all(crops[i][0].shape == (1, 24, 24) for i in range(10))


def test_what_the_best_model_is_chosen_by(plain: Path, tmp_path: Path) -> None:
    data, recipe = open_data_set(plain), small(plain).data
    held_back = msgspec.structs.replace(recipe, validation_splits=(), validation_share=0.34)
    train_part, validation = split_entries(data, held_back)
    assert (len(train_part), len(validation)) == (4, 2)
    assert {e.name for e in train_part} | {e.name for e in validation} == {f"f{i}" for i in range(6)}
    assert split_entries(data, held_back) == (train_part, validation)
    with pytest.raises(SettingsError, match="a model chosen by its test frames cannot be judged by them"):
        split_entries(data, msgspec.structs.replace(recipe, validation_splits=("test",)))
    with pytest.raises(DataError, match="expected the split v1_train, found test, train, val; set data"):
        split_entries(data, msgspec.structs.replace(recipe, train_splits=("v1_train",)))
    with pytest.raises(DataError, match="expected the folder of a data set, found nothing"):
        load_frames(msgspec.structs.replace(recipe, root=str(tmp_path / "none")))


def test_a_mask_that_is_missing_or_of_another_size_is_named(plain: Path, tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "a.png"), frame(0)[folder == "masks"])
    (tmp_path / "train.txt").write_text("a\n")
    (tmp_path / "val.txt").write_text("a\n")
    recipe = small(tmp_path).data
    assert len(load_frames(recipe)[0]) == 1
    cv2.imwrite(str(tmp_path / "masks" / "a.png"), np.zeros((9, 9), np.uint8))
    with pytest.raises(DataError, match=r"a\.png: expected the image's size 90x60, found 9x9"):
        load_frames(recipe)
    (tmp_path / "masks" / "a.png").unlink()
    with pytest.raises(DataError, match="a: expected an image and its mask, found no mask"):
        load_frames(recipe)
    (tmp_path / "train.txt").write_text("\n")
    with pytest.raises(DataError, match=r"train\.txt: expected one image name a line, found none"):
        load_frames(recipe)


# Losses


def test_the_patch_loss_is_the_mean_over_all_pixels_of_all_patches() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 1, 6, 6, generator=generator)
    truth = (torch.rand(5, 1, 6, 6, generator=generator) > 0.8).to(torch.uint8) * 255
    score, target = torch.sigmoid(logits).double(), (truth == 255).double()
    expected = -(target * score.log() + (1 - target) * (1 - score).log()).mean()
    assert float(patch_loss(logits, truth)) == pytest.approx(float(expected), abs=1e-6)
    ignored = truth.clone()
    ignored[0] = 128
    assert float(patch_loss(logits, ignored)) == pytest.approx(float(patch_loss(logits[1:], truth[1:])), abs=1e-6)


def test_the_attention_loss_is_the_mean_squared_error_times_the_frame_size() -> None:
    truth = torch.zeros(2, 1, 20, 24, dtype=torch.uint8)
    truth[:, :, 5:7, 8:11] = 255
    wanted = spread_map(truth == 255, 5.0)
    assert float(attention_loss(wanted, truth, 5.0)) == 0
    even = torch.full_like(wanted, 1 / 480)
    expected = float(((even - wanted) ** 2).mean() * 480)
    assert float(attention_loss(even, truth, 5.0)) == pytest.approx(expected, rel=1e-5)


def batch_of(task: LPNetGATask) -> tuple[torch.Tensor, torch.Tensor]:
    images, truths = zip(*(task.crops[i] for i in range(4)), strict=True)
    return torch.stack(images), torch.stack(truths)


def test_the_tasks_loss_is_that_of_the_patches_inside(plain: Path) -> None:
    recipe = small(plain, "loss.supervised=true")
    task = LPNetGATask(recipe)
    torch.manual_seed(0)
    network = task.build().eval()
    network.requires_grad_(False)
    image, truth = batch_of(task)
    found = float(task.loss(task.view(network, image, truth, 0), truth, 0))
    logits, attention = network.training_view(image)
    assert len(logits) == 4 * 9
    cut = split(truth, PatchGrid(12, 6, 0))
    expected = patch_loss(logits, cut) + attention_loss(attention, truth, 5.0)
    assert found == pytest.approx(float(expected), rel=1e-5)
    without = LPNetGATask(small(plain))
    unsupervised = without.loss(without.view(network, image, truth, 0), truth, 0)
    assert float(unsupervised) == pytest.approx(float(patch_loss(logits, cut)), rel=1e-5)


def test_fewer_patches_estimate_the_same_loss(plain: Path) -> None:
    task, all_of_them = LPNetGATask(small(plain, "loss.patches=3")), LPNetGATask(small(plain))
    torch.manual_seed(0)
    network = task.build().eval().requires_grad_(False)
    image, truth = batch_of(task)
    drawn = []
    for step in range(16):
        view = task.view(network, image, truth, step)
        assert len(view[0]) == 4 * 3
        drawn.append(float(task.loss(view, truth, step)))
    whole = float(all_of_them.loss(all_of_them.view(network, image, truth, 0), truth, 0))
    assert np.std(drawn) > 0
    assert np.mean(drawn) == pytest.approx(whole, abs=4 * np.std(drawn) / np.sqrt(len(drawn)))


def test_half_precision_computes_about_the_same_loss(plain: Path) -> None:
    task, process = LPNetGATask(small(plain)), TrainingProcess(torch.device("cpu"))
    torch.manual_seed(0)
    network = task.build().to(memory_format=torch.channels_last).train()
    image, truth = batch_of(task)
    losses = []
    for precision in ("f32", "bf16"):
        with process.autocast(precision), torch.no_grad():
            view = task.view(network, image, truth, 0)
        losses.append(float(task.loss(view, truth, 0)))
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


def test_patches_that_do_not_fit_the_crop_are_refused(plain: Path) -> None:
    with pytest.raises(SettingsError, match="patch grid: height must be"):
        LPNetGATask(small(plain, "data.side_px=25"))


# The loop


@pytest.fixture(scope="module")
def unbroken(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "unbroken"
    assert train(small(plain), folder) == folder / "best.pt"
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
    recipe.write_bytes(msgspec.json.encode(small(plain)))
    done = subprocess.run([sys.executable, "-c", _KILLED, recipe, folder], capture_output=True, timeout=110)
    assert done.returncode == -9, done.stderr
    assert state_of(folder)["epoch"] == 1
    train(small(plain), folder)
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
    train(small(plain), folder, epochs_now=1)
    state = state_of(folder)
    state["network"]["gfe.block1.conv1.weight"].fill_(3e38)  # type: ignore[index]
    torch.save(state, folder / "last.pt")
    before = (folder / "last.pt").read_bytes()
    with pytest.raises(DataError, match=r"the loss became nan at epoch 2, step 1 of 3; .*last\.pt is the last good"):
        train(small(plain), folder)
    assert (folder / "last.pt").read_bytes() == before
    (folder / "last.pt").write_bytes(before[: len(before) // 2])
    with pytest.raises(ModelError, match=r"last\.pt: expected a checkpoint of a run: "):
        train(small(plain), folder)


def test_an_averaged_network_is_what_is_judged_and_kept(plain: Path, tmp_path: Path) -> None:
    recipe = small(plain, "optimiser.average=0.9", "optimiser.cosine=true", "optimiser.epochs=1")
    train(recipe, tmp_path)
    state = state_of(tmp_path)
    assert not same(state["network"], state["average"])
    assert same(dict(load_lpnetga_checkpoint(tmp_path / "best.pt").state_dict()), state["average"])


def test_a_gate_of_another_scale_is_gone_from_what_a_run_leaves(plain: Path, tmp_path: Path) -> None:
    recipe = small(plain, "network.gate_scale=4096", "network.prior=0.01", "optimiser.epochs=1", "precision=f32")
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
        train(small(plain, "precision=f16"), tmp_path, device="cpu")
    with pytest.raises(SettingsError, match="--device tpu: expected auto, cpu or cuda"):
        train(small(plain), tmp_path / "b", device="tpu")


# Several processes


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


def test_two_processes_keep_the_same_weights(plain: Path, unbroken: Path, tmp_path: Path) -> None:
    recipe, folder = tmp_path / "recipe.json", tmp_path / "run"
    recipe.write_bytes(msgspec.json.encode(small(plain, "optimiser.batch=2")))
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


def test_loss_recipe_refuses_nonsense() -> None:
    with pytest.raises(SettingsError, match=r"loss\.sigma"):
        load_recipe("lpnetga-sirst", None, ["loss.sigma=0"])
    assert LPNetGALossRecipe().patches == 0
    assert LPNetGADataRecipe().side_px == 120
