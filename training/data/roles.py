"""From a recipe to frames: which part of which data set is trained on, and which the best model is chosen by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from lpnet_rt.errors import DataError, SettingsError
from lpnet_rt.training.data.clips import clip_frames, clip_is_held_back
from lpnet_rt.training.data.data_set import Clip, Entry, read_frame
from lpnet_rt.training.data.frames import LabelledFrame
from lpnet_rt.training.data.layouts import open_data_set
from lpnet_rt.training.recipes.data import DataSetsRecipe, PartRecipe

__all__ = ["spread_over", "training_frames", "validation_frames"]

_SPLIT_SEED = 11
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Chosen:
    """What a part of a recipe takes of a data set; nothing is read yet."""

    part: PartRecipe
    source: str = ""
    entries: tuple[Entry, ...] = ()
    clips: tuple[Clip, ...] = ()


def training_frames(recipe: DataSetsRecipe) -> Iterator[LabelledFrame]:
    """Yield what a run trains on, read as it is asked for.

    Raises:
        DataError: A data set, a split or a file is missing or damaged, or nothing is left to train on.
        SettingsError: The best model would be chosen by a test split.
    """
    for chosen in _divide(recipe)[0]:
        for frame in _read(chosen, recipe.video_stride):
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
    for chosen in _divide(recipe)[1]:
        yield from _read(replace(chosen, clips=tuple(spread_over(chosen.clips, clips))), video_stride)


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
    train = [_choose(recipe, part, held_back=False) for part in recipe.train]
    validation = [_choose(recipe, part, held_back=True) for part in recipe.validation or recipe.train]
    if not recipe.validation:
        images = [entry for chosen in train for entry in chosen.entries]
        order = np.random.default_rng(_SPLIT_SEED).permutation(len(images))
        kept = {images[i] for i in order[: max(1, round(recipe.validation_share * len(images)))]}
        train = [replace(c, entries=tuple(e for e in c.entries if e not in kept)) for c in train]
        validation = [replace(c, entries=tuple(e for e in c.entries if e in kept)) for c in validation]
    counts = [sum(len(c.entries) + len(c.clips) for c in part) for part in (train, validation)]
    if not all(counts):
        wanted = "frames to train on and to choose by"
        raise DataError(f"{recipe.root}: expected {wanted}, found {counts[0]} and {counts[1]}")
    if not recipe.video_crops:
        train = [replace(c, clips=()) if c.part.role == "by-truth" else c for c in train]
    return train, validation


def _choose(recipe: DataSetsRecipe, part: PartRecipe, held_back: bool) -> _Chosen:
    folder = Path(recipe.root) / part.folder
    if part.role == "ignored" or (part.optional and not folder.is_dir()):
        return _Chosen(part)
    data = open_data_set(folder, part.layout or None)
    rule = (recipe.held_back, recipe.held_back_of)
    clips = data.of_splits(data.clips, part.splits)
    if not part.splits:
        clips = tuple(clip for clip in clips if clip_is_held_back(clip.name, *rule) == held_back)
    return _Chosen(part, folder.name, data.of_splits(data.entries, part.splits), clips)


def _read(chosen: _Chosen, video_stride: int) -> Iterator[LabelledFrame]:
    """Read the frames that have the part's role."""
    role, licence = chosen.part.role, chosen.part.licence
    for entry in chosen.entries:
        frame = read_frame(entry, chosen.source, licence)
        if role in ("by-truth", frame.role):
            yield frame
    for clip in chosen.clips:
        for frame in clip_frames(clip, video_stride, role == "target-free", licence):
            if role != "targets":
                yield frame
            elif frame.truth.has_target:
                yield replace(frame, role="targets")
