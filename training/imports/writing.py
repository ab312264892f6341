"""Labels as a data set: images with masks or boxes (layout ``plain``), or clips with boxes (layout ``clips``)."""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from lpnet_rt.errors import DataError
from lpnet_rt.files import FILE_MODE, write_whole
from lpnet_rt.training.data.boxes import write_image_boxes
from lpnet_rt.training.data.clips import CLIP_SUFFIXES, read_clip
from lpnet_rt.training.data.convert import write_image
from lpnet_rt.training.data.files import read_grey
from lpnet_rt.training.imports.labels import Box, ImageLabels, ObjectLabel, VideoLabels
from lpnet_rt.training.imports.video import write_lossless

__all__ = [
    "Item",
    "counted",
    "unique_name",
    "write_clip",
    "write_frame",
    "write_ignored",
    "write_manifest",
    "write_splits",
]

_NAME_LIMIT = 120


@dataclass(frozen=True, slots=True)
class Item:
    """One image or clip as it was written.

    Attributes:
        name: Its name in the data set, without ending.
        recording: Recording that it is from.
        origin: Path that it had, below the source.
        split: Part of the data set that its labels put it into, or None.
        has_target: Whether anything is labelled in it.
    """

    name: str
    recording: str
    origin: str
    split: str | None
    has_target: bool


def unique_name(path: str, taken: Collection[str]) -> str:
    """Return a name for a file from its path: letters, digits, ``-``, ``_`` and dots, not taken yet.

    Args:
        path: Below the source, with forward slashes.
        taken: Names in use, in lower case, as some file systems do not tell upper from lower case.
    """
    given = PurePosixPath(path)
    folders = [part for part in given.parts[:-1] if part.lower() not in ("images", "img1", "jpegimages", "data", ".")]
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", "_".join([*folders, given.stem])).strip("._")[-_NAME_LIMIT:] or "image"
    if name.lower() not in taken:
        return name
    return next(other for n in range(2, len(taken) + 3) if (other := f"{name}_{n}").lower() not in taken)


def write_frame(root: Path, name: str, labels: ImageLabels) -> None:
    """Write an image, byte for byte as it is, with a mask, boxes or both.

    A frame without targets has an empty mask.

    Raises:
        DataError: The image cannot be read, is not of the size that the labels state, or an object lies outside.
        SinkError: A file cannot be written.
    """
    image = read_grey(labels.path)
    _check_size(labels.path, labels.size_wh, image.shape)
    boxes = [_inside(labels.path.name, one, image.shape) for one in labels.objects if one.region is None]
    regions = [one.region for one in labels.objects if one.region is not None]
    mask: NDArray[np.uint8] = np.zeros(image.shape, np.uint8)
    for region in regions:
        _inside(labels.path.name, ObjectLabel("", region.box_xywh), image.shape)
        region.draw(mask)
    (root / "images").mkdir(exist_ok=True)
    _copy(labels.path, root / "images" / f"{name}{labels.path.suffix.lower()}")
    if regions or not boxes:
        write_image(root / "masks" / f"{name}.png", mask)
    if boxes:
        (root / "boxes").mkdir(exist_ok=True)
        write_image_boxes(root / "boxes" / f"{name}.csv", boxes)


def write_clip(root: Path, name: str, labels: VideoLabels) -> None:
    """Write a video byte for byte as it is, or a sequence of images as one lossless video, and its boxes.

    Raises:
        DataError: The video or an image cannot be read, is not of the size that the labels state, has fewer or other
            frames than they count, or an object lies outside.
        SinkError: A file cannot be written.
    """
    (root / "clips").mkdir(exist_ok=True)
    suffix = labels.frames.suffix.lower() if isinstance(labels.frames, Path) else ".mkv"
    path = root / "clips" / f"{name}{suffix}"
    if suffix not in CLIP_SUFFIXES:
        raise DataError(f"{labels.frames}: expected a video ({', '.join(CLIP_SUFFIXES)}), found {suffix}")
    if isinstance(labels.frames, Path):
        _copy(labels.frames, path)
    else:
        write_lossless(path, labels.frames, labels.rate_hz)
        path.chmod(FILE_MODE)
    try:
        _write_boxes(root / "boxes" / f"{name}.csv", _clip_rows(path, labels))
    except DataError:
        path.unlink()
        raise


def _clip_rows(path: Path, labels: VideoLabels) -> list[tuple[int, Box]]:
    """Frame and box of every object, compared with the video that was written."""
    size_hw, count = (0, 0), 0
    for _, image, _ in read_clip(path):
        size_hw, count = (image.shape[0], image.shape[1]), count + 1
    _check_size(path, labels.size_wh, size_hw)
    last = max([*labels.objects, *labels.ignored_xy], default=-1)
    if last >= count:
        raise DataError(
            f"{labels.name}: expected frame {last}, counted from 0, which is labelled; found {count} frames"
        )
    if labels.frame_count is not None and abs(labels.frame_count - count) > 1:
        raise DataError(
            f"{labels.name}: expected the {labels.frame_count} frames that the labels count, found {count}; "
            "in Label Studio, give the tag Video the frameRate of the file and label again"
        )
    return [
        (frame, _inside(f"{labels.name}, frame {frame}", one, size_hw))
        for frame, found in sorted(labels.objects.items())
        for one in found
    ]


def write_ignored(root: Path, ignored: Iterable[tuple[str, VideoLabels]]) -> None:
    """Write ``unlabelled.csv``, the places that count neither way, if there are any."""
    rows = [
        (name, frame, f"{x:.2f}", f"{y:.2f}")
        for name, labels in ignored
        for frame, places in sorted(labels.ignored_xy.items())
        for x, y in places
    ]
    if rows:
        _write_csv(root / "unlabelled.csv", ("clip", "frame", "x", "y"), rows)


def write_manifest(root: Path, items: Sequence[Item]) -> None:
    """Write ``recordings.csv``: name, recording and former path of every image or clip."""
    rows = ((item.name, item.recording, item.origin) for item in items)
    _write_csv(root / "recordings.csv", ("name", "recording", "file"), rows)


def write_splits(root: Path, splits: dict[str, list[str]]) -> None:
    """Write a text file of names for every split that holds any."""
    for split, names in splits.items():
        if names:
            content = "".join(f"{name}\n" for name in names).encode()
            write_whole(root / f"{split}.txt", content, "import", overwrite=False)


def _copy(path: Path, target: Path) -> None:
    shutil.copyfile(path, target)
    target.chmod(FILE_MODE)


def _check_size(path: Path, size_wh: tuple[int, int] | None, size_hw: tuple[int, ...]) -> None:
    if size_wh is not None and size_wh != (size_hw[1], size_hw[0]):
        stated = f"{size_wh[0]}x{size_wh[1]}"
        raise DataError(f"{path}: expected the size that the labels state, {stated}, found {size_hw[1]}x{size_hw[0]}")


def _inside(where: str, label: ObjectLabel, size_hw: tuple[int, ...]) -> Box:
    """The part of a box that lies in the image.

    Raises:
        DataError: None of it does.
    """
    x, y, width, height = label.box_xywh
    x1, y1 = max(0.0, x), max(0.0, y)
    x2, y2 = min(float(size_hw[1]), x + width), min(float(size_hw[0]), y + height)
    if x2 <= x1 or y2 <= y1:
        shown = ", ".join(f"{value:g}" for value in label.box_xywh)
        raise DataError(
            f"{where}: expected objects inside of {size_hw[1]}x{size_hw[0]} pixels, found one at x, y, w, h = {shown}"
        )
    return x1, y1, x2 - x1, y2 - y1


def _write_boxes(path: Path, rows: Iterable[tuple[int, Box]]) -> None:
    path.parent.mkdir(exist_ok=True)
    lines = ((frame, *(f"{value:.2f}" for value in box)) for frame, box in rows)
    _write_csv(path, ("frame", "x", "y", "w", "h"), lines)


def _write_csv(path: Path, heading: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heading)
    writer.writerows(rows)
    write_whole(path, text.getvalue().encode(), "import", overwrite=False)


def counted(items: Iterable[Item]) -> tuple[Counter[str], Counter[str]]:
    """Return frames, and frames with targets, of each recording."""
    frames: Counter[str] = Counter()
    targets: Counter[str] = Counter()
    for item in items:
        frames[item.recording] += 1
        targets[item.recording] += item.has_target
    return frames, targets
