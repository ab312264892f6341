"""Layouts with one folder of images and one of masks: SIRST v1 and v2, NUDT-SIRST, IRSTD-1k, and the plain one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from lpnet_rt.training.data.data_set import DataSet, Layout, list_entries
from lpnet_rt.training.data.files import MASK_ENDINGS, files_by_stem, find_mask

__all__ = ["IRSTD_1K", "NUDT_SIRST", "PLAIN", "SIRST_V1", "SIRST_V2", "pair_folders", "plain_splits"]

_Splits = Callable[[Path], Mapping[str, Path]]
_ALL = ("train", "val", "test")


def plain_splits(root: Path) -> dict[str, Path]:
    """Return every .txt of the root, of splits/ and of img_idx/, by stem."""
    paths = [path for folder in (root, root / "splits", root / "img_idx") for path in sorted(folder.glob("*.txt"))]
    # Unions of other splits, as some data sets bring them, would make every image stand in two.
    return {path.stem: path for path in paths if not path.stem.startswith(("trainval", "readme", "README"))}


def pair_folders(root: Path, key: str, folders: tuple[Path, Path], splits: Mapping[str, Path]) -> DataSet:
    """Pair the images of one folder with the masks of another, by split; without splits, every image is taken.

    Raises:
        DataError: A folder or a split file cannot be read.
    """
    return _paired(root, key, (files_by_stem(folders[0]), files_by_stem(folders[1])), splits)


def _paired(
    root: Path, key: str, files: tuple[dict[str, Path], dict[str, Path]], splits: Mapping[str, Path]
) -> DataSet:
    images, masks = files
    entries = list_entries(images, lambda stem: find_mask(masks, stem), splits)
    wanted = {stem + ending for stem in images for ending in MASK_ENDINGS}
    strays = tuple(path for stem, path in masks.items() if stem not in wanted)
    return DataSet(root, key, entries, strays)


def _first(candidates: Mapping[str, tuple[str, ...]]) -> _Splits:
    """Of each split's possible files, take the first that is there."""

    def find(root: Path) -> dict[str, Path]:
        found = {
            name: next((root / p for p in paths if (root / p).is_file()), None) for name, paths in candidates.items()
        }
        return {name: path for name, path in found.items() if path is not None}

    return find


def _layout(
    key: str, folders: tuple[str, str], splits: _Splits, is_it: Callable[[Path], bool] = lambda root: True
) -> Layout:
    """A layout by its folders of images and masks; ``is_it`` tells it from others with the same folders."""
    images_at, masks_at = folders

    def matches(root: Path) -> bool:
        return (root / images_at).is_dir() and (root / masks_at).is_dir() and is_it(root)

    def open_folder(root: Path, given: Mapping[str, Path]) -> DataSet:
        return pair_folders(root, key, (root / images_at, root / masks_at), given or splits(root))

    return Layout(key, matches, open_folder)


SIRST_V1 = _layout(
    "sirst-v1",
    ("images", "masks"),
    _first({name: (f"idx_427/{name}.txt", f"{name}.txt") for name in _ALL}),
    lambda root: next((root / "masks").glob("*_pixels0.*"), None) is not None,
)
SIRST_V2 = _layout(
    "sirst-v2", ("mixed", "annotations/masks"), _first({name: (f"splits/{name}_full.txt",) for name in _ALL})
)
NUDT_SIRST = _layout(
    "nudt-sirst",
    ("images", "masks"),
    _first({n: (f"50_50/{n}.txt", f"img_idx/{n}_NUDT-SIRST.txt", f"{n}.txt") for n in ("train", "test")}),
    lambda root: (root / "50_50").is_dir() or (root / "img_idx" / "train_NUDT-SIRST.txt").exists(),
)
IRSTD_1K = _layout(
    "irstd-1k",
    ("IRSTD1k_Img", "IRSTD1k_Label"),
    _first(
        {
            "train": ("trainval.txt", "train.txt", "img_idx/train_IRSTD-1K.txt", "img_idx/train_IRSTD-1k.txt"),
            "test": ("test.txt", "img_idx/test_IRSTD-1K.txt", "img_idx/test_IRSTD-1k.txt"),
        }
    ),
)


def _plain_matches(root: Path) -> bool:
    return (root / "images").is_dir() and ((root / "masks").is_dir() or (root / "boxes").is_dir())


def _open_plain(root: Path, given: Mapping[str, Path]) -> DataSet:
    """Images with masks, boxes or both; where there are boxes, an image may do without a mask."""
    boxes = files_by_stem(root / "boxes", (".csv",)) if (root / "boxes").is_dir() else {}
    masks = root / "masks" if (root / "masks").is_dir() or not boxes else None
    images = files_by_stem(root / "images")
    found = {} if masks is None else files_by_stem(masks)
    data = _paired(root, "plain", (images, found), given or plain_splits(root))
    return replace(data, entries=tuple(replace(entry, boxes=boxes.get(entry.name)) for entry in data.entries))


PLAIN = Layout("plain", _plain_matches, _open_plain)
