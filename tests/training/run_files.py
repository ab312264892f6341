"""What a run leaves in its folder, read for comparison."""

from __future__ import annotations

import csv
from pathlib import Path

import torch


def state_of(folder: Path, name: str = "last.pt") -> dict[str, object]:
    """Read a checkpoint of a run."""
    return torch.load(folder / name, weights_only=True)


def same(left: object, right: object) -> bool:
    """Bit for bit."""
    if isinstance(left, torch.Tensor):
        return isinstance(right, torch.Tensor) and torch.equal(left, right)
    if isinstance(left, dict):
        return isinstance(right, dict) and left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))  # type: ignore[arg-type]
    return left == right


def log_of(folder: Path) -> list[dict[str, str]]:
    """Rows of ``log.csv`` without the times."""
    with (folder / "log.csv").open(newline="") as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]
