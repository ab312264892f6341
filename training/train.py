"""``lpnet-rt train``: a recipe from file and flags, then the loop."""

from __future__ import annotations

import argparse
import json
import tomllib
from pathlib import Path

from lpnet_rt.training.recipe import Recipe

from lpnet_rt.errors import SettingsError
from lpnet_rt.settings import merge

__all__ = ["add_arguments", "load_recipe", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    parser.add_argument("--data", metavar="DIR", help="folder with sirst/ and irvideo/ (sets data.sirst, data.video)")
    parser.add_argument(
        "--out", metavar="DIR", default="runs/lpnet-rt", help="folder of the run (default: %(default)s)"
    )
    parser.add_argument("--recipe", metavar="FILE", help="TOML file with a recipe")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="one value of the recipe")
    parser.add_argument("--epochs-now", type=int, metavar="N", help="stop after N epochs; the same command goes on")


def run(args: argparse.Namespace) -> int:
    """Train."""
    from lpnet_rt.training.loop import train

    best = train(load_recipe(args.recipe, args.data, args.set), Path(args.out), args.epochs_now)
    print(f"best by validation: {best}; next: lpnet-rt export --checkpoint {best} --out model.onnx")
    return 0


def load_recipe(path: str | None, data: str | None, changes: list[str]) -> Recipe:
    """Build a recipe from a file, the data folder and single values.

    Args:
        path: TOML file, or None for the default recipe.
        data: Folder with ``sirst/`` and ``irvideo/``, or None.
        changes: ``table.key=value`` with a TOML or JSON value.

    Raises:
        SettingsError: The file cannot be read, a key is unknown or a value is out of range.
    """
    tree: dict[str, object] = {}
    if path is not None:
        try:
            tree = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise SettingsError(f"{path}: cannot read the recipe: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{path}: not a TOML file: {error}") from error
    flags: dict[str, object] = {}
    if data is not None:
        flags["data.sirst"] = str(Path(data) / "sirst")
        video = Path(data) / "irvideo"
        flags["data.video"] = str(video) if video.is_dir() else ""
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals:
            raise SettingsError(f"--set {change}: expected KEY=VALUE, such as optimiser.epochs=20")
        try:
            flags[key.strip()] = json.loads(text)
        except json.JSONDecodeError:
            flags[key.strip()] = text
    return merge(Recipe, tree, flags, origin=path or "recipe")
