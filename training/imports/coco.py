"""COCO: one JSON file of images, annotations (boxes, polygons, run lengths, keypoints) and categories."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Raw, Struct

from lpnet_rt.errors import DataError
from lpnet_rt.training.imports.documents import read_json
from lpnet_rt.training.imports.labels import (
    ImageLabels,
    Labels,
    ObjectLabel,
    checked_box,
    outline,
    point_box,
    split_of_path,
    stated_size,
)
from lpnet_rt.training.imports.regions import row_runs_region
from lpnet_rt.training.imports.source import LabelSource

__all__ = ["coco_files", "read_coco"]

_Id = int | str


class _Image(Struct):
    id: _Id
    file_name: str
    width: int | None = None
    height: int | None = None
    video_id: _Id | None = None
    source: str | None = None


class _Annotation(Struct):
    image_id: _Id
    category_id: _Id | None = None
    bbox: list[float] | None = None
    segmentation: Any = None
    keypoints: list[float] | None = None


class _Category(Struct):
    id: _Id
    name: str


class _Video(Struct):
    id: _Id
    name: str = ""
    file_name: str = ""


class _Coco(Struct):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category] = []
    videos: list[_Video] = []


class _Keys(Struct):
    images: Raw
    annotations: Raw


def coco_files(source: LabelSource) -> list[Path]:
    """The JSON files that hold images and annotations."""
    found = []
    for path in source.files(".json"):
        try:
            read_json(path, _Keys, "COCO file")
        except DataError:
            continue
        found.append(path)
    return found


def read_coco(source: LabelSource) -> Labels:
    """Read every COCO file of a source.

    Raises:
        DataError: A file is malformed, or names what is not there.
    """
    return Labels(tuple(image for path in coco_files(source) for image in _read_file(source, path)))


def _read_file(source: LabelSource, path: Path) -> list[ImageLabels]:
    tree = read_json(path, _Coco, "COCO file")
    names = {category.id: category.name for category in tree.categories}
    videos = {video.id: video.name or video.file_name for video in tree.videos}
    by_image: dict[_Id, list[_Annotation]] = defaultdict(list)
    for annotation in tree.annotations:
        by_image[annotation.image_id].append(annotation)
    strays = by_image.keys() - {image.id for image in tree.images}
    if strays:
        raise DataError(f"{path}: expected every annotation to name an image, found image_id {min(map(str, strays))}")
    if len({image.id for image in tree.images}) < len(tree.images):
        raise DataError(f"{path}: expected every image to have an id of its own, found one that stands there twice")
    split = split_of_path(source.relative(path))

    def read(image: _Image) -> ImageLabels:
        where = f"{path}: {image.file_name}"
        size_wh = stated_size(where, image.width, image.height)
        objects = [each for one in by_image.get(image.id, []) for each in _objects(where, one, names, size_wh)]
        recording = videos.get(image.video_id) if image.video_id is not None else image.source
        return ImageLabels(source.image(image.file_name, str(path)), size_wh, tuple(objects), recording, split)

    return source.each(tree.images, read)


def _objects(
    where: str, annotation: _Annotation, names: dict[_Id, str], size_wh: tuple[int, int] | None
) -> list[ObjectLabel]:
    """The object of an annotation; of keypoints without a box one for each."""
    category = (
        names.get(annotation.category_id, str(annotation.category_id)) if annotation.category_id is not None else ""
    )
    segmentation, box = annotation.segmentation, annotation.bbox
    if segmentation:
        if size_wh is None:
            raise DataError(f"{where}: expected width and height beside a segmentation, found none")
        return [_segment(where, category, segmentation, size_wh)]
    if box and len(box) == 4 and min(box[2:]) > 0:
        return [ObjectLabel(category, checked_box(where, *box))]
    points = np.array(annotation.keypoints or [], float)
    if len(points) and len(points) % 3 == 0:
        seen = (point for point in points.reshape(-1, 3) if point[2] > 0)
        return [ObjectLabel(category, point_box(where, x, y)) for x, y, _ in seen]
    raise DataError(f"{where}: expected an annotation with a bbox, a segmentation or keypoints, found bbox {box}")


def _segment(where: str, category: str, segmentation: object, size_wh: tuple[int, int]) -> ObjectLabel:
    width, height = size_wh
    if isinstance(segmentation, dict):
        counts, size = segmentation.get("counts"), segmentation.get("size")
        if not isinstance(counts, str | list) or size != [height, width]:
            raise DataError(f"{where}: expected run lengths of size [{height}, {width}], found size {size}")
        try:
            region = row_runs_region(counts, (height, width))
        except DataError as error:
            raise DataError(f"{where}: {error}") from error
        if region is None:
            raise DataError(f"{where}: expected a mask with pixels inside, found an empty one")
        return ObjectLabel(category, region.box_xywh, region)
    rings = segmentation if isinstance(segmentation, list) else []
    try:
        polygons = [np.array(ring, float).reshape(-1, 2) for ring in rings]
    except (ValueError, TypeError) as error:
        raise DataError(f"{where}: expected polygons as lists of x and y, found others") from error
    return outline(where, category, polygons, size_wh)
