"""From a recipe to frames: which part plays which role, what is held back, what is refused."""

from __future__ import annotations

from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from lpnet_rt_data import sample, write_clip, write_samples
from lpnetga_data import small_lpnetga_recipe

from lpnet_rt.errors import DataError, SettingsError
from lpnet_rt.training.commands.train import load_recipe
from lpnet_rt.training.data.roles import training_frames, validation_frames
from lpnet_rt.training.recipes.data import DataSetsRecipe, PartRecipe
from lpnet_rt.training.recipes.lpnet_rt import Recipe
from lpnet_rt.training.tasks.validate import ValidationSet


def names(frames) -> list[tuple[str, str]]:
    return [(one.name, one.role) for one in frames]


def test_the_packaged_recipe_sorts_frames_into_roles(recipe: Recipe) -> None:
    masked = [(f"s{i}", "targets") for i in range(4)]
    empty = [(f"s{i}", "target-free") for i in range(10, 13)]
    video = [(f"clip_2:{i}", "video") for i in (0, 2, 4)]  # 6 leaves 1 when divided by 5
    assert names(training_frames(recipe.data)) == [*masked, *empty, *video]
    part = msgspec.structs.replace(recipe.validation, video_stride=3)
    judged = ValidationSet.load(msgspec.structs.replace(recipe, validation=part))
    assert [one.name for one in judged.masked] == ["s20"]
    assert [one.name for one in judged.empty] == ["s21"]
    assert [one.name for one in judged.video] == ["clip_6:0", "clip_6:3"]
    assert {one.licence for one in judged.video} == {"CC0-1.0"}


def test_clips_are_optional_and_read_only_where_crops_are_cut_of_them(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    recipe = load_recipe("lpnet-rt", str(folders[0].parent), ["data.video_crops=0"])
    assert {role for _, role in names(training_frames(recipe.data))} == {"targets", "target-free"}
    (tmp_path / "sirst").symlink_to(folders[0])
    recipe = load_recipe("lpnet-rt", str(tmp_path), [])
    assert names(validation_frames(recipe.data)) == [("s20", "targets"), ("s21", "target-free")]


def test_a_part_may_take_one_role_only(folders: tuple[Path, Path]) -> None:
    def train(folder: Path, **part: object) -> DataSetsRecipe:
        chosen = (PartRecipe(folder=str(folder), **part),)  # type: ignore[arg-type]
        return DataSetsRecipe(train=chosen, validation=chosen, video_crops=1, held_back=2, video_stride=3)

    splits = ("v2_train", "v1_val", "v1_train")
    both = names(validation_frames(train(folders[0], splits=splits)))
    assert [name for name, _ in both] == ["s10", "s11", "s12", "s20", "s0", "s1", "s2", "s3"]
    assert names(training_frames(train(folders[0], splits=splits, role="targets"))) == [*both[3:]]
    assert names(training_frames(train(folders[0], splits=splits, role="target-free"))) == both[:3]
    assert names(validation_frames(train(folders[1], role="targets"), 5)) == [
        ("clip_2:0", "targets"),
        ("clip_2:5", "targets"),
    ]
    with pytest.raises(DataError, match="expected frames to train on and to choose by, found 0 and 0"):
        names(training_frames(train(folders[0], splits=splits, role="ignored")))


def test_what_the_best_model_is_chosen_by(plain: Path, tmp_path: Path) -> None:
    recipe = small_lpnetga_recipe(plain).data
    held_back = msgspec.structs.replace(recipe, validation=(), validation_share=0.34)
    train, validation = names(training_frames(held_back)), names(validation_frames(held_back))
    assert (len(train), len(validation)) == (4, 2)
    assert {name for name, _ in (*train, *validation)} == {f"f{i}" for i in range(6)}
    assert (names(training_frames(held_back)), names(validation_frames(held_back))) == (train, validation)

    def refused(error: type[Exception], message: str, **changes: object) -> None:
        with pytest.raises(error, match=message):
            names(training_frames(msgspec.structs.replace(recipe, **changes)))

    by_test = (PartRecipe(splits=("test",)),)
    refused(SettingsError, "a model chosen by its test frames cannot be judged by them", validation=by_test)
    unknown = (PartRecipe(splits=("v1_train",)),)
    refused(DataError, "expected the split v1_train, found test, train, val; set data", train=unknown)
    refused(DataError, "expected splits to be named, found test, train, val; set data", train=(PartRecipe(),))
    refused(DataError, "expected the folder of a data set, found nothing", root=str(tmp_path / "none"))


def test_a_set_without_splits_is_taken_whole(tmp_path: Path) -> None:
    write_samples(tmp_path, "all", [sample(i, (40.0, 40.0)) for i in range(4)])
    (tmp_path / "splits" / "all.txt").unlink()
    recipe = DataSetsRecipe(root=str(tmp_path), train=(PartRecipe(),), validation=(), validation_share=0.25)
    train, validation = names(training_frames(recipe)), names(validation_frames(recipe))
    assert sorted(train + validation) == [(f"s{i}", "targets") for i in range(4)]
    assert len(validation) == 1


def test_clips_alone_are_held_back_by_their_numbers(tmp_path: Path) -> None:
    for name in ("clip_1", "clip_2"):
        write_clip(tmp_path, name, frames=1)
    recipe = DataSetsRecipe(root=str(tmp_path), train=(PartRecipe(),), validation=(), video_crops=4)
    assert names(training_frames(recipe)) == [("clip_2:0", "video")]
    assert names(validation_frames(recipe)) == [("clip_1:0", "video")]


def test_damaged_masks_are_named(tmp_path: Path) -> None:
    write_samples(tmp_path, "train", [sample(0, (40.0, 40.0))])
    recipe = DataSetsRecipe(root=str(tmp_path), validation=(PartRecipe(splits=("train",)),))
    cv2.imwrite(str(tmp_path / "masks" / "s0.png"), np.zeros((9, 9), np.uint8))
    with pytest.raises(DataError, match=r"s0\.png: expected the image's size 96x96, found 9x9"):
        names(training_frames(recipe))
    (tmp_path / "masks" / "s0.png").unlink()
    with pytest.raises(DataError, match="s0: expected an image and its mask, found no mask; see 'lpnet-rt data check'"):
        names(training_frames(recipe))


def test_a_list_of_ignored_places_that_is_missing_is_said(
    folders: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    part = PartRecipe(folder=str(folders[1]), optional=True, ignored="none.csv")
    recipe = DataSetsRecipe(train=(part,), validation=(part,), video_crops=1)
    assert list(training_frames(recipe))
    assert "none.csv is not there: targets without a box are trained on as background" in caplog.text
    strict = msgspec.structs.replace(recipe, train=(msgspec.structs.replace(part, optional=False),))
    with pytest.raises(DataError, match=r"none\.csv: expected the places that .* ignores, found no file"):
        list(training_frames(strict))
