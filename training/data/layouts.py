"""How published data sets lie on disk, and the two layouts this project reads and writes.

| key | images | masks | splits |
| --- | --- | --- | --- |
| sirst-v1 | images/NAME.png | masks/NAME_pixels0.png | idx_427/{train,val,test}.txt, or in the root |
| sirst-v2 | mixed/NAME.png | annotations/masks/NAME_pixels0.png | splits/{train,val,test}_full.txt |
| mdvsfa | data/training/NAME_1.png | data/training/NAME_2.png | by folder: train |
| mdvsfa | data/test_org/NAME.png | data/test_gt/NAME.png | by folder: test |
| nudt-sirst | images/NAME.png | masks/NAME.png | 50_50/{train,test}.txt, or img_idx/{train,test}_NUDT-SIRST.txt |
| irstd-1k | IRSTD1k_Img/NAME.png | IRSTD1k_Label/NAME.png | trainval.txt and test.txt, or img_idx/... |
| plain | images/NAME.* | masks/NAME.* | every .txt of the root, splits/ and img_idx/, each a split |
| paper | {train,test}/NAME.bmp | {train,test}/gt/NAME_gt.bmp | by folder |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lpnet_rt.errors import DataError
from lpnet_rt.training.data.pairs import MASK_ENDINGS, files_by_stem, find_mask, read_split

__all__ = ["LAYOUTS", "DataSet", "Entry", "open_data_set", "recognise"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One frame of a data set.

    Attributes:
        name: Its name, without ending or suffix.
        split: Split it belongs to, or None where the data set has none.
        image: File of the image, or None where a split names one that is not there.
        mask: File of the mask, or None where there is none.
    """

    name: str
    split: str | None
    image: Path | None
    mask: Path | None


@dataclass(frozen=True, slots=True)
class DataSet:
    """What was found in a folder.

    Attributes:
        root: The folder.
        layout: Key of its layout.
        entries: One per split and image.
        stray_masks: Masks that belong to no image.
    """

    root: Path
    layout: str
    entries: tuple[Entry, ...]
    stray_masks: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class _Folders:
    """A layout of one folder of images, one of masks, and split files; of several candidates the first is taken."""

    images: str
    masks: str
    splits: Mapping[str, tuple[str, ...]]


_FOLDERS = {
    "sirst-v1": _Folders(
        "images",
        "masks",
        {name: (f"idx_427/{name}.txt", f"{name}.txt") for name in ("train", "val", "test")},
    ),
    "sirst-v2": _Folders(
        "mixed",
        "annotations/masks",
        {name: (f"splits/{name}_full.txt",) for name in ("train", "val", "test")},
    ),
    "nudt-sirst": _Folders(
        "images",
        "masks",
        {n: (f"50_50/{n}.txt", f"img_idx/{n}_NUDT-SIRST.txt", f"{n}.txt") for n in ("train", "test")},
    ),
    "irstd-1k": _Folders(
        "IRSTD1k_Img",
        "IRSTD1k_Label",
        {
            "train": ("trainval.txt", "train.txt", "img_idx/train_IRSTD-1K.txt", "img_idx/train_IRSTD-1k.txt"),
            "test": ("test.txt", "img_idx/test_IRSTD-1K.txt", "img_idx/test_IRSTD-1k.txt"),
        },
    ),
}

LAYOUTS: tuple[str, ...] = (*_FOLDERS, "mdvsfa", "plain", "paper")


def recognise(root: Path) -> str:
    """Return the key of a folder's layout.

    Raises:
        DataError: The folder is none, or lies in no known layout.
    """
    if not root.is_dir():
        raise DataError(f"{root}: expected the folder of a data set, found {'a file' if root.exists() else 'nothing'}")
    if _mdvsfa_root(root) is not None:
        return "mdvsfa"
    for key in ("irstd-1k", "sirst-v2"):
        if (root / _FOLDERS[key].images).is_dir() and (root / _FOLDERS[key].masks).is_dir():
            return key
    if any((root / split / "gt").is_dir() for split in ("train", "test")):
        return "paper"
    if (root / "images").is_dir() and (root / "masks").is_dir():
        if next((root / "masks").glob("*_pixels0.*"), None) is not None:
            return "sirst-v1"
        halves = (root / "50_50").is_dir() or (root / "img_idx" / "train_NUDT-SIRST.txt").exists()
        return "nudt-sirst" if halves else "plain"
    raise DataError(
        f"{root}: expected a data set in a known layout ({', '.join(LAYOUTS)}), found none; see docs/training.md"
    )


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
    if key not in LAYOUTS:
        raise DataError(f"layout: expected one of {', '.join(LAYOUTS)}, found {key}")
    if key == "mdvsfa":
        return _open_mdvsfa(root)
    if key == "paper":
        return _open_paper(root)
    folders = _FOLDERS.get(key) or _Folders("images", "masks", {})
    found = dict(splits) if splits else _plain_splits(root) if key == "plain" else _first_splits(root, folders.splits)
    images, masks = files_by_stem(root / folders.images), files_by_stem(root / folders.masks)
    entries: list[Entry] = []
    for split, path in found.items():
        entries += [Entry(stem, split, images.get(stem), find_mask(masks, stem)) for stem in read_split(path)]
    if not found:
        entries = [Entry(stem, None, path, find_mask(masks, stem)) for stem, path in images.items()]
    return DataSet(root, key, tuple(entries), _strays(images, masks))


def _first_splits(root: Path, candidates: Mapping[str, tuple[str, ...]]) -> dict[str, Path]:
    found = {name: next((root / p for p in paths if (root / p).is_file()), None) for name, paths in candidates.items()}
    return {name: path for name, path in found.items() if path is not None}


def _plain_splits(root: Path) -> dict[str, Path]:
    paths = [path for folder in (root, root / "splits", root / "img_idx") for path in sorted(folder.glob("*.txt"))]
    # Unions of other splits, as some data sets bring them, would make every image stand in two.
    return {path.stem: path for path in paths if not path.stem.startswith(("trainval", "readme", "README"))}


def _strays(images: Mapping[str, Path], masks: Mapping[str, Path]) -> tuple[Path, ...]:
    wanted = {stem + ending for stem in images for ending in MASK_ENDINGS}
    return tuple(path for stem, path in masks.items() if stem not in wanted)


def _mdvsfa_root(root: Path) -> Path | None:
    return next((base for base in (root / "data", root) if _is_mdvsfa(base)), None)


def _is_mdvsfa(base: Path) -> bool:
    if (base / "test_org").is_dir() and (base / "test_gt").is_dir():
        return True
    # The folder's name alone is too common to tell.
    return next((base / "training").glob("*_1.*"), None) is not None


def _open_mdvsfa(root: Path) -> DataSet:
    base = _mdvsfa_root(root)
    if base is None:
        raise DataError(f"{root}: expected training/, test_org/ and test_gt/ (or data/ with them), found none of them")
    entries: list[Entry] = []
    strays: list[Path] = []
    if (base / "training").is_dir():
        files = files_by_stem(base / "training")
        images = {stem.removesuffix("_1"): path for stem, path in files.items() if stem.endswith("_1")}
        masks = {stem.removesuffix("_2"): path for stem, path in files.items() if stem.endswith("_2")}
        entries += [Entry(name, "train", path, masks.get(name)) for name, path in images.items()]
        strays += [path for name, path in masks.items() if name not in images]
    if (base / "test_org").is_dir():
        images, masks = files_by_stem(base / "test_org"), files_by_stem(base / "test_gt")
        entries += [Entry(name, "test", path, masks.get(name)) for name, path in images.items()]
        strays += [path for name, path in masks.items() if name not in images]
    return DataSet(root, "mdvsfa", tuple(entries), tuple(strays))


def _open_paper(root: Path) -> DataSet:
    entries: list[Entry] = []
    strays: list[Path] = []
    for split in ("train", "test"):
        if not (root / split).is_dir():
            continue
        images, masks = files_by_stem(root / split), files_by_stem(root / split / "gt")
        entries += [Entry(name, split, path, masks.get(f"{name}_gt")) for name, path in images.items()]
        strays += [path for stem, path in masks.items() if stem.removesuffix("_gt") not in images or "_gt" not in stem]
    return DataSet(root, "paper", tuple(entries), tuple(strays))
