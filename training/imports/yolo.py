"""YOLO: a text file per image, a line per object: class, and a box or a polygon in shares of the image's size."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path, PurePosixPath

import numpy as np

from lpnet_rt.errors import DataError, SourceError
from lpnet_rt.sources.reading import image_size
from lpnet_rt.training.imports.documents import read_text_lines, read_yaml
from lpnet_rt.training.imports.labels import ImageLabels, Labels, ObjectLabel, checked_box, outline, split_of_path
from lpnet_rt.training.imports.source import LabelSource, closest

__all__ = ["read_yolo", "yolo_files"]

_DATA_FILES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_NAME_FILES = ("classes.txt", "obj.names")
_LABEL_FOLDERS = ("labels", "obj_train_data")
_NO_LABELS = ("classes", "train", "val", "valid", "test", "readme", "notes")


def yolo_files(source: LabelSource) -> list[Path]:
    """What shows that labels are YOLO's: data.yaml, classes.txt, obj.names, or a folder labels/ of text files."""
    named = [path for path in source.files(".yaml", ".yml", ".txt", ".names") if path.name in _DATA_FILES + _NAME_FILES]
    return named or [path for path in _label_files(source) if set(path.parts) & set(_LABEL_FOLDERS)]


def _label_files(source: LabelSource) -> list[Path]:
    return [path for path in source.files(".txt") if not path.stem.lower().startswith(_NO_LABELS)]


def read_yolo(source: LabelSource) -> Labels:
    """Read every image; one without a text file is free of targets.

    Raises:
        DataError: A line is malformed, a text file has no image, or an image cannot be read.
    """
    tree = next((read_yaml(path) for path in source.files(".yaml", ".yml") if path.name in _DATA_FILES), {})
    names = _names(source, tree.get("names"))
    by_stem: dict[str, list[Path]] = defaultdict(list)
    for path in _label_files(source):
        by_stem[path.stem].append(path)
    used: set[Path] = set()

    def read(image: Path) -> ImageLabels:
        relative = source.relative(image)
        given = PurePosixPath(*("labels" if part == "images" else part for part in PurePosixPath(relative).parts))
        found = by_stem.get(image.stem)
        labels = closest(found, given, relative) if found else None
        width, height = _size_wh(image)
        objects = _read_lines(labels, names, (width, height), "kpt_shape" in tree) if labels else ()
        used.update({labels} if labels else ())
        return ImageLabels(image, (width, height), objects, split=split_of_path(relative))

    images = source.each(source.images, read)
    strays = sorted(path for paths in by_stem.values() for path in paths if path not in used)
    source.each([path for path in strays if path.stem not in {image.stem for image in source.images}], _refuse_stray)
    return Labels(tuple(images))


def _refuse_stray(path: Path) -> None:
    raise DataError(f"{path}: expected an image for every text file, found none; name its folder with --images")


def _size_wh(path: Path) -> tuple[int, int]:
    try:
        height, width = image_size(path)
    except SourceError as error:
        raise DataError(str(error)) from error
    return width, height


def _names(source: LabelSource, listed: object) -> dict[int, str]:
    """Names of the classes by number, of data.yaml or of classes.txt."""
    if isinstance(listed, list):
        return {number: str(name) for number, name in enumerate(listed)}
    if isinstance(listed, dict):
        return {int(number): str(name) for number, name in listed.items() if str(number).isdecimal()}
    files = [path for path in source.files(".txt", ".names") if path.name in _NAME_FILES]
    return dict(enumerate(line for line in read_text_lines(files[0]) if line)) if files else {}


def _read_lines(path: Path, names: dict[int, str], size_wh: tuple[int, int], pose: bool) -> tuple[ObjectLabel, ...]:
    lines = ((number, line.split()) for number, line in enumerate(read_text_lines(path), start=1) if line)
    return tuple(_object(f"{path}: line {number}", fields, names, size_wh, pose) for number, fields in lines)


def _object(where: str, fields: list[str], names: dict[int, str], size_wh: tuple[int, int], pose: bool) -> ObjectLabel:
    """One line; a box has four numbers, a polygon six or more, and a pose a box before its points."""
    try:
        number, values = int(fields[0]), np.array(fields[1:], float)
    except ValueError as error:
        raise DataError(f"{where}: expected a class and numbers, found {' '.join(fields)[:60]}") from error
    if pose:
        values = values[:4]
    if len(values) < 4 or len(values) % 2 or not ((values >= -0.01) & (values <= 1.01)).all():
        raise DataError(
            f"{where}: expected class, x, y, w, h or a polygon in shares from 0 to 1, found {' '.join(fields)[:60]}"
        )
    category = names.get(number, str(number))
    if len(values) == 4:
        width, height = values[2:] * size_wh
        x, y = values[:2] * size_wh - (width / 2, height / 2)
        return ObjectLabel(category, checked_box(where, x, y, width, height))
    return outline(where, category, [values.reshape(-1, 2) * size_wh], size_wh)
