"""What a layout finds in a folder: images with their masks, clips with their boxes; and what a layout is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from lpnet_rt.errors import DataError
from lpnet_rt.frames import GreyImage
from lpnet_rt.training.data.boxes import read_image_boxes
from lpnet_rt.training.data.files import IMAGE_SUFFIXES, read_grey, read_mask, read_split
from lpnet_rt.training.data.frames import LabelledFrame, Truth

__all__ = ["DataSet", "Entry", "Layout", "list_entries", "read_frame", "read_truth"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One image of a data set, or one clip.

    Attributes:
        name: Its name, without ending or suffix.
        split: Split it belongs to, or None where the data set has none.
        image: File of the image or of the clip, or None where a split names one that is not there.
        mask: File of the mask or of the clip's boxes, or None where there is none.
        span: First and last share of a clip's labelled frames that are taken, 0 to 1.
        boxes: File of an image's boxes, for targets that are not in the mask, or None.
    """

    name: str
    split: str | None
    image: Path | None
    mask: Path | None
    span: tuple[float, float] = (0.0, 1.0)
    boxes: Path | None = None


@dataclass(frozen=True, slots=True)
class DataSet:
    """What was found in a folder.

    Attributes:
        root: The folder.
        layout: Key of its layout.
        entries: One per split and image, or per split and clip.
        stray_masks: Masks that belong to no image.
        clips: Whether the entries are clips.
    """

    root: Path
    layout: str
    entries: tuple[Entry, ...] = ()
    stray_masks: tuple[Path, ...] = ()
    clips: bool = False

    def of_splits(self, splits: tuple[str, ...]) -> tuple[Entry, ...]:
        """Return the entries of some splits, in the order of the splits; a data set without any gives all.

        Raises:
            DataError: A split is not there, or none is named of several.
        """
        known = {entry.split for entry in self.entries}
        if not splits and known <= {None}:
            return self.entries
        there = ", ".join(sorted(name for name in known if name)) or "none"
        for split in splits or ("",):
            if split not in known:
                wanted = f"the split {split}" if split else "splits to be named"
                raise DataError(
                    f"{self.root}: expected {wanted}, found {there}; set data.train and data.validation "
                    "(none of the latter holds part of the training frames back)"
                )
        return tuple(entry for split in splits for entry in self.entries if entry.split == split)


@dataclass(frozen=True, slots=True)
class Layout:
    """How a data set lies on disk.

    Attributes:
        key: Its name on the command line and in recipes.
        matches: Whether a folder looks like it.
        open: Lists what a folder holds, by its own split files or, where some are given, by those; reads no picture.
    """

    key: str
    matches: Callable[[Path], bool]
    open: Callable[[Path, Mapping[str, Path]], DataSet]


def list_entries(
    files: Mapping[str, Path],
    labels: Callable[[str], Path | None],
    splits: Mapping[str, Path],
    suffixes: Sequence[str] = IMAGE_SUFFIXES,
) -> tuple[Entry, ...]:
    """List what split files name or, without any, all files.

    Args:
        files: Images or clips by stem.
        labels: Finds the mask or the boxes of a stem.
        splits: Split files by name.
        suffixes: Of the files, which split files may name.

    Raises:
        DataError: A split file cannot be read.
    """
    named: dict[str | None, Iterable[str]] = {split: read_split(path, suffixes) for split, path in splits.items()}
    return tuple(
        Entry(stem, split, files.get(stem), labels(stem))
        for split, stems in (named or {None: files}).items()
        for stem in stems
    )


def read_truth(entry: Entry, image: GreyImage) -> Truth:
    """Read the mask of an image, its boxes, or both; where there are boxes, those of the mask's targets are among them.

    Args:
        entry: Its files.
        image: (H, W) uint8 or uint16, raw counts.

    Raises:
        DataError: A file is damaged or malformed, or the mask's size is not the image's.
    """
    mask = None if entry.mask is None else read_mask(entry.mask, image.shape) != 0
    if entry.boxes is None:
        return Truth.from_mask(np.zeros(image.shape, np.bool_) if mask is None else mask)
    drawn = read_image_boxes(entry.boxes)
    truth = Truth.from_boxes(image, drawn)
    if mask is None:
        return truth
    truth.mask[mask] = 255
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return replace(truth, boxes_xywh=np.concatenate((drawn, stats[1:, :4].astype(np.float64))))


def read_frame(entry: Entry, source: str = "", licence: str = "") -> LabelledFrame:
    """Read an image with its mask, of which anything but 0 is a target, or with boxes.

    A frame with boxes is trained on and judged as a frame of a clip is, in the role ``video``.

    Args:
        entry: Its files.
        source: Name of the data set.
        licence: Of the data set.

    Raises:
        DataError: A file is missing or damaged, or the mask's size is not the image's.
    """
    if entry.image is None or (entry.mask is None and entry.boxes is None):
        missing = "image" if entry.image is None else "mask"
        raise DataError(f"{entry.name}: expected an image and its mask, found no {missing}; see 'lpnet-rt data check'")
    image = read_grey(entry.image)
    truth = read_truth(entry, image)
    return LabelledFrame(
        name=entry.name,
        image=image,
        truth=truth,
        role="video" if len(truth.boxes_xywh) else "targets" if truth.has_target else "target-free",
        bit_depth=8 * image.dtype.itemsize,
        source=source,
        licence=licence,
    )
