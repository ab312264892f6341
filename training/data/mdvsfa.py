"""MFIRST, the data set of MDvsFA: training images and masks in one folder, test images and masks in two."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lpnet_rt.errors import DataError
from lpnet_rt.training.data.data_set import DataSet, Entry, Layout
from lpnet_rt.training.data.files import files_by_stem

__all__ = ["MDVSFA"]


def _base(root: Path) -> Path | None:
    return next((base for base in (root / "data", root) if _is_mdvsfa(base)), None)


def _is_mdvsfa(base: Path) -> bool:
    if (base / "test_org").is_dir() and (base / "test_gt").is_dir():
        return True
    # The folder's name alone is too common to tell.
    return next((base / "training").glob("*_1.*"), None) is not None


def _open(root: Path, splits: Mapping[str, Path]) -> DataSet:
    base = _base(root)
    if base is None:
        raise DataError(f"{root}: expected training/, test_org/ and test_gt/ (or data/ with them), found none of them")
    entries: list[Entry] = []
    strays: list[Path] = []

    def add(split: str, images: dict[str, Path], masks: dict[str, Path]) -> None:
        entries.extend(Entry(name, split, path, masks.get(name)) for name, path in images.items())
        strays.extend(path for name, path in masks.items() if name not in images)

    if (base / "training").is_dir():
        files = files_by_stem(base / "training")
        numbered = ({s.removesuffix(end): path for s, path in files.items() if s.endswith(end)} for end in ("_1", "_2"))
        add("train", *numbered)
    if (base / "test_org").is_dir():
        add("test", files_by_stem(base / "test_org"), files_by_stem(base / "test_gt"))
    return DataSet(root, "mdvsfa", tuple(entries), tuple(strays))


MDVSFA = Layout("mdvsfa", lambda root: _base(root) is not None, _open)
