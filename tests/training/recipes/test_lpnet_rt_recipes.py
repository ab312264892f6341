"""Recipes of LPNet-RT from files and single values."""

from __future__ import annotations

from pathlib import Path

import pytest

from lpnet_rt.errors import SettingsError
from lpnet_rt.training.commands.train import load_recipe
from lpnet_rt.training.recipes.data import PartRecipe


def test_a_recipe_from_file_data_folder_and_single_values(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("seed = 3\n[optimiser]\nepochs = 7\nbatch = 4\n")
    recipe = load_recipe(
        str(path), str(tmp_path), ["optimiser.epochs=9", "network.channels=[8,12,16]", "precision=f32"]
    )
    assert (recipe.seed, recipe.optimiser.epochs, recipe.optimiser.batch) == (3, 9, 4)
    assert recipe.network.channels == (8, 12, 16)
    assert recipe.precision == "f32"
    assert recipe.data.root == str(tmp_path)
    assert (recipe.data.train, recipe.data.validation) == (
        (PartRecipe(splits=("train",)),),
        (PartRecipe(splits=("val",)),),
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("optimiser.epoch=9", "unknown key optimiser.epoch; did you mean optimiser.epochs?"),
        ("optimiser.epochs=0", "optimiser.epochs: expected a whole number of at least 1, found 0"),
        ("data.crop_px=100", "data.crop_px: expected a whole number of at least 64, a multiple of 16, found 100"),
        ("precision=f8", "precision: expected one of bf16, f16, f32, found 'f8'"),
        ('data.train=[{"split":["a"]}]', "unknown key data.train.split; did you mean data.train.splits?"),
        ('data.train=[{},{"role":"x"}]', "flags: data.train[1].role: expected one of by-truth, ignored, target-free, "),
        (
            'data.train=[{"splits":["a",2]}]',
            "flags: data.train[0].splits: expected a list, each value text, found ['a', 2]",
        ),
        ("data.train=[3]", "flags: data.train: expected a list of tables, found [3]"),
        ("epochs", "--set epochs: expected KEY=VALUE, such as optimiser.epochs=20"),
    ],
)
def test_a_wrong_value_of_a_recipe_is_named(change: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_recipe(None, None, [change])
    assert message in str(caught.value)
