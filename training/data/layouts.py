"""The layouts of data sets that are read; docs/data.md says how each lies on disk.

To add one, write a module with a :class:`Layout` and name it in ``_LAYOUTS``: ``train``, ``data check`` and
``data convert`` find it there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lpnet_rt.errors import DataError
from lpnet_rt.training.data.clips import CLIPS
from lpnet_rt.training.data.data_set import DataSet
from lpnet_rt.training.data.folders import IRSTD_1K, NUDT_SIRST, PLAIN, SIRST_V1, SIRST_V2
from lpnet_rt.training.data.mdvsfa import MDVSFA
from lpnet_rt.training.data.paper import PAPER

__all__ = ["LAYOUTS", "open_data_set", "recognise"]

# In the order in which a folder is compared with them: the plain layout looks like parts of others.
_LAYOUTS = {layout.key: layout for layout in (MDVSFA, IRSTD_1K, SIRST_V2, PAPER, SIRST_V1, NUDT_SIRST, PLAIN, CLIPS)}
LAYOUTS: tuple[str, ...] = tuple(_LAYOUTS)


def recognise(root: Path) -> str:
    """Return the key of a folder's layout.

    Raises:
        DataError: The folder is none, or lies in no known layout.
    """
    if not root.is_dir():
        raise DataError(f"{root}: expected the folder of a data set, found {'a file' if root.exists() else 'nothing'}")
    key = next((layout.key for layout in _LAYOUTS.values() if layout.matches(root)), None)
    if key is None:
        known = ", ".join(LAYOUTS)
        raise DataError(f"{root}: expected a data set in a known layout ({known}), found none; see docs/data.md")
    return key


def open_data_set(root: Path, layout: str | None = None, splits: Mapping[str, Path] | None = None) -> DataSet:
    """List the frames of a data set; no image is read.

    Args:
        root: Its folder.
        layout: Key of its layout; None recognises it.
        splits: Split files by name that stand in for the data set's own.

    Raises:
        DataError: The layout is unknown or its folders are not there, or a split file cannot be read.
    """
    key = layout or recognise(root)
    if key not in _LAYOUTS:
        raise DataError(f"layout: expected one of {', '.join(LAYOUTS)}, found {key}")
    return _LAYOUTS[key].open(root, splits or {})
