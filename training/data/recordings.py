"""Recordings: what must not be torn apart when part of a data set is held back, for its frames look alike."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lpnet_rt.training.data.boxes import read_image_boxes
from lpnet_rt.training.data.clips import clip_is_held_back, read_boxes
from lpnet_rt.training.data.data_set import DataSet, Entry
from lpnet_rt.training.data.files import read_grey

__all__ = ["hold_back", "recording_of"]

_SEED = 11
# At most this much is held back; where every recording is larger, each one gives its end.
_MAX_SHARE = 0.35

_Sides = tuple[tuple[Entry, ...], tuple[Entry, ...]]


def recording_of(name: str) -> str:
    """Return the recording of an image: its name without the number at its end and what stands before that.

    ``mast_0012`` and ``mast_0013`` are of one recording, and so are ``0012`` and ``0013``.
    """
    return re.sub(r"[\s_.:-]*\d+$", "", name)


def hold_back(data: DataSet, share: float, rule: tuple[int, int]) -> _Sides:
    """Divide a data set into what is trained on and what is validated on, recording by recording.

    Clips whose numbers follow the rule are held back, where these are some, and not too many. Else recordings are drawn
    until the share is reached, of those with targets and of those without. Where all recordings are too large for
    that, the end of each one is held back: it resembles the frames before it, so that figures on it flatter.

    Args:
        data: Images or clips.
        share: Of the images or clips, over 0 and under 1.
        rule: Remainder and divisor, see :func:`lpnet_rt.training.data.clips.clip_is_held_back`.

    Raises:
        DataError: A mask or a file of boxes is damaged.
    """
    kept = [entry for entry in data.entries if data.clips and clip_is_held_back(entry.name, *rule)]
    if 0 < len(kept) <= _MAX_SHARE * len(data.entries):
        return _divided(data.entries, kept)
    kinds: dict[bool, list[list[Entry]]] = {True: [], False: []}
    for entries in _recordings(data):
        kinds[_has_target(entries, data.clips)].append(entries)
    sides = [_by_share(recordings, share, data.clips) for recordings in kinds.values()]
    return tuple(e for train, _ in sides for e in train), tuple(e for _, kept in sides for e in kept)


def _divided(entries: Sequence[Entry], kept: Sequence[Entry]) -> _Sides:
    chosen = frozenset(kept)
    return tuple(e for e in entries if e not in chosen), tuple(kept)


def _recordings(data: DataSet) -> list[list[Entry]]:
    """The entries of every recording, by name."""
    found: dict[str, list[Entry]] = defaultdict(list)
    for entry in sorted(data.entries, key=lambda entry: entry.name):
        found[entry.name if data.clips else recording_of(entry.name)].append(entry)
    return list(found.values())


def _has_target(entries: Sequence[Entry], clips: bool) -> bool:
    """Whether any of them holds a target; labels that are missing are reported when they are read for training."""
    masks = [entry.mask for entry in entries if entry.mask is not None and entry.mask.is_file()]
    if clips:
        return any(bool(read_boxes(path)) for path in masks)
    boxes = [entry.boxes for entry in entries if entry.boxes is not None]
    return any(len(read_image_boxes(path)) for path in boxes) or any(bool(read_grey(path).any()) for path in masks)


def _by_share(recordings: Sequence[Sequence[Entry]], share: float, clips: bool) -> _Sides:
    """Hold recordings of one kind back: whole ones, or else the end of each."""
    everything = [entry for entries in recordings for entry in entries]
    kept: list[Entry] = []
    for index in np.random.default_rng(_SEED).permutation(len(recordings)):
        if len(kept) < share * len(everything) and len(kept) + len(recordings[index]) <= _MAX_SHARE * len(everything):
            kept += recordings[index]
    if kept or not everything:
        return _divided(everything, kept)
    return _ends_of_clips(everything, share) if clips else _ends(recordings, share)


def _ends_of_clips(clips: Sequence[Entry], share: float) -> _Sides:
    first, last = (0.0, 1.0 - share), (1.0 - share, 1.0)
    return tuple(replace(clip, span=first) for clip in clips), tuple(replace(clip, span=last) for clip in clips)


def _ends(recordings: Sequence[Sequence[Entry]], share: float) -> _Sides:
    """The beginning and the end of every recording; a single image is trained on."""
    train: list[Entry] = []
    validation: list[Entry] = []
    for entries in recordings:
        cut = len(entries) - (max(1, round(share * len(entries))) if len(entries) > 1 else 0)
        train += entries[:cut]
        validation += entries[cut:]
    return tuple(train), tuple(validation)
