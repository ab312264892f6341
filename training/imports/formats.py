"""The formats that are read; to add one, write a module with two functions and name it here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lpnet_rt.errors import DataError
from lpnet_rt.training.imports.coco import coco_files, read_coco
from lpnet_rt.training.imports.cvat import cvat_files, read_cvat
from lpnet_rt.training.imports.label_studio import label_studio_files, read_label_studio
from lpnet_rt.training.imports.labels import Labels
from lpnet_rt.training.imports.mot import mot_files, read_mot
from lpnet_rt.training.imports.source import LabelSource
from lpnet_rt.training.imports.voc import read_voc, voc_files
from lpnet_rt.training.imports.yolo import read_yolo, yolo_files

__all__ = ["FORMATS", "read_labels", "recognise_format"]


@dataclass(frozen=True, slots=True)
class _Format:
    """A format of labels.

    Attributes:
        looks_like: What is looked for, in words.
        find: The files that are of this format.
        read: Reads them.
    """

    looks_like: str
    find: Callable[[LabelSource], list[Path]]
    read: Callable[[LabelSource], Labels]


_FORMATS = {
    "coco": _Format("a JSON file with images and annotations", coco_files, read_coco),
    "cvat": _Format("an XML file <annotations>", cvat_files, read_cvat),
    "label-studio": _Format("a JSON list of tasks with data and annotations", label_studio_files, read_label_studio),
    "mot": _Format("gt/gt.txt", mot_files, read_mot),
    "voc": _Format("XML files <annotation>", voc_files, read_voc),
    "yolo": _Format("data.yaml, classes.txt or labels/*.txt", yolo_files, read_yolo),
}
FORMATS: tuple[str, ...] = tuple(_FORMATS)


def recognise_format(source: LabelSource) -> str:
    """Return the key of the format of a source.

    Raises:
        DataError: None or several are there, or a file that decides it cannot be read.
    """
    found = {key: files for key, one in _FORMATS.items() if (files := one.find(source))}
    if len(found) > 1:
        shown = " and ".join(f"{key} ({files[0].name})" for key, files in found.items())
        raise DataError(f"{source.path}: expected labels in one format, found {shown}; name one with --format")
    if not found:
        known = "; ".join(f"{key}: {one.looks_like}" for key, one in _FORMATS.items())
        raise DataError(f"{source.path}: expected labels in a known format, found none of these: {known}")
    return next(iter(found))


def read_labels(source: LabelSource, key: str) -> Labels:
    """Read the labels of a source.

    Args:
        source: Where they are.
        key: One of ``FORMATS``.

    Raises:
        DataError: They are not there, are malformed, name what is not there, or label an image twice.
    """
    chosen = _FORMATS[key]
    if not chosen.find(source):
        raise DataError(f"{source.path}: expected {chosen.looks_like}, found none")
    labels = chosen.read(source)
    seen: set[Path] = set()
    for image in labels.images:
        if image.path in seen:
            raise DataError(
                f"{source.path}: expected every image once, found labels of {image.path.name} twice; name one file"
            )
        seen.add(image.path)
    if bool(labels.images) == bool(labels.videos):
        wanted = "images or videos with labels"
        found = "both; import each by itself" if labels.images else "none"
        raise DataError(f"{source.path}: expected {wanted}, found {found}")
    return labels
