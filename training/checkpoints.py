"""Checkpoints of a run: written whole or not at all, read without running what is in them."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec
from torch import nn

from lpnet_rt.errors import ModelError, SinkError
from lpnet_rt.networks.folding import absorb_gate
from lpnet_rt.networks.lpnet_rt import LPNetRT
from lpnet_rt.networks.lpnetga import LPNetGA
from lpnet_rt.training.lpnet_rt_task import build_network
from lpnet_rt.training.lpnetga_recipe import LPNetGARecipe
from lpnet_rt.training.lpnetga_task import build_lpnetga
from lpnet_rt.training.recipe import Recipe
from lpnet_rt.training.states import State, first_line, read_state, write_state

__all__ = [
    "BEST",
    "LAST",
    "AnyRecipe",
    "State",
    "claim",
    "decode_recipe",
    "load_checkpoint",
    "load_lpnetga_checkpoint",
    "read_state",
    "write_state",
]

LAST = "last.pt"
BEST = "best.pt"
_RECIPE = "recipe.json"

AnyRecipe = Recipe | LPNetGARecipe
_Network = TypeVar("_Network", bound=nn.Module)


class _Head(msgspec.Struct):
    """The first thing to know of a recipe; recipes of LPNet-RT did not always say it."""

    task: str = "lpnet-rt"


def decode_recipe(text: str | bytes) -> AnyRecipe:
    """Read a recipe from JSON.

    Raises:
        msgspec.MsgspecError: It is none.
    """
    task = msgspec.json.decode(text, type=_Head).task
    if task == "lpnetga":
        return msgspec.json.decode(text, type=LPNetGARecipe)
    return msgspec.json.decode(text, type=Recipe)


def claim(folder: Path, recipe: AnyRecipe) -> None:
    """Write the recipe beside the run, or make sure that it is still the same.

    Raises:
        ModelError: ``folder`` holds a run with another recipe.
        SinkError: ``folder`` cannot be written.
    """
    path = folder / _RECIPE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_bytes(msgspec.json.format(msgspec.json.encode(recipe), indent=2))
            return
        kept = decode_recipe(path.read_bytes())
    except OSError as error:
        raise SinkError(f"{folder}: the run cannot be written: {error.strerror}; name another folder") from error
    except msgspec.MsgspecError as error:
        raise ModelError(f"{path}: not a recipe: {error}; choose another folder") from error
    if kept != recipe:
        raise ModelError(f"{folder}: holds a run with another recipe ({_RECIPE}); choose another folder")


def load_checkpoint(path: Path) -> LPNetRT:
    """Read a checkpoint's averaged weights into a network in evaluation mode.

    Raises:
        ModelError: The file is missing or no checkpoint of LPNet-RT.
    """
    state, recipe = _with_recipe(path)
    if not isinstance(recipe, Recipe):
        raise ModelError(f"{path}: expected a checkpoint of LPNet-RT, found one of LPNetGA; see 'import-weights'")
    return _filled(build_network(recipe.network), state, path)


def load_lpnetga_checkpoint(path: Path) -> LPNetGA:
    """Read a checkpoint of a run of LPNetGA into a network in evaluation mode, its gate as published.

    Raises:
        ModelError: The file is missing or no checkpoint of LPNetGA.
    """
    state, recipe = _with_recipe(path)
    if not isinstance(recipe, LPNetGARecipe):
        raise ModelError(f"{path}: expected a checkpoint of LPNetGA, found one of LPNet-RT; see 'export'")
    return absorb_gate(_filled(build_lpnetga(recipe.network), state, path))


def _with_recipe(path: Path) -> tuple[State, AnyRecipe]:
    state = read_state(path)
    try:
        return state, decode_recipe(str(state["recipe"]))
    except msgspec.MsgspecError as error:
        raise ModelError(f"{path}: expected a checkpoint of this version: {first_line(error)}") from error


def _filled(network: _Network, state: State, path: Path) -> _Network:
    try:
        network.load_state_dict(state["average"])  # type: ignore[arg-type]
    except (RuntimeError, AttributeError, TypeError) as error:
        raise ModelError(f"{path}: the weights do not fit the recipe beside them: {first_line(error)}") from error
    return network.eval()
