"""From a recipe to frames: which part of which data set is trained on, and which the best model is chosen by."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from lpnet_rt.errors import DataError, SettingsError
from lpnet_rt.training.data.clips import clip_frames, clip_is_held_back
from lpnet_rt.training.data.data_set import DataSet, Entry, read_frame
from lpnet_rt.training.data.frames import LabelledFrame
from lpnet_rt.training.data.layouts import open_data_set
from lpnet_rt.training.data.recordings import hold_back
from lpnet_rt.training.recipes.data import DataSetsRecipe, PartRecipe

__all__ = ["spread_over", "training_frames", "validation_frames"]

_logger = logging.getLogger(__name__)

_SPLIT_SEED = 11
_T = TypeVar("_T")


# What is chosen of a data set, and the part of the recipe that chose it; nothing is read yet.
_Chosen = tuple[PartRecipe, DataSet]


def training_frames(recipe: DataSetsRecipe) -> Iterator[LabelledFrame]:
    """Yield what a run trains on, read as it is asked for.

    Raises:
        DataError: A data set, a split or a file is missing or damaged, or nothing is left to train on.
        SettingsError: The best model would be chosen by a test split.
    """
    for part, data in _divide(recipe)[0]:
        for frame in _read(recipe, part, data, recipe.video_stride):
            # A box in which no blob stands out leaves nothing to train on.
            if frame.role != "video" or frame.truth.has_target:
                yield frame


def validation_frames(recipe: DataSetsRecipe, video_stride: int = 1, clips: int = 0) -> Iterator[LabelledFrame]:
    """Yield what the best model is chosen by, read as it is asked for.

    Args:
        recipe: Where the frames come from.
        video_stride: Every n-th labelled frame of a clip is taken.
        clips: At most so many clips of a data set, evenly spread; 0 takes all.

    Raises:
        DataError: As :func:`training_frames`.
        SettingsError: As :func:`training_frames`.
    """
    for part, data in _divide(recipe)[1]:
        limited = replace(data, entries=tuple(spread_over(data.entries, clips))) if data.clips else data
        yield from _read(recipe, part, limited, video_stride)


def spread_over(items: Sequence[_T], limit: int) -> list[_T]:
    """At most ``limit`` of the items, evenly spread over all of them; 0 takes all."""
    if not 0 < limit < len(items):
        return list(items)
    return [items[index * len(items) // limit] for index in range(limit)]


def _divide(recipe: DataSetsRecipe) -> tuple[list[_Chosen], list[_Chosen]]:
    """What is trained on, and what the best model is chosen by."""
    if any("test" in split for part in recipe.validation for split in part.splits):
        raise SettingsError(
            "data.validation: expected splits to choose the best model by, found a test split; "
            "a model chosen by its test frames cannot be judged by them"
        )
    train = [(part, _choose(recipe, part, held_back=False)) for part in recipe.train]
    validation = [(part, _choose(recipe, part, held_back=True)) for part in recipe.validation or recipe.train]
    if not recipe.validation and recipe.held_back_by == "recording":
        train, validation = _by_recording(recipe)
    elif not recipe.validation:
        images = [entry for _, data in train if not data.clips for entry in data.entries]
        order = np.random.default_rng(_SPLIT_SEED).permutation(len(images))
        kept = {images[i] for i in order[: max(1, round(recipe.validation_share * len(images)))]}
        train = [(part, _only(data, lambda entry: entry not in kept)) for part, data in train]
        validation = [(p, data if data.clips else _only(data, lambda entry: entry in kept)) for p, data in validation]
    counts = [sum(len(data.entries) for _, data in parts) for parts in (train, validation)]
    if not all(counts):
        wanted = "frames to train on and to choose by"
        raise DataError(f"{recipe.root}: expected {wanted}, found {counts[0]} and {counts[1]}")
    if not recipe.video_crops:
        train = [(part, data) for part, data in train if not data.clips or part.role != "by-truth"]
    return train, validation


def _by_recording(recipe: DataSetsRecipe) -> tuple[list[_Chosen], list[_Chosen]]:
    """Hold whole recordings back of every part."""
    chosen = [(part, _open(recipe, part)) for part in recipe.train]
    rule = (recipe.held_back, recipe.held_back_of)
    divided = [(part, data, hold_back(data, recipe.validation_share, rule)) for part, data in chosen]
    sides = [[(part, replace(data, entries=sides[i])) for part, data, sides in divided] for i in (0, 1)]
    return sides[0], sides[1]


def _choose(recipe: DataSetsRecipe, part: PartRecipe, held_back: bool) -> DataSet:
    data = _open(recipe, part)
    if part.splits or not data.clips:
        return data
    rule = (recipe.held_back, recipe.held_back_of)
    return _only(data, lambda clip: clip_is_held_back(clip.name, *rule) == held_back)


def _open(recipe: DataSetsRecipe, part: PartRecipe) -> DataSet:
    folder = Path(recipe.root) / part.folder
    if part.role == "ignored" or (part.optional and not folder.is_dir()):
        return DataSet(folder, part.layout)
    data = open_data_set(folder, part.layout or None)
    return replace(data, entries=data.of_splits(part.splits))


def _only(data: DataSet, wanted: Callable[[Entry], bool]) -> DataSet:
    return replace(data, entries=tuple(filter(wanted, data.entries)))


def _read(recipe: DataSetsRecipe, part: PartRecipe, data: DataSet, video_stride: int) -> Iterator[LabelledFrame]:
    """Read the frames that have the part's role."""
    ignored = _ignored_places(recipe, part)
    for entry in data.entries:
        if data.clips:
            for frame in clip_frames(entry, video_stride, part.role == "target-free", part.licence, ignored):
                if part.role != "targets":
                    yield frame
                elif frame.truth.has_target:
                    yield replace(frame, role="targets")
        elif (frame := read_frame(entry, data.root.name, part.licence)).role == part.role or part.role == "by-truth":
            yield frame


def _ignored_places(recipe: DataSetsRecipe, part: PartRecipe) -> Path | None:
    path = Path(recipe.root) / part.ignored
    if not part.ignored or path.is_file():
        return path if part.ignored else None
    how = "'python -m lpnet_rt.training.tracks unlabelled' makes it"
    if not part.optional:
        raise DataError(f"{path}: expected the places that {part.folder or recipe.root} ignores, found no file; {how}")
    _logger.warning("%s is not there: targets without a box are trained on as background; %s", path, how)
    return None
