"""Which recording an image is from, and which recordings are held back for validation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath

import numpy as np

from lpnet_rt.errors import DataError, SettingsError, reason

__all__ = ["compiled_pattern", "recording_of", "validation_recordings"]

_SPLIT_SEED = 11
# Folders that tell what a file is, or which part of a data set it was put into, not where it was recorded.
_GENERIC_FOLDERS = frozenset(
    {"image", "images", "img", "img1", "imgs", "jpegimages", "data", "obj_train_data", "default", "labels"}
    | {"annotations", "originals", "pictures", "frames"}
    | {"train", "training", "val", "valid", "validation", "test"}
)


def compiled_pattern(text: str | None) -> re.Pattern[str] | None:
    """Compile the regular expression that finds the recording in a path.

    Raises:
        SettingsError: It is none, or has no group.
    """
    if text is None:
        return None
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise SettingsError(f"--recording: expected a regular expression, found {text}: {reason(error)}") from error
    if not pattern.groups:
        raise SettingsError(f"--recording: expected a group around the recording, as in '(flight\\d+)_', found {text}")
    return pattern


def recording_of(path: str, default: str, pattern: re.Pattern[str] | None = None) -> str:
    """Return the recording that an image belongs to.

    It is the folder, without those that only say what lies in them, and the name before its last number:
    ``images/mast/flight3_0012.png`` is of ``mast/flight3``.

    Args:
        path: Of the image, below the data set, with forward slashes.
        default: Name where neither tells one.
        pattern: Regular expression whose first group is the recording instead.

    Raises:
        DataError: The pattern does not match.
    """
    if pattern is not None:
        match = pattern.search(path)
        if match is None or not match[1]:
            raise DataError(f"{path}: expected a path that matches --recording {pattern.pattern}, found none")
        return match[1]
    given = PurePosixPath(path)
    folders = [part for part in given.parts[:-1] if part.lower() not in _GENERIC_FOLDERS]
    before = re.match(r"^(.*?)[-_. ]*\d+$", given.stem)
    stem = given.stem if before is None else before[1]
    if stem.lower() in _GENERIC_FOLDERS or stem.lower() in ("frame", "fr", "f", "im"):
        stem = ""
    return "/".join([*folders, stem] if stem else folders) or default


def validation_recordings(frames: Mapping[str, int], targets: Mapping[str, int], share: float) -> frozenset[str]:
    """Choose recordings to validate on, so that they hold about a share of the frames.

    Recordings with targets and those without are divided by themselves, so that both parts have some of either. At
    least one recording stays for training.

    Args:
        frames: Frames of each recording.
        targets: Frames with targets of each recording.
        share: Share of the frames, 0 to 1.
    """
    chosen: set[str] = set()
    for with_targets in (True, False):
        group = sorted(name for name in frames if bool(targets.get(name)) == with_targets)
        if len(group) < 2 or share <= 0:
            continue
        order = [group[i] for i in np.random.default_rng(_SPLIT_SEED).permutation(len(group))]
        goal = share * sum(frames[name] for name in group)
        held: list[str] = []
        for name in order:
            now = sum(frames[one] for one in held)
            if abs(now + frames[name] - goal) < abs(now - goal) and len(held) < len(group) - 1:
                held.append(name)
        chosen.update(held or [min(group, key=lambda name: (frames[name], name))])
    return frozenset(chosen)
