"""The state of a run in a file: written whole or not at all, read without running what is in it.

A checkpoint is a zip archive of PyTorch's. PyTorch does not look at the checksums in it, so damage would show only in
what the network finds; here every member is compared with its checksum before anything is loaded.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from lpnet_rt.errors import ModelError, SinkError, reason
from lpnet_rt.files import write_whole
from lpnet_rt.networks.checkpoint_check import check_checkpoint

__all__ = ["State", "read_state", "write_state"]

State = dict[str, object]

_WEIGHTS = ("average", "network")


def write_state(path: Path, state: State) -> None:
    """Write a checkpoint so that a kill leaves either the old or the new one.

    Raises:
        SinkError: It cannot be written.
    """
    content = io.BytesIO()
    torch.save(state, content)
    try:
        write_whole(path, content.getvalue(), "checkpoint")
    except SinkError as error:
        raise SinkError(f"{error}; the one before it stays") from error


def read_state(path: Path) -> State:
    """Read a checkpoint onto the processor.

    Raises:
        ModelError: The file is missing, damaged or no checkpoint, or holds weights that are not finite.
    """
    if not path.is_file():
        raise ModelError(
            f"{path}: expected a checkpoint, found {'no file' if not path.exists() else 'no regular file'}"
        )
    try:
        _refuse_damage(path)
        check_checkpoint(path)
        state: State = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict) or "recipe" not in state or "average" not in state:
            raise ValueError("no recipe and weights in it")
    except ModelError:
        raise
    except Exception as error:  # torch raises whatever its parts raise on a damaged file
        raise ModelError(f"{path}: expected a checkpoint of a run: {reason(error)}") from error
    for part in _WEIGHTS:
        _refuse_broken(path, state.get(part, {}))
    return state


def _refuse_damage(path: Path) -> None:
    """Compare every member of the archive with its checksum, and the sizes declared with the file's own.

    PyTorch stores members as they are, so together they are smaller than the file; compressed ones could grow without
    bounds when they are loaded.
    """
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        packed = next((m.filename for m in members if m.compress_type != zipfile.ZIP_STORED), None)
        if packed is not None or sum(member.file_size for member in members) > path.stat().st_size:
            raise ModelError(
                f"{path}: expected a checkpoint as PyTorch writes it, found one that is larger than its file; "
                "take another"
            )
        try:
            damaged = archive.testzip()
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError) as error:
            damaged = reason(error)
    if damaged is not None:
        raise ModelError(f"{path}: the checkpoint is damaged ({damaged} is not what was written); {_mend(path)}")


def _mend(path: Path) -> str:
    """What to do; every ``best.pt`` holds a whole state, that of an earlier epoch."""
    best = path.with_name("best.pt")
    if path.name == "last.pt" and best.is_file():
        return f"copy {best} over it to resume from there, or start in another folder"
    return "take a copy of it, or another checkpoint"


def _refuse_broken(path: Path, weights: object) -> None:
    """Refuse weights that are not ordinary tensors, and those that are not finite."""
    if not isinstance(weights, Mapping):
        raise ModelError(f"{path}: expected a checkpoint of a run: the weights are not tensors by name")
    for name, value in weights.items():
        if not isinstance(value, Tensor) or value.layout != torch.strided or value.device.type != "cpu":
            raise ModelError(f"{path}: {str(name)[:60]!r}: expected a tensor in the checkpoint, found something else")
        # A small storage can pose as a huge tensor by steps of nothing.
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise ModelError(
                f"{path}: {str(name)[:60]!r}: expected a tensor as large as its values, found a larger one"
            )
        if not bool(torch.isfinite(value).all()):
            raise ModelError(
                f"{path}: {str(name)[:60]!r}: expected finite weights, found NaN or infinity; {_mend(path)}"
            )
