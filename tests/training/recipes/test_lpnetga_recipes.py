"""Recipes of the paper's network: the published ones, and those from files and flags."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from lpnet_rt.errors import SettingsError
from lpnet_rt.training.commands.train import load_recipe, named_recipes
from lpnet_rt.training.recipes.data import PartRecipe
from lpnet_rt.training.recipes.lpnet_rt import Recipe
from lpnet_rt.training.recipes.lpnetga import LPNetGADataRecipe, LPNetGALossRecipe, LPNetGARecipe


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
    recipe = load_recipe(str(file), "/data/x", ["loss.sigma=9", 'data.train=[{"splits":["a","b"]}]'])
    assert isinstance(recipe, LPNetGARecipe)
    assert (recipe.optimiser.epochs, recipe.loss.sigma, recipe.data.root) == (7, 9.0, "/data/x")
    assert recipe.data.train == (PartRecipe(splits=("a", "b")),)
    with pytest.raises(SettingsError, match=r"unknown key loss\.sigmas; did you mean loss\.sigma\?"):
        load_recipe(str(file), None, ["loss.sigmas=9"])
    file.write_text('task = "unet"\n')
    with pytest.raises(SettingsError, match="task"):
        load_recipe(str(file), None, [])
    with pytest.raises(SettingsError, match="cannot read the recipe: No such file or directory; known by name: lpnet-"):
        load_recipe("lpnetga-sirts", None, [])


def test_loss_recipe_refuses_nonsense() -> None:
    with pytest.raises(SettingsError, match=r"loss\.sigma"):
        load_recipe("lpnetga-sirst", None, ["loss.sigma=0"])
    assert LPNetGALossRecipe().patches == 0
    assert LPNetGADataRecipe().side_px == 120
