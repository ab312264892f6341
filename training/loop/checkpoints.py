"""Checkpoints of a run: written whole or not at all, read without running what is in them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import msgspec
import torch
from torch import Tensor, nn

from lpnet_rt.errors import ModelError, SinkError, reason
from lpnet_rt.files import read_limited, write_whole
from lpnet_rt.networks.lpnet_rt.network import LPNetRT
from lpnet_rt.networks.lpnetga.folding import absorb_gate
from lpnet_rt.networks.lpnetga.network import LPNetGA
from lpnet_rt.training.recipes.lpnet_rt import NetworkRecipe, Recipe
from lpnet_rt.training.recipes.lpnetga import LPNetGANetworkRecipe, LPNetGARecipe
from lpnet_rt.training.states import State, read_state, write_state
from lpnet_rt.training.tasks.lpnet_rt import build_network
from lpnet_rt.training.tasks.lpnetga import build_lpnetga

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
    "refuse_other",
    "write_state",
]

LAST = "last.pt"
BEST = "best.pt"
_RECIPE = "recipe.json"
_RECIPE_LIMIT_BYTES = 1 << 20

AnyRecipe = Recipe | LPNetGARecipe
_Network = TypeVar("_Network", bound=nn.Module)


class _Head(msgspec.Struct):
    """The first thing to know of a recipe; recipes of LPNet-RT did not always say it."""

    task: str = "lpnet-rt"
    network: dict[str, object] = {}


def decode_recipe(text: str | bytes) -> AnyRecipe:
    """Read a recipe from JSON.

    Raises:
        msgspec.MsgspecError: It is none.
    """
    task = msgspec.json.decode(text, type=_Head).task
    if task == "lpnetga":
        return msgspec.json.decode(text, type=LPNetGARecipe)
    return msgspec.json.decode(text, type=Recipe)


def refuse_other(folder: Path, recipe: AnyRecipe) -> None:
    """Make sure that a run of this recipe can be started, or gone on with, in a folder; nothing is written.

    A run that has no checkpoint yet may be started again with another recipe.

    Raises:
        ModelError: ``folder`` holds a run with another recipe.
        SinkError: ``folder`` holds other files, or cannot be made or written.
    """
    try:
        _refuse_unwritable(folder)
        names = {path.name for path in folder.iterdir() if path.name[0] != "."} if folder.is_dir() else set()
        if names and _RECIPE not in names:
            raise SinkError(
                f"{folder}: expected an empty folder or that of a run, found other files; name another folder"
            )
        if not names & {LAST, BEST}:
            return
        content = read_limited(folder / _RECIPE, _RECIPE_LIMIT_BYTES, "recipe", ModelError)
        kept = decode_recipe(content)
    except OSError as error:
        raise SinkError(f"{folder}: the run cannot be written: {reason(error)}; name another folder") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ModelError(f"{folder / _RECIPE}: not a recipe: {reason(error)}; choose another folder") from error
    if kept != recipe:
        raise ModelError(f"{folder}: holds a run with another recipe ({_RECIPE}); choose another folder")


def claim(folder: Path, recipe: AnyRecipe) -> None:
    """Make the folder of a run and write the recipe into it; call it once data and model are ready.

    Raises:
        ModelError: ``folder`` holds a run with another recipe.
        SinkError: ``folder`` holds other files, or cannot be written.
    """
    refuse_other(folder, recipe)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"{folder}: the run cannot be written: {reason(error)}; name another folder") from error
    write_whole(folder / _RECIPE, msgspec.json.format(msgspec.json.encode(recipe), indent=2), "recipe")


def _refuse_unwritable(folder: Path) -> None:
    """Look at the folder, or at what it would be made in."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise SinkError(f"{folder}: the run cannot be written: {there} is no folder; name another folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise SinkError(f"{folder}: the run cannot be written: {there} is read-only; name another folder")


def load_checkpoint(path: Path) -> LPNetRT:
    """Read a checkpoint's averaged weights into a network in evaluation mode.

    Raises:
        ModelError: The file is missing or no checkpoint of LPNet-RT.
    """
    state, network = _with_network(path)
    if not isinstance(network, NetworkRecipe):
        raise ModelError(f"{path}: expected a checkpoint of LPNet-RT, found one of LPNetGA; see 'import-weights'")
    return _filled(lambda: build_network(network), state, path)


def load_lpnetga_checkpoint(path: Path) -> LPNetGA:
    """Read a checkpoint of a run of LPNetGA into a network in evaluation mode, its gate as published.

    Raises:
        ModelError: The file is missing or no checkpoint of LPNetGA.
    """
    state, network = _with_network(path)
    if not isinstance(network, LPNetGANetworkRecipe):
        raise ModelError(f"{path}: expected a checkpoint of LPNetGA, found one of LPNet-RT; see 'export'")
    return absorb_gate(_filled(lambda: build_lpnetga(network), state, path))


def _with_network(path: Path) -> tuple[State, NetworkRecipe | LPNetGANetworkRecipe]:
    """Read a checkpoint, and of its recipe the network only: the other keys may be those of another version."""
    state = read_state(path)
    try:
        head = msgspec.json.decode(str(state["recipe"]), type=_Head)
        kind: type[NetworkRecipe | LPNetGANetworkRecipe] = (
            LPNetGANetworkRecipe if head.task == "lpnetga" else NetworkRecipe
        )
        return state, msgspec.convert(head.network, kind)
    except msgspec.MsgspecError as error:
        raise ModelError(f"{path}: expected a checkpoint of this version: {reason(error)}") from error


def _filled(build: Callable[[], _Network], state: State, path: Path) -> _Network:
    weights = cast("dict[str, Tensor]", state["average"])
    try:
        # First without memory: a recipe can name any size, the weights are as large as their file.
        with torch.device("meta"):
            sizes = {name: value.shape for name, value in build().state_dict().items()}
        if sizes != {name: value.shape for name, value in weights.items()}:
            raise ValueError("other names or sizes")
        network = build()
        network.load_state_dict(weights)
    except (RuntimeError, AttributeError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: the weights do not fit the recipe beside them: {reason(error)}") from error
    return network.eval()
