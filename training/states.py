"""The state of a run in a file: written whole or not at all, read without running what is in it."""

from __future__ import annotations

from pathlib import Path

import torch

from lpnet_rt.errors import ModelError, SinkError

__all__ = ["State", "first_line", "read_state", "write_state"]

State = dict[str, object]


def write_state(path: Path, state: State) -> None:
    """Write a checkpoint so that a kill leaves either the old or the new one.

    Raises:
        SinkError: It cannot be written.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        torch.save(state, partial)
        partial.replace(path)
    except (OSError, RuntimeError) as error:
        raise SinkError(f"{path}: the checkpoint cannot be written: {error}; the one before it stays") from error


def read_state(path: Path) -> State:
    """Read a checkpoint onto the processor.

    Raises:
        ModelError: The file is missing, damaged or no checkpoint.
    """
    try:
        state: State = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict) or "recipe" not in state or "average" not in state:
            raise ValueError("no recipe and weights in it")
    except FileNotFoundError as error:
        raise ModelError(f"{path}: expected a checkpoint, found no file") from error
    except Exception as error:  # torch raises whatever its parts raise on a damaged file
        raise ModelError(f"{path}: expected a checkpoint of a run: {first_line(error)}") from error
    return state


def first_line(error: Exception) -> str:
    """The first line of what an error says, for a message of one line."""
    return str(error).splitlines()[0][:160] if str(error) else type(error).__name__
