"""The layout of the paper's own program: a folder for each split, masks in its ``gt/``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lpnet_rt.training.data.data_set import DataSet, Entry, Layout
from lpnet_rt.training.data.files import files_by_stem

__all__ = ["PAPER"]

_SPLITS = ("train", "test")


def _open(root: Path, splits: Mapping[str, Path]) -> DataSet:
    entries: list[Entry] = []
    strays: list[Path] = []
    for split in _SPLITS:
        if not (root / split).is_dir():
            continue
        images, masks = files_by_stem(root / split), files_by_stem(root / split / "gt")
        entries += [Entry(name, split, path, masks.get(f"{name}_gt")) for name, path in images.items()]
        strays += [path for stem, path in masks.items() if stem.removesuffix("_gt") not in images or "_gt" not in stem]
    return DataSet(root, "paper", tuple(entries), tuple(strays))


PAPER = Layout("paper", lambda root: any((root / split / "gt").is_dir() for split in _SPLITS), _open)
