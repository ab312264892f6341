"""``lpnet-rt train``: a recipe by name or from a file, single values from flags, then the loop."""

from __future__ import annotations

import argparse
import importlib
import json
import tomllib
from importlib import resources
from pathlib import Path

from lpnet_rt.errors import DependencyError, SettingsError
from lpnet_rt.settings import merge
from lpnet_rt.training.recipes.lpnet_rt import Recipe
from lpnet_rt.training.recipes.lpnetga import LPNetGARecipe

__all__ = ["add_arguments", "load_recipe", "named_recipes", "read_changes", "read_recipe", "require_torch", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    names = ", ".join(named_recipes())
    parser.add_argument("--recipe", metavar="NAME|FILE", help=f"{names}, or a TOML file (default: lpnet-rt)")
    parser.add_argument("--data", metavar="DIR", help="folder of the data sets that the recipe names (data.root)")
    parser.add_argument("--out", metavar="DIR", help="folder of the run (default: runs/ and the recipe's name)")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="one value of the recipe")
    parser.add_argument("--epochs-now", type=int, metavar="N", help="stop after N epochs; the same command resumes")
    parser.add_argument("--device", default="auto", metavar="D", help="auto, cpu or cuda (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Train.

    Raises:
        LpnetError: As :func:`load_recipe` and :func:`lpnet_rt.training.loop.loop.train`.
    """
    recipe = load_recipe(args.recipe, args.data, args.set)
    require_torch()
    from lpnet_rt.training.loop.loop import train

    out = Path(args.out or f"runs/{Path(args.recipe or 'lpnet-rt').stem}")
    best = train(recipe, out, args.epochs_now, args.device)
    if not best.exists():
        print(f"{best.parent}: nothing is validated yet; the same command resumes")
    elif isinstance(recipe, LPNetGARecipe):
        print(f"best by validation: {best}; next: lpnet-rt import-weights {best} --out model.safetensors")
    else:
        print(f"best by validation: {best}; next: lpnet-rt export --checkpoint {best} --out model.onnx")
    return 0


def require_torch() -> None:
    """Import what training needs.

    Raises:
        DependencyError: A package is missing.
    """
    try:
        importlib.import_module("lpnet_rt.training.loop.loop")
    except ModuleNotFoundError as error:
        raise DependencyError(
            f"train: needs {error.name}; install it: pip install '.[train]' in a checkout of lpnet-rt"
        ) from error


def named_recipes() -> list[str]:
    """Names of the recipes that come with the package."""
    folder = resources.files("lpnet_rt.training.recipes")
    return sorted(path.name.removesuffix(".toml") for path in folder.iterdir() if path.name.endswith(".toml"))


def load_recipe(spec: str | None, data: str | None, changes: list[str]) -> Recipe | LPNetGARecipe:
    """Build a recipe from a name or a file, the data folder and single values.

    Args:
        spec: Name of a packaged recipe, path of a TOML file, or None for LPNet-RT's.
        data: Folder of the data sets that the recipe names, or None to take the recipe's.
        changes: ``table.key=value`` with a TOML or JSON value.

    Raises:
        SettingsError: The file cannot be read, a key is unknown or a value is out of range.
    """
    tree = read_recipe(spec or "lpnet-rt")
    origin = spec or "recipe"
    task = tree.get("task", "lpnet-rt")
    flags = read_changes(changes)
    if data is not None:
        flags["data.root"] = data
    if task == "lpnetga":
        return merge(LPNetGARecipe, tree, flags, origin=origin)
    return merge(Recipe, tree, flags, origin=origin)


def read_changes(changes: list[str]) -> dict[str, object]:
    """Read ``table.key=value`` with TOML or JSON values; anything else is a text.

    Raises:
        SettingsError: There is no equals sign.
    """
    flags: dict[str, object] = {}
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals:
            raise SettingsError(f"--set {change}: expected KEY=VALUE, such as optimiser.epochs=20")
        try:
            flags[key.strip()] = json.loads(text)
        except json.JSONDecodeError:
            flags[key.strip()] = text
    return flags


def read_recipe(spec: str) -> dict[str, object]:
    """Read a packaged recipe or a TOML file, as it is written.

    Raises:
        SettingsError: It cannot be read, or is no TOML.
    """
    try:
        if spec in named_recipes():
            return tomllib.loads((resources.files("lpnet_rt.training.recipes") / f"{spec}.toml").read_text("utf-8"))
        return tomllib.loads(Path(spec).read_text(encoding="utf-8"))
    except OSError as error:
        known = ", ".join(named_recipes())
        raise SettingsError(f"{spec}: cannot read the recipe: {error.strerror}; known by name: {known}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{spec}: not a TOML file: {error}") from error
