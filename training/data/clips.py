"""Clips with boxes: ``clips/NAME.*`` at any depth, ``boxes/NAME.csv``, and places that count neither way."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from lpnet_rt.errors import DataError, reason
from lpnet_rt.training.data.clip_images import cached_clip, read_clip
from lpnet_rt.training.data.data_set import DataSet, Entry, Layout, list_entries
from lpnet_rt.training.data.files import files_by_stem
from lpnet_rt.training.data.folders import plain_splits
from lpnet_rt.training.data.frames import Boxes, LabelledFrame, Points, Truth

__all__ = [
    "CLIPS",
    "ClipLabels",
    "clip_frames",
    "clip_is_held_back",
    "read_boxes",
    "read_clip",
    "read_clip_labels",
]

CLIP_SUFFIXES = (".mp4", ".mkv", ".avi", ".mov", ".webm", ".ts")

_POINT_BOX_PX = 16.0
_COORDINATE_LIMIT_PX = 1e6
_NO_BOXES: Boxes = np.zeros((0, 4))


@dataclass(frozen=True, slots=True)
class ClipLabels:
    """What is known of the targets of a clip; coordinates are pixels.

    Attributes:
        boxes_xywh: (N, 4) top left corner, width, height of the boxes, by frame number.
        ignored_xy: (N, 2) places at which what is found counts neither way, by frame number.
    """

    boxes_xywh: dict[int, Boxes]
    ignored_xy: dict[int, Points]


def read_clip_labels(root: Path, name: str, ignored: Path | None = None) -> ClipLabels:
    """Read boxes and ignored places of a clip.

    Args:
        root: Folder of the data set, with ``boxes/NAME.csv`` and perhaps ``unlabelled.csv``.
        name: Of the clip, without suffix.
        ignored: A file like ``unlabelled.csv`` with further places, or None.

    Raises:
        DataError: The boxes are missing, or a line of either file is malformed.
    """
    places: dict[int, list[list[float]]] = defaultdict(list)
    unlabelled = root / "unlabelled.csv"
    for path in ([unlabelled] if unlabelled.is_file() else []) + ([ignored] if ignored else []):
        for index, place_xy in _places(path, path.stat().st_mtime_ns).get(name, ()):
            places[index].append(place_xy)
    ignored_xy = {index: np.array(found) for index, found in places.items()}
    return ClipLabels(read_boxes(root / "boxes" / f"{name}.csv"), ignored_xy)


@lru_cache(maxsize=4)
def _places(path: Path, _changed_ns: int) -> dict[str, list[tuple[int, list[float]]]]:
    """Frame and place (x, y) of every line of a list of places, by clip; read once for all clips."""
    found: dict[str, list[tuple[int, list[float]]]] = defaultdict(list)
    for clip, index, place_xy in _read_lines(path, "clip,frame,x,y"):
        found[clip].append((index, place_xy[:2]))
    return found


def read_boxes(path: Path) -> dict[int, Boxes]:
    """Boxes of a clip by frame number: (N, 4) x, y, width, height in pixels, top left corner first.

    Without the columns w and h, x and y are points, each in the middle of a box of 16 pixels.

    Raises:
        DataError: The file is missing or a line is not ``frame,x,y,w,h``.
    """
    rows: dict[int, list[list[float]]] = defaultdict(list)
    for _, index, (x, y, *size) in _read_lines(path, "frame,x,y,w,h"):
        half = 0.0 if size else _POINT_BOX_PX / 2
        rows[index].append([x - half, y - half, *(size or (_POINT_BOX_PX, _POINT_BOX_PX))])
    return {index: np.array(boxes) for index, boxes in rows.items()}


def _read_lines(path: Path, columns: str) -> Iterator[tuple[str, int, list[float]]]:
    """Yield clip (where the file has such a column), frame number and coordinates of every line of a CSV file."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            names = ("x", "y", "w", "h") if "w" in (reader.fieldnames or ()) else ("x", "y")
            for line in reader:
                box = [float(line[name]) for name in names]
                if not all(abs(value) < _COORDINATE_LIMIT_PX for value in box):  # NaN is not less either
                    raise ValueError(f"a box of {box}")
                yield line["clip"] if "clip" in columns else "", int(line["frame"]), box
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise DataError(f"{path}: expected lines of {columns}: {reason(error)}") from error


def clip_frames(
    clip: Entry, stride: int, target_free: bool = False, licence: str = "", ignored: Path | None = None
) -> Iterator[LabelledFrame]:
    """Yield every ``stride``-th labelled frame of a clip, its truth drawn from the boxes.

    Args:
        clip: The clip.
        stride: Of the labelled frames, every n-th is taken.
        target_free: Take every n-th frame of the clip that has neither boxes nor ignored places instead.
        licence: Of the data set.
        ignored: See :func:`read_clip_labels`.

    Raises:
        DataError: The clip or its boxes are missing or damaged.
    """
    if clip.image is None:
        raise DataError(f"{clip.name}: expected a clip, as the split {clip.split} names one, found none")
    root = clip.image.parent.parent
    labels = read_clip_labels(root, clip.name, ignored)
    labelled = labels.boxes_xywh.keys() | labels.ignored_xy.keys()
    first, last = (round(share * len(labels.boxes_xywh)) for share in clip.span)
    wanted = None if target_free else set(sorted(labels.boxes_xywh)[first:last:stride])
    found = read_clip(clip.image) if wanted is None else cached_clip(clip.image, wanted)
    for index, image, bit_depth in found:
        if target_free and (index % stride or index in labelled):
            continue
        yield LabelledFrame(
            name=f"{clip.name}:{index}",
            image=image,
            truth=Truth.from_boxes(image, labels.boxes_xywh.get(index, _NO_BOXES), labels.ignored_xy.get(index)),
            role="target-free" if target_free else "video",
            bit_depth=bit_depth,
            source=root.name,
            licence=licence,
            clip=clip.name,
            index=index,
        )


def clip_is_held_back(name: str, remainder: int, divisor: int) -> bool:
    """Whether a clip's number, the digits at the end of its name, leaves ``remainder`` when divided by ``divisor``."""
    found = re.search(r"(\d+)$", name)
    return found is not None and int(found.group(1)) % divisor == remainder


def _open(root: Path, splits: Mapping[str, Path]) -> DataSet:
    videos = files_by_stem(root / "clips", CLIP_SUFFIXES)
    if not videos:
        raise DataError(f"{root}: expected clips/*.mp4 (or {', '.join(CLIP_SUFFIXES[1:])}), found none")
    splits = splits or plain_splits(root)
    entries = list_entries(videos, lambda name: root / "boxes" / f"{name}.csv", splits, CLIP_SUFFIXES)
    return DataSet(root, "clips", entries, clips=True)


CLIPS = Layout("clips", lambda root: (root / "clips").is_dir() and (root / "boxes").is_dir(), _open)
