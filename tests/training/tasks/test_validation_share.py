"""How much a model is judged on while it is trained, and that one sees how far that is."""

from __future__ import annotations

import io
from pathlib import Path

import msgspec
import numpy as np
import pytest
from rich.console import Console
from small_data import small_recipe, write_set

from lpnet_rt.training.commands.train import load_recipe
from lpnet_rt.training.crops.lpnetga import load_frames
from lpnet_rt.training.data.roles import spread_over
from lpnet_rt.training.recipes.data import PartRecipe
from lpnet_rt.training.recipes.lpnet_rt import Recipe, ValidationRecipe
from lpnet_rt.training.recipes.lpnetga import LPNetGADataRecipe
from lpnet_rt.training.tasks.validate import ValidationSet, validate


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_set(tmp_path_factory.mktemp("sirst"))
    (root / "splits" / "v1_val.txt").write_text("s0\ns1\ns2\ns3\ns20\n")
    (root / "splits" / "v2_val.txt").write_text("s10\ns11\ns12\ns21\n")
    return root


def test_the_packaged_recipes_judge_by_everything() -> None:
    for name in ("lpnet-rt", "lpnet-rt-s"):
        recipe = load_recipe(name, None, [])
        assert isinstance(recipe, Recipe)
        assert recipe.validation == ValidationRecipe(frames=0, clips=0, video_stride=60)


def test_a_part_is_spread_over_the_whole() -> None:
    assert spread_over(range(10), 0) == spread_over(range(10), 10) == spread_over(range(10), 99) == list(range(10))
    assert spread_over(range(10), 4) == [0, 2, 5, 7]
    assert spread_over(range(10), 1) == [0]


def test_fewer_frames_are_judged_if_the_recipe_says_so(root: Path) -> None:
    recipe = small_recipe(root)
    whole = ValidationSet.load(recipe)
    assert (len(whole.masked), len(whole.empty)) == (5, 4)
    part = ValidationSet.load(msgspec.structs.replace(recipe, validation=ValidationRecipe(frames=2)))
    assert [one.name for one in part.masked] == ["s0", "s2"]
    assert [one.name for one in part.empty] == ["s10", "s12"]


def test_fewer_frames_of_the_papers_network(root: Path) -> None:
    data = LPNetGADataRecipe(
        root=str(root),
        train=(PartRecipe(splits=("v1_train",)),),
        validation=(PartRecipe(splits=("v2_val",)),),
        side_px=48,
        validation_frames=3,
    )
    assert [one.name for one in load_frames(data)[2]] == ["s10", "s11", "s12"]


def test_progress_is_shown_on_a_terminal(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = io.StringIO()
    console = Console(file=seen, force_terminal=True, width=100)
    monkeypatch.setattr("lpnet_rt.training.progress.Console", lambda **_: console)
    data = ValidationSet.load(small_recipe(root))
    validate(lambda image: np.zeros(image.shape, np.float32), data)
    assert "validation" in seen.getvalue()
    assert "9/9" in seen.getvalue()
