"""What a layout finds in a folder: images with their masks, clips with their boxes; and what a layout is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from lpnet_rt.errors import DataError
from lpnet_rt.training.data.files import read_grey, size_text
from lpnet_rt.training.data.frames import LabelledFrame, Truth

__all__ = ["Clip", "DataSet", "Entry", "Layout", "read_frame"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One image of a data set.

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
class Clip:
    """One video of a data set.

    Attributes:
        name: Its name, without suffix.
        split: Split it belongs to, or None where the data set has none.
        video: Its file.
        root: Folder of the data set, where its boxes lie.
    """

    name: str
    split: str | None
    video: Path
    root: Path


_Listed = TypeVar("_Listed", Entry, Clip)


@dataclass(frozen=True, slots=True)
class DataSet:
    """What was found in a folder.

    Attributes:
        root: The folder.
        layout: Key of its layout.
        entries: One per split and image.
        stray_masks: Masks that belong to no image.
        clips: One per split and clip.
    """

    root: Path
    layout: str
    entries: tuple[Entry, ...] = ()
    stray_masks: tuple[Path, ...] = ()
    clips: tuple[Clip, ...] = ()

    def of_splits(self, items: tuple[_Listed, ...], splits: tuple[str, ...]) -> tuple[_Listed, ...]:
        """Return the images or clips of some splits, in the order of the splits; a data set without any gives all.

        Args:
            items: ``entries`` or ``clips``.
            splits: Names of splits.

        Raises:
            DataError: A split is not there, or none is named of several.
        """
        known = {item.split for item in items}
        if not items or (not splits and known == {None}):
            return items
        there = ", ".join(sorted(name for name in known if name)) or "none"
        for split in splits or ("",):
            if split not in known:
                wanted = f"the split {split}" if split else "splits to be named"
                raise DataError(
                    f"{self.root}: expected {wanted}, found {there}; set data.train and data.validation "
                    "(none of the latter holds part of the training frames back)"
                )
        return tuple(item for split in splits for item in items if item.split == split)


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


def read_frame(entry: Entry, source: str = "", licence: str = "") -> LabelledFrame:
    """Read an image with its mask; anything but 0 is a target.

    Args:
        entry: Its files.
        source: Name of the data set.
        licence: Of the data set.

    Raises:
        DataError: A file is missing or damaged, or the mask's size is not the image's.
    """
    if entry.image is None or entry.mask is None:
        missing = "image" if entry.image is None else "mask"
        raise DataError(f"{entry.name}: expected an image and its mask, found no {missing}; see 'lpnet-rt data check'")
    image, mask = read_grey(entry.image), read_grey(entry.mask)
    if mask.shape != image.shape:
        found = f"{size_text(image.shape)}, found {size_text(mask.shape)}"
        raise DataError(f"{entry.mask}: expected the image's size {found}")
    truth = Truth.from_mask(mask)
    return LabelledFrame(
        name=entry.name,
        image=image,
        truth=truth,
        role="targets" if truth.has_target else "target-free",
        bit_depth=8 * image.dtype.itemsize,
        source=source,
        licence=licence,
    )
