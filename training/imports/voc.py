"""Pascal VOC: an XML file per image with its size and the boxes of its objects, first and last pixel counted from 1."""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree.ElementTree import Element

from lpnet_rt.errors import DataError
from lpnet_rt.training.imports.documents import read_xml
from lpnet_rt.training.imports.labels import ImageLabels, Labels, ObjectLabel, checked_box, split_of_path, stated_size
from lpnet_rt.training.imports.source import LabelSource

__all__ = ["read_voc", "voc_files"]


def voc_files(source: LabelSource) -> list[Path]:
    """The XML files whose root is ``annotation``."""
    return [path for path in source.files(".xml") if read_xml(path).tag == "annotation"]


def read_voc(source: LabelSource) -> Labels:
    """Read every annotation; an image without an XML file is not labelled, and left out.

    Raises:
        DataError: A file is malformed, or its image is missing.
    """

    def read(path: Path) -> ImageLabels:
        return _read_file(source, path)

    images = source.each(voc_files(source), read)
    left_out = len(source.images) - len({image.path for image in images})
    if left_out > 0:
        source.notes.append(f"{source.media}: images without an XML file: {left_out}; they count as not labelled")
    return Labels(tuple(images))


def _read_file(source: LabelSource, path: Path) -> ImageLabels:
    root = read_xml(path)
    where = str(path)
    name = (root.findtext("filename") or "").strip() or path.stem
    image = source.image(name if "/" in name else f"{path.parent.name}/{name}", where)
    size = (
        [int(_number(root, f"size/{side}", where)) for side in ("width", "height")]
        if root.find("size") is not None
        else []
    )
    objects = []
    for number, element in enumerate(root.iter("object"), start=1):
        at = f"{where}: object {number}"
        x1, y1, x2, y2 = (_number(element, f"bndbox/{side}", at) for side in ("xmin", "ymin", "xmax", "ymax"))
        box = checked_box(at, x1 - 1, y1 - 1, x2 - x1 + 1, y2 - y1 + 1)
        objects.append(ObjectLabel((element.findtext("name") or "").strip(), box))
    size_wh = stated_size(where, *size) if size else None
    return ImageLabels(image, size_wh, tuple(objects), split=split_of_path(source.relative(image)))


def _number(element: Element, path: str, where: str) -> float:
    text = element.findtext(path)
    try:
        number = float(text or "")
    except ValueError as error:
        raise DataError(f"{where}: expected a number in {path}, found {text!r}") from error
    if not math.isfinite(number):
        raise DataError(f"{where}: expected a finite number in {path}, found {text!r}")
    return number
