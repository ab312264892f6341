"""Training of LPNet-RT on small generated data: crops, truth from boxes, losses, the loop."""

from __future__ import annotations

import csv
import dataclasses
import math
from fractions import Fraction
from pathlib import Path

import av
import cv2
import msgspec
import numpy as np
import pytest
import torch

from lpnet_rt.errors import DataError, ModelError, SettingsError, SinkError
from lpnet_rt.training.commands.train import load_recipe
from lpnet_rt.training.crops.augment import cut_crop, lay_targets
from lpnet_rt.training.crops.lpnet_rt import CropDataset
from lpnet_rt.training.data.samples import (
    IGNORE,
    Sample,
    clip_is_held_back,
    load_masked,
    load_training_samples,
    load_video,
)
from lpnet_rt.training.loop.loop import load_checkpoint, train
from lpnet_rt.training.recipes.lpnet_rt import DataRecipe, NetworkRecipe, OptimiserRecipe, Recipe
from lpnet_rt.training.tasks.losses import detection_loss, soft_iou_loss, views_loss
from lpnet_rt.training.tasks.validate import ValidationSet, find_false_alarms, validate

SIZE = 96


def sky(seed: int, size: int = SIZE) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 80 + 0.3 * np.arange(size)[:, None] + rng.normal(0, 2, (size, size))


def blob(x: float, y: float, sigma: float = 1.5, size: int = SIZE) -> np.ndarray:
    ys, xs = np.mgrid[0:size, 0:size]
    return np.exp(-0.5 * ((xs - x) ** 2 + (ys - y) ** 2) / sigma**2)


def sample(seed: int, centre_xy: tuple[float, float] | None) -> Sample:
    image, truth = sky(seed), np.zeros((SIZE, SIZE), np.uint8)
    if centre_xy is not None:
        shape = blob(*centre_xy)
        image, truth = image + 90 * shape, np.where(shape >= 0.5, 255, 0).astype(np.uint8)
    return Sample(f"s{seed}", image.clip(0, 255).astype(np.uint8), truth, np.zeros((0, 4)))


def write_samples(root: Path, split: str, samples: list[Sample]) -> None:
    for folder in ("images", "masks", "splits"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for one in samples:
        assert cv2.imwrite(str(root / "images" / f"{one.name}.png"), one.image)
        assert cv2.imwrite(str(root / "masks" / f"{one.name}.png"), one.truth)
    (root / "splits" / f"{split}.txt").write_text("".join(f"{one.name}\n" for one in samples))


def write_clip(root: Path, name: str, frames: int = 6) -> None:
    """A lossless clip whose blob moves two pixels a frame, with a loose box around it."""
    for folder in ("clips", "boxes"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    rows = ["frame,x,y,w,h"]
    with av.open(str(root / "clips" / f"{name}.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"qp": "0"})
        stream.width = stream.height = SIZE
        stream.pix_fmt, stream.codec_context.time_base = "gray", Fraction(1, 30)
        for index in range(frames):
            x, y = 30.0 + 2 * index, 40.0
            image = (sky(index) + 100 * blob(x, y)).clip(0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(image, "gray")
            frame.pts = index
            container.mux(stream.encode(frame))
            rows.append(f"{index},{x - 7},{y - 7},14,14")
        container.mux(stream.encode(None))
    (root / "boxes" / f"{name}.csv").write_text("\n".join(rows) + "\n")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders like sirst/ and irvideo/, with a handful of frames."""
    root = tmp_path_factory.mktemp("data")
    sirst, video = root / "sirst", root / "irvideo"
    write_samples(sirst, "v1_train", [sample(i, (20.0 + 9 * i, 30.0)) for i in range(4)])
    write_samples(sirst, "v2_train", [sample(i, None) for i in range(10, 13)])
    write_samples(sirst, "v1_val", [sample(20, (50.0, 60.0))])
    write_samples(sirst, "v2_val", [sample(21, None)])
    write_clip(video, "clip_2")
    write_clip(video, "clip_6")
    return sirst, video


@pytest.fixture
def recipe(folders: tuple[Path, Path]) -> Recipe:
    return Recipe(
        network=NetworkRecipe(
            channels=(4, 6, 8), blocks=(1, 1, 1), hints=1, local_channels=4, local_blocks=1, patches=4
        ),
        data=DataRecipe(
            sirst=str(folders[0]),
            video=str(folders[1]),
            video_stride=2,
            crop_px=64,
            mask_crops=4,
            empty_crops=2,
            video_crops=2,
        ),
        optimiser=OptimiserRecipe(epochs=3, batch=2, warmup_steps=2, hard_every=1, validate_every=1),
        precision="f32",
        seed=5,
    )


# Data


def test_samples_are_read_with_what_is_held_back_left_out(recipe: Recipe) -> None:
    masked, empty, video = load_training_samples(recipe.data)
    assert [one.name for one in masked] == ["s0", "s1", "s2", "s3"]
    assert [one.name for one in empty] == ["s10", "s11", "s12"]
    assert [one.name for one in video] == ["clip_2:0", "clip_2:2", "clip_2:4"]  # 6 leaves 1 when divided by 5
    part = msgspec.structs.replace(recipe.validation, video_stride=3)
    judged = ValidationSet.load(msgspec.structs.replace(recipe, validation=part))
    assert [one.name for one in judged.masked] == ["s20"]
    assert [one.name for one in judged.empty] == ["s21"]
    assert [one.name for one in judged.video] == ["clip_6:0", "clip_6:3"]


@pytest.mark.parametrize(("name", "held"), [("clip_1", True), ("IR_016", True), ("clip_5", False), ("clip", False)])
def test_which_clips_are_held_back(name: str, held: bool) -> None:
    assert clip_is_held_back(name, 1, 5) is held


def test_truth_is_made_from_loose_boxes(folders: tuple[Path, Path]) -> None:
    for one in load_video(folders[1], 1, (1, 5), keep_held_back=True):
        x, y, w, h = one.boxes[0]
        expected = np.argwhere(blob(x + 7, y + 7) >= 0.5)
        target = np.argwhere(one.truth == 255)
        np.testing.assert_allclose(target.mean(axis=0), expected.mean(axis=0), atol=0.5)
        assert len(target) == pytest.approx(len(expected), abs=4)
        grown = np.zeros((SIZE, SIZE), bool)
        grown[round(y) - 2 : round(y + h) + 2, round(x) - 2 : round(x + w) + 2] = True
        assert (one.truth[~grown] == 0).all()
        assert set(np.unique(one.truth[grown])) == {IGNORE, 255}


def test_a_box_around_nothing_is_ignored_as_a_whole(tmp_path: Path) -> None:
    write_clip(tmp_path, "clip_1", frames=1)
    (tmp_path / "boxes" / "clip_1.csv").write_text("frame,x,y,w,h\n0,60,10,12,12\n0,-20,-20,5,5\n")
    (one,) = load_video(tmp_path, 1, (1, 5), keep_held_back=True)
    assert not one.has_target
    assert (one.truth == IGNORE).sum() == 16 * 16


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "boxes" / "clip_1.csv").unlink(), "expected lines of frame,x,y,w,h"),
        (lambda root: (root / "boxes" / "clip_1.csv").write_text("a,b\n1,2\n"), "expected lines of frame,x,y,w,h"),
        (lambda root: (root / "clips" / "clip_1.mp4").write_text("no video"), "expected a video that can be read"),
        (lambda root: (root / "clips" / "clip_1.mp4").unlink(), r"expected clips/\*\.mp4, found none"),
    ],
)
def test_damaged_video_data_are_named(tmp_path: Path, damage, message: str) -> None:
    write_clip(tmp_path, "clip_1", frames=2)
    damage(tmp_path)
    with pytest.raises(DataError, match=message):
        load_video(tmp_path, 1, (1, 5), keep_held_back=True)


def test_damaged_masks_are_named(tmp_path: Path) -> None:
    write_samples(tmp_path, "v1_train", [sample(0, (40.0, 40.0))])
    cv2.imwrite(str(tmp_path / "masks" / "s0.png"), np.zeros((9, 9), np.uint8))
    with pytest.raises(DataError, match=r"s0: expected a mask of the image's size \(96, 96\), found \(9, 9\)"):
        load_masked(tmp_path, ("v1_train",))
    (tmp_path / "masks" / "s0.png").unlink()
    with pytest.raises(DataError, match=r"masks/s0: expected \.png, .*, found no such file; copy the data again"):
        load_masked(tmp_path, ("v1_train",))
    (tmp_path / "splits" / "v1_train.txt").write_text("\n")
    with pytest.raises(DataError, match="expected one image name a line, found none"):
        load_masked(tmp_path, ("v1_train",))
    with pytest.raises(DataError, match="expected a split file with one name a line, found none"):
        load_masked(tmp_path, ("v9",))


# Crops


def dataset(whole: Recipe, **changes: object) -> CropDataset:
    masked, empty, video = load_training_samples(whole.data)
    values = {"recipe": whole.data, "seed": 1, "masked": masked, "empty": empty, "video": video}
    return CropDataset(**(values | changes))  # type: ignore[arg-type]


def test_crops_follow_from_seed_epoch_and_index(recipe: Recipe) -> None:
    first, again = dataset(recipe), dataset(recipe)
    other_seed, other_epoch = dataset(recipe, seed=2), dataset(recipe, epoch=1)
    assert len(first) == 8
    for index in reversed(range(8)):
        image, truth = again[index]
        assert (image.shape, image.dtype) == ((2, 64, 64), torch.float32)
        assert (truth.shape, truth.dtype) == ((1, 64, 64), torch.uint8)
        assert set(truth.unique().tolist()) <= {0, IGNORE, 255}
        assert torch.equal(first[index][0], image)
        assert torch.equal(first[index][1], truth)
        assert not torch.equal(other_seed[index][0], image)
        assert not torch.equal(other_epoch[index][0], image)


def test_empty_frames_hold_targets_only_where_synthetic_ones_are_laid(recipe: Recipe) -> None:
    for share, holds in ((0.0, False), (1.0, True)):
        data = msgspec.structs.replace(recipe.data, empty_crops=6, mask_crops=0, video_crops=0, synthetic_share=share)
        crops = dataset(recipe, recipe=data, masked=[], video=[])
        assert [bool((crops[i][1] == 255).any()) for i in range(len(crops))] == [holds] * 6


def test_hard_negatives_lie_in_their_crops(recipe: Recipe) -> None:
    marked = sample(50, None)
    marked.image[70:73, 20:23] = 255
    data = msgspec.structs.replace(recipe.data, hard_share=1.0, empty_crops=8)
    alarms = [(0, 21.0, 71.0)]
    crops = dataset(recipe, recipe=data, masked=[], video=[], empty=[marked], false_alarms=alarms)
    for index in range(8):
        image, truth = crops[index]
        assert image[0].max() - image[0].median() > 3
        assert not (truth == 255).any()


def test_a_crop_keeps_truth_on_its_target() -> None:
    one = sample(0, (40.0, 50.0))
    for seed in range(30):
        image, truth = cut_crop(one, 64, (40.0, 50.0), False, np.random.default_rng(seed))
        on_target = image[0][truth == 255]
        assert on_target.size >= 4
        assert on_target.mean() > image[0][truth == 0].mean() + 1


def test_synthetic_targets_are_bright_and_marked() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        image, truth = np.zeros((64, 64), np.float32), np.zeros((64, 64), np.uint8)
        lay_targets(image, truth, rng)
        assert 1 <= cv2.connectedComponents(truth)[0] - 1 <= 3
        assert (image[truth == 255] > 0).all()
        assert image[truth == 255].mean() > 1.9  # at least half of four times the least deviation


# Losses


def truth_map() -> torch.Tensor:
    truth = torch.zeros(2, 1, 32, 32, dtype=torch.uint8)
    truth[0, 0, 10:13, 10:13] = 255
    truth[0, 0, 20:24, 20:24] = IGNORE
    return truth


def test_the_loss_falls_as_the_prediction_improves() -> None:
    truth = truth_map()
    right = torch.where(truth == 255, 1.0, -1.0)
    losses = [float(views_loss(strength * right, strength * right, truth)) for strength in (-8, -2, 0, 2, 4, 8)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.1
    shifted = torch.roll(8 * right, 6, dims=3)
    assert float(views_loss(shifted, 8 * right, truth)) > float(views_loss(8 * right, shifted, truth)) > losses[-1]


def test_ignored_pixels_do_not_count() -> None:
    truth = truth_map()
    logits = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    changed = torch.where(truth == IGNORE, torch.tensor(9.0), logits)
    assert float(views_loss(changed, changed, truth)) == float(views_loss(logits, logits, truth))
    changed.requires_grad_()
    views_loss(changed, changed, truth).backward()
    assert not changed.grad[truth == IGNORE].any()
    assert changed.grad[truth != IGNORE].all()


def test_soft_iou_by_hand() -> None:
    target = torch.zeros(1, 1, 4, 4)
    target[..., :2, :2] = 1
    score = torch.zeros(1, 1, 4, 4)
    score[..., :2, 1:3] = 0.5  # overlap 1, union 2 + 4 - 1
    loss = soft_iou_loss(score, target, torch.ones_like(target))
    assert float(loss) == pytest.approx(1 - (1 + 1) / (5 + 1))
    assert float(soft_iou_loss(score, torch.zeros_like(target), torch.ones_like(target))) == 0


def test_a_false_blob_costs_the_same_in_a_frame_of_any_size() -> None:
    costs = []
    for size in (32, 128):
        logits = torch.full((1, 1, size, size), -30.0)
        logits[..., 5:8, 5:8] = 5.0
        nothing = torch.zeros_like(logits)
        costs.append(float(detection_loss(logits, nothing, torch.ones_like(logits))))
    assert costs[0] == pytest.approx(costs[1], rel=1e-5)
    assert costs[0] > 1


# Validation


def test_a_perfect_scorer_is_judged_perfect_and_a_noisy_one_is_not(recipe: Recipe) -> None:
    part = msgspec.structs.replace(recipe.validation, video_stride=1)
    data = ValidationSet.load(msgspec.structs.replace(recipe, validation=part))
    truth_of = {one.image.tobytes(): one.truth for one in (*data.masked, *data.empty, *data.video)}

    def perfect(image: np.ndarray) -> np.ndarray:
        return (truth_of[image.tobytes()] == 255).astype(np.float32)

    def noisy(image: np.ndarray) -> np.ndarray:
        scores = perfect(image)
        scores[2:4, 90:92] = 0.9
        return scores

    found, worse = validate(perfect, data), validate(noisy, data)
    assert dataclasses.astuple(found) == (100, 100, 100, 0, 0, 100, 0)
    assert worse.fa_per_million == pytest.approx(4e6 / SIZE**2)
    assert (worse.empty_false, worse.video_false, worse.pd) == (1, 1, 100)
    assert worse.fitness < found.fitness
    assert find_false_alarms(noisy, data.empty) == [(0, 90.5, 2.5)]
    assert find_false_alarms(perfect, data.empty) == []


# The loop


def state_of(folder: Path) -> dict[str, object]:
    return torch.load(folder / "last.pt", weights_only=True)


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


@pytest.fixture(scope="module")
def unbroken(folders: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "unbroken"
    assert train(recipe.__wrapped__(folders), folder) == folder / "best.pt"  # type: ignore[attr-defined]
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


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_state(recipe: Recipe, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(recipe, folder, epochs_now=1)
    state = state_of(folder)
    next(iter(state["network"].values())).fill_(3e38)  # type: ignore[attr-defined]
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
    with pytest.raises(DataError, match="expected at least 9 crops an epoch, found 8"):
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


# Recipes


def test_a_recipe_from_file_data_folder_and_single_values(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("seed = 3\n[optimiser]\nepochs = 7\nbatch = 4\n")
    (tmp_path / "irvideo").mkdir()
    recipe = load_recipe(
        str(path), str(tmp_path), ["optimiser.epochs=9", "network.channels=[8,12,16]", "precision=f32"]
    )
    assert (recipe.seed, recipe.optimiser.epochs, recipe.optimiser.batch) == (3, 9, 4)
    assert recipe.network.channels == (8, 12, 16)
    assert recipe.precision == "f32"
    assert recipe.data.sirst == str(tmp_path / "sirst")
    assert recipe.data.video == str(tmp_path / "irvideo")
    (tmp_path / "irvideo").rmdir()
    assert load_recipe(str(path), str(tmp_path), []).data.video == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("optimiser.epoch=9", "unknown key optimiser.epoch; did you mean optimiser.epochs?"),
        ("optimiser.epochs=0", "optimiser.epochs: expected a whole number of at least 1, found 0"),
        ("data.crop_px=100", "data.crop_px: expected a whole number of at least 64, a multiple of 16, found 100"),
        ("precision=f8", "precision: expected one of bf16, f16, f32, found 'f8'"),
        ("epochs", "--set epochs: expected KEY=VALUE, such as optimiser.epochs=20"),
    ],
)
def test_a_wrong_value_of_a_recipe_is_named(change: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_recipe(None, None, [change])
    assert message in str(caught.value)
