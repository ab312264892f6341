"""Weights of LPNetGA: import published checkpoints as safetensors with a model card, and load them.

A checkpoint is a pickle, which can run code. Only tensors are read from it; one that refers to anything else is refused
before anything runs.
"""

from __future__ import annotations

import hashlib
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path

import msgspec
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from lpnet_rt.errors import ModelError, SettingsError, reason
from lpnet_rt.files import write_whole
from lpnet_rt.models.lpnetga_card import LPNETGA, LPNetGACard, Statistics, card_path, read_card, read_weights
from lpnet_rt.networks.checkpoint_check import check_checkpoint
from lpnet_rt.networks.lpnetga.network import LPNetGA
from lpnet_rt.networks.lpnetga.patches import PatchGrid

__all__ = [
    "LICENCE_NOTE",
    "import_weights",
    "load_lpnetga",
    "network_of",
    "read_tensors",
    "save_lpnetga",
]

LICENCE_NOTE = "no licence is stated for the published weights"


def import_weights(
    checkpoint: Path, out: Path, *, name: str | None = None, statistics: Statistics = "running", threshold: float = 0.5
) -> LPNetGACard:
    """Read a published checkpoint and write it as safetensors with a model card.

    Args:
        checkpoint: A state dict written by ``torch.save``; keys may begin with ``module.``. Nothing in it is run.
        out: File to write, ending in ``.safetensors``; the card goes beside it, ending in ``.json``.
        name: Name of the model; the checkpoint's stem by default.
        statistics: Statistics that batch norm uses in this model.
        threshold: Score above which a pixel is a detection, in (0, 1].

    Returns:
        The card as written.

    Raises:
        ModelError: The checkpoint is missing, damaged, holds more than tensors or belongs to another network.
        SettingsError: ``out`` has another ending, or the threshold is out of range.
        SinkError: ``out`` cannot be written.
    """
    model = network_of(read_tensors(checkpoint), checkpoint)
    card = LPNetGACard(
        name=name or checkpoint.stem, sha256="", licence=LICENCE_NOTE, statistics=statistics, threshold=threshold
    )
    return save_lpnetga(model, out, card)


def save_lpnetga(model: LPNetGA, out: Path, card: LPNetGACard) -> LPNetGACard:
    """Write a network's weights and its card; each file is complete or absent.

    Args:
        model: Network whose batch norm is not folded.
        out: File to write, ending in ``.safetensors``.
        card: Card to write beside it; hash, patch sizes and the number of trained values are filled in.

    Returns:
        The card as written.

    Raises:
        SettingsError: ``out`` has another ending, or the card's threshold is out of range.
        SinkError: ``out`` cannot be written.
    """
    if out.suffix != ".safetensors":
        raise SettingsError(f"{out}: expected a name that ends in .safetensors, found {out.suffix or 'no ending'!r}")
    if not 0 < card.threshold <= 1:
        raise SettingsError(f"threshold: expected over 0 and at most 1, found {card.threshold}")
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    content = safetensors.torch.save(state, metadata={"network": LPNETGA})
    grid = model.grid
    card = msgspec.structs.replace(
        card,
        sha256=hashlib.sha256(content).hexdigest(),
        patch_px=grid.patch_px,
        stride_px=grid.stride_px,
        padding_px=grid.padding_px,
        parameters=sum(value.numel() for value in model.parameters()),
    )
    write_whole(out, content, "--out")
    write_whole(card_path(out), msgspec.json.format(msgspec.json.encode(card), indent=2) + b"\n", "--out")
    return card


def load_lpnetga(path: Path) -> LPNetGA:
    """Read a network from safetensors and the card beside it.

    Args:
        path: The ``.safetensors`` file.

    Returns:
        The network on the CPU, in evaluation mode, with running statistics; see its card (:func:`read_card`) for how to
        use it.

    Raises:
        ModelError: A file is missing, damaged, changed since its card was written or of another network.
    """
    card = read_card(path)
    content = read_weights(path)
    found = hashlib.sha256(content).hexdigest()
    if found != card.sha256:
        raise ModelError(
            f"{path}: expected the weights its card describes (sha256 {card.sha256[:12]}...), found {found[:12]}...; "
            "import the checkpoint again"
        )
    try:
        state = safetensors.torch.load(content)
    except SafetensorError as error:
        raise ModelError(f"{path}: expected safetensors, found a damaged file: {reason(error)}") from error
    try:
        model = LPNetGA(PatchGrid(card.patch_px, card.stride_px, card.padding_px))
    except SettingsError as error:
        raise ModelError(f"{card_path(path)}: {error}") from error
    model.load_state_dict(_checked(state, path))
    return model.eval()


def network_of(content: object, path: Path) -> LPNetGA:
    """Build a network from a published checkpoint's content.

    Args:
        content: Result of :func:`read_tensors`.
        path: Path of the checkpoint, for messages.

    Returns:
        The network on the CPU, in evaluation mode.

    Raises:
        ModelError: It is not the state dict of LPNetGA; the message names the keys.
    """
    model = LPNetGA()
    model.load_state_dict(_checked(content, path))
    return model.eval()


def read_tensors(path: Path) -> object:
    """Read the tensors of a checkpoint, without running code in it.

    Raises:
        ModelError: The file is missing or damaged, or holds more than tensors and plain values.
    """
    check_checkpoint(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch refuses what it warns of, with a better message
            content: object = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path}: expected tensors and nothing else; refused, nothing was run: {_cause(error)}"
        ) from error
    except Exception as error:  # a damaged file can raise anything
        raise ModelError(
            f"{path}: expected a checkpoint, found a damaged or truncated file: {reason(error)}"
        ) from error
    return content


def _checked(content: object, path: Path) -> dict[str, Tensor]:
    """Return the state dict of LPNetGA in a checkpoint, without ``module.``; raises ModelError if it does not match."""
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ModelError(f"{path}: expected a state dict of tensors, found {_what(content)}")
    state = {str(key).removeprefix("module."): value for key, value in content.items()}
    expected = LPNetGA().state_dict()
    unexpected = [key for key in state if key not in expected]
    missing = [key for key in expected if key not in state]
    if unexpected or missing:
        found = [f"{kind} {_some(keys)}" for kind, keys in (("unexpected", unexpected), ("missing", missing)) if keys]
        raise ModelError(f"{path}: expected the {len(expected)} keys of {LPNETGA}, found {'; '.join(found)}")
    for key, value in expected.items():
        if state[key].shape != value.shape:
            raise ModelError(f"{path}: {key}: expected shape {tuple(value.shape)}, found {tuple(state[key].shape)}")
        if not torch.isfinite(state[key]).all():
            raise ModelError(f"{path}: {key}: expected finite weights, found NaN or infinity")
    return state


def _what(content: object) -> str:
    if not isinstance(content, Mapping):
        return f"a {type(content).__name__}"
    strange = next(key for key, value in content.items() if not isinstance(value, Tensor))
    return f"a {type(content[strange]).__name__} under {str(strange)[:60]!r}"


def _some(keys: list[str]) -> str:
    return keys[0] if len(keys) == 1 else f"{keys[0]} and {len(keys) - 1} more"


def _cause(error: Exception) -> str:
    """Return the line of torch's long message that names what the pickle refers to."""
    lines = str(error).splitlines()
    return next((line.strip() for line in lines if "Unsupported" in line or "GLOBAL" in line), lines[0])[:200]
