"""The recipe of a fine-tuning, from the data that are there: what to train on and to choose by, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from lpnet_rt.errors import DataError, SettingsError
from lpnet_rt.finetuning.start import Start
from lpnet_rt.settings import merge
from lpnet_rt.training.commands.train import read_changes, read_recipe
from lpnet_rt.training.data.clips import CLIPS, read_boxes
from lpnet_rt.training.data.data_set import DataSet
from lpnet_rt.training.data.layouts import open_data_set, recognise
from lpnet_rt.training.recipes.data import PartRecipe
from lpnet_rt.training.recipes.lpnet_rt import Recipe

__all__ = ["Amount", "count", "find_parts", "fine_tuning_recipe"]

# At most so many frames of clips are kept in memory, and so many are validated on.
_VIDEO_FRAMES = 1500
_VALIDATION_FRAMES = 200
_CROPS = (320, 640)
_BATCH = 16
# Of the crops of images; the others are of frames without targets, if there are any.
_MASK_SHARE = 0.6


@dataclass(frozen=True, slots=True)
class Amount:
    """How much there is to train on and to choose by.

    Attributes:
        images: Images with masks.
        clip_frames: Labelled frames of clips.
    """

    images: int
    clip_frames: int


def fine_tuning_recipe(start: Start, root: Path, spec: str | None, changes: list[str], licence: str = "") -> Recipe:
    """Return the recipe of a fine-tuning.

    Args:
        start: What it starts from; the network is that one's.
        root: Folder of the data, in any layout of docs/data.md, or of folders that are.
        spec: Recipe whose values come before those that are chosen here, or None.
        changes: ``table.key=value``, which come before both.
        licence: Of the data.

    Raises:
        DataError: There are no data, or they are damaged.
        SettingsError: A value is wrong, or tells of another network.
    """
    flags = read_changes(changes)
    own = read_recipe(spec) if spec else {}
    if own.get("task", "lpnet-rt") != "lpnet-rt" or flags.get("task", "lpnet-rt") != "lpnet-rt":
        raise SettingsError("--from: expected a recipe of LPNet-RT, found one of another network")
    if own.get("network") or any(key.partition(".")[0] == "network" for key in flags):
        raise SettingsError("--from: expected no [network] beside it, found one; the network is the model's")
    data = own.get("data")
    named = {"data.train", "data.validation"} & flags.keys() or (isinstance(data, Mapping) and "train" in data)
    parts = {} if named else find_parts(root, licence)
    tree = _merged(_defaults(start, root, parts), own)
    return merge(Recipe, tree, {**flags, "data.root": str(root)}, origin=spec or "--from")


def find_parts(root: Path, licence: str = "") -> dict[str, list[dict[str, object]]]:
    """Return what is trained on and what is chosen by, as a recipe names them.

    Splits go by their names: those with ``train`` and those with ``val`` in them; ``test`` is left alone. Data sets
    without such splits are trained on whole, and recordings of them are held back.

    Raises:
        DataError: No folder lies in a known layout.
    """
    train: list[PartRecipe] = []
    validation: list[PartRecipe] = []
    for folder, layout in _data_sets(root):
        splits = _splits(open_data_set(folder, layout))
        part = PartRecipe(
            folder="" if folder == root else str(folder.relative_to(root)), layout=layout, licence=licence
        )
        ours = tuple(name for name in splits if "val" not in name and "test" not in name)
        theirs = tuple(name for name in splits if "val" in name and "train" not in name)
        if splits and not ours:
            raise DataError(f"{folder}: expected a split to train on, found {', '.join(splits)}; see docs/data.md")
        train.append(msgspec.structs.replace(part, splits=ours))
        if theirs:
            validation.append(msgspec.structs.replace(part, splits=theirs))
    if validation and len(validation) < len(train):
        raise DataError(
            f"{root}: expected all data sets to have a split to choose by, or none, found both kinds; "
            "add val.txt to the others"
        )
    return {name: msgspec.to_builtins(found) for name, found in (("train", train), ("validation", validation))}


def count(root: Path, parts: Mapping[str, list[dict[str, object]]]) -> Amount:
    """Count the labelled frames of the parts that are trained on.

    Raises:
        DataError: A file of boxes is damaged.
    """
    images = clip_frames = 0
    for part in msgspec.convert(parts.get("train", []), list[PartRecipe]):
        data = open_data_set(root / part.folder, part.layout or None)
        entries = data.of_splits(part.splits)
        if data.clips:
            clip_frames += sum(len(read_boxes(entry.mask)) for entry in entries if entry.mask is not None)
        else:
            images += len(entries)
    return Amount(images, clip_frames)


def _data_sets(root: Path) -> list[tuple[Path, str]]:
    """Folders with their layouts: the root, both as images and as clips, or else the folders below it."""
    try:
        key = recognise(root)
    except DataError:
        if not root.is_dir():
            raise
        below = [found for path in sorted(root.iterdir()) if path.is_dir() for found in _layouts(path)]
        if not below:
            raise
        return below
    return [(root, key), *([(root, CLIPS.key)] if key != CLIPS.key and CLIPS.matches(root) else [])]


def _layouts(folder: Path) -> list[tuple[Path, str]]:
    try:
        return [(folder, recognise(folder))]
    except DataError:
        return []


def _splits(data: DataSet) -> list[str]:
    return sorted({entry.split for entry in data.entries if entry.split is not None})


def _defaults(start: Start, root: Path, parts: Mapping[str, list[dict[str, object]]]) -> dict[str, object]:
    """What fits most data: a low rate, frozen statistics, and steps that grow with the number of frames."""
    amount = count(root, parts)
    both = amount.images > 0 and amount.clip_frames > 0
    crops = min(max(2 * (amount.images + amount.clip_frames), _CROPS[0]), _CROPS[1]) // (2 if both else 1)
    masks = _in_batches(_MASK_SHARE * crops)
    return {
        "task": "lpnet-rt",
        "network": msgspec.to_builtins(start.network),
        "data": {
            **parts,
            "held_back_by": "recording",
            "validation_share": 0.2,
            "video_stride": max(1, -(-amount.clip_frames // _VIDEO_FRAMES)),
            "mask_crops": masks,
            "empty_crops": _in_batches(crops) - masks,
            # Images may have boxes instead of masks; kinds that are not there are left out.
            "video_crops": _in_batches(crops) if amount.clip_frames else masks,
        },
        "optimiser": {
            "start": start.spec,
            "start_sha256": start.sha256,
            "frozen_norms": True,
            "patience": 4,
            "epochs": 12,
            "batch": _BATCH,
            "rate": 1e-4,
            "warmup_steps": 20,
            "average": 0.99,
            "background": 2.0,
            "patches": 4,
            "hard_every": 4,
            "validate_every": 2,
        },
        "validation": {
            "frames": _VALIDATION_FRAMES // 2,
            "video_stride": max(1, amount.clip_frames // (5 * _VALIDATION_FRAMES)),
        },
    }


def _in_batches(crops: float) -> int:
    return max(1, round(crops / _BATCH)) * _BATCH


def _merged(base: Mapping[str, object], over: Mapping[str, object]) -> dict[str, object]:
    """Two trees, table by table; the second wins."""
    found = dict(base)
    for key, value in over.items():
        below = found.get(key)
        found[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return found
