"""The recipe of a fine-tuning, from the data that are there."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from lpnet_rt_data import sample, write_clip, write_folders, write_samples

from lpnet_rt.errors import DataError, ModelError, SettingsError
from lpnet_rt.finetuning.recipe import fine_tuning_recipe
from lpnet_rt.finetuning.start import Start, read_start
from lpnet_rt.training.recipes.data import PartRecipe
from lpnet_rt.training.recipes.lpnet_rt import Recipe


@pytest.fixture(scope="module")
def start() -> Start:
    return read_start("lpnet-rt")


def recipe_of(start: Start, root: Path, *changes: str, spec: str | None = None) -> Recipe:
    return fine_tuning_recipe(start, root, spec, list(changes), "CC0-1.0")


def test_the_network_is_the_model_s(start: Start, images: Path, model: Path) -> None:
    recipe = recipe_of(start, images)
    assert (recipe.network.scene, recipe.network.channels) == (24, (32, 48, 80))
    assert (recipe.optimiser.start, recipe.optimiser.start_sha256) == ("lpnet-rt", start.sha256)
    assert recipe.optimiser.frozen_norms
    assert recipe.optimiser.patience > 0
    own = read_start(str(model))
    assert (own.spec, own.name, own.threshold, own.network.offset) == (str(model.resolve()), "small", 0.6, 0.5)


def test_images_without_splits_are_held_back_by_recording(start: Start, images: Path) -> None:
    recipe = recipe_of(start, images)
    assert recipe.data.train == (PartRecipe(layout="plain", licence="CC0-1.0"),)
    assert recipe.data.validation == ()
    assert recipe.data.held_back_by == "recording"
    assert recipe.data.video_crops == recipe.data.mask_crops > 0  # for images with boxes
    assert (recipe.data.mask_crops + recipe.data.empty_crops) % recipe.optimiser.batch == 0


def test_splits_of_the_data_are_taken_and_test_is_left_alone(start: Start, tmp_path: Path) -> None:
    for split, seeds in {"train": range(3), "day_val": range(3, 5), "test": range(5, 6)}.items():
        write_samples(tmp_path, split, [sample(i, (40.0, 40.0)) for i in seeds])
    data = recipe_of(start, tmp_path).data
    assert [part.splits for part in data.train] == [("train",)]
    assert [part.splits for part in data.validation] == [("day_val",)]
    for split in ("train", "day_val"):
        (tmp_path / "splits" / f"{split}.txt").unlink()
    with pytest.raises(DataError, match=r"expected a split to train on, found test; see docs/data\.md"):
        recipe_of(start, tmp_path)


def test_images_and_clips_beside_each_other_and_in_folders(start: Start, tmp_path: Path) -> None:
    both = tmp_path / "both"
    write_samples(both, "all", [sample(i, (40.0, 40.0)) for i in range(3)])
    (both / "splits" / "all.txt").unlink()
    write_clip(both, "clip_2")
    data = recipe_of(start, both).data
    assert [(part.folder, part.layout) for part in data.train] == [("", "plain"), ("", "clips")]
    assert data.video_crops > 0 < data.mask_crops
    write_folders(tmp_path / "sets")
    with pytest.raises(DataError, match="expected all data sets to have a split to choose by, or none, found both"):
        recipe_of(start, tmp_path / "sets")
    (tmp_path / "sets" / "irvideo" / "train.txt").write_text("clip_2\n")
    (tmp_path / "sets" / "irvideo" / "val.txt").write_text("clip_6\n")
    data = recipe_of(start, tmp_path / "sets").data
    assert [(part.folder, part.splits) for part in data.validation] == [
        ("irvideo", ("val",)),
        ("sirst", ("v1_val", "v2_val")),
    ]


def test_many_labelled_frames_are_thinned_out(start: Start, tmp_path: Path) -> None:
    write_clip(tmp_path, "east", frames=1)
    rows = "".join(f"{i},30,40,10,10\n" for i in range(4000))
    (tmp_path / "boxes" / "east.csv").write_text(f"frame,x,y,w,h\n{rows}")
    recipe = recipe_of(start, tmp_path)
    assert (recipe.data.video_stride, recipe.validation.video_stride) == (3, 4)


def test_own_values_come_first(start: Start, images: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('task = "lpnet-rt"\n[optimiser]\nrate = 1e-4\nepochs = 3\n[data]\ntrain = [{ splits = [] }]\n')
    recipe = recipe_of(start, images, "optimiser.epochs=5", spec=str(own))
    assert (recipe.optimiser.rate, recipe.optimiser.epochs, recipe.optimiser.frozen_norms) == (1e-4, 5, True)
    assert recipe.data.train == (PartRecipe(),)
    assert recipe.data.root == str(images)


def test_values_that_do_not_go_with_it(start: Start, images: Path, model: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"expected no \[network\] beside it, found one"):
        recipe_of(start, images, "network.scene=0")
    with pytest.raises(SettingsError, match="expected a recipe of LPNet-RT, found one of another network"):
        recipe_of(start, images, spec="lpnetga-sirst")
    with pytest.raises(DataError, match="expected a data set in a known layout"):
        recipe_of(start, tmp_path)
    with pytest.raises(DataError, match="expected the folder of a data set, found nothing"):
        recipe_of(start, tmp_path / "none")
    with pytest.raises(ModelError, match=r"none\.pt: expected a checkpoint, found no file"):
        read_start(str(tmp_path / "none.pt"))
    assert msgspec.json.decode(msgspec.json.encode(recipe_of(start, images)), type=Recipe)
