"""Label Studio's JSON export: tasks with annotations of images (shapes in percent of the size) or of videos."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
from msgspec import Struct

from lpnet_rt.errors import DataError
from lpnet_rt.training.data.clips import CLIP_SUFFIXES
from lpnet_rt.training.data.files import IMAGE_SUFFIXES
from lpnet_rt.training.imports.documents import read_json
from lpnet_rt.training.imports.labels import (
    ImageLabels,
    Labels,
    ObjectLabel,
    VideoLabels,
    ellipse,
    outline,
    point_box,
    rotated_box,
    split_of_path,
    stated_size,
)
from lpnet_rt.training.imports.regions import brush_region
from lpnet_rt.training.imports.source import LabelSource
from lpnet_rt.training.imports.video import video_size

__all__ = ["label_studio_files", "read_label_studio"]

_MAX_FRAMES = 250_000
_LIMIT = 1e7


class _Result(Struct):
    type: str = ""
    id: str = ""
    value: dict[str, Any] = {}
    original_width: int | None = None
    original_height: int | None = None


class _Annotation(Struct):
    result: list[_Result] = []
    was_cancelled: bool = False


class _Task(Struct):
    data: dict[str, Any]
    annotations: list[_Annotation]


def label_studio_files(source: LabelSource) -> list[Path]:
    """The JSON files that are a list of tasks with data and annotations."""
    found = []
    for path in source.files(".json"):
        try:
            tasks = read_json(path, list[_Task], "Label Studio export")
        except DataError:
            continue
        if tasks:
            found.append(path)
    return found


def read_label_studio(source: LabelSource) -> Labels:
    """Read every task that was annotated; of several annotations of a task the last counts, predictions never.

    Raises:
        DataError: A file is malformed, holds shapes without an area, or names what is not there.
    """
    read: list[ImageLabels | VideoLabels] = []
    for path in label_studio_files(source):
        tasks = read_json(path, list[_Task], "Label Studio export")
        labelled = [(number, task) for number, task in enumerate(tasks, start=1) if _annotation(task) is not None]
        if len(labelled) < len(tasks):
            source.notes.append(f"{path}: tasks without a submitted annotation: {len(tasks) - len(labelled)}")
        read += source.each(labelled, lambda one: _read_task(source, f"{path}: task {one[0]}", one[1]))  # noqa: B023
    images = tuple(one for one in read if isinstance(one, ImageLabels))
    return Labels(images, tuple(one for one in read if isinstance(one, VideoLabels)))


def _annotation(task: _Task) -> _Annotation | None:
    return next((one for one in reversed(task.annotations) if not one.was_cancelled), None)


def _read_task(source: LabelSource, where: str, task: _Task) -> ImageLabels | VideoLabels:
    annotation = _annotation(task) or _Annotation()
    name = _file_name(where, task.data)
    regions = _regions(annotation.result)
    if Path(name).suffix.lower() in CLIP_SUFFIXES:
        return _read_video(source, where, name, regions)
    path = source.image(name, where)
    size_wh: tuple[int, int] | None = None
    objects = []
    for region in regions:
        size_wh = stated_size(where, region.original_width, region.original_height)
        if size_wh is None:
            raise DataError(f"{where}: expected original_width and original_height of a {region.type}, found none")
        objects.append(_object(where, region, size_wh))
    return ImageLabels(path, size_wh, tuple(objects), split=split_of_path(source.relative(path)))


def _file_name(where: str, data: dict[str, Any]) -> str:
    """Path of the task's image or video: of an upload, of local files (``?d=``) or of a URL."""
    for value in data.values():
        if not isinstance(value, str):
            continue
        parts = urlsplit(value)
        name = unquote(parse_qs(parts.query).get("d", [parts.path])[0])
        if Path(name).suffix.lower() in (*IMAGE_SUFFIXES, *CLIP_SUFFIXES):
            return name
    raise DataError(f"{where}: expected the path of an image or a video in its data, found none")


def _regions(results: Iterable[_Result]) -> list[_Result]:
    """The results with a shape. A shape and its label may be two results of one id."""
    by_id: dict[str, _Result] = {}
    for number, result in enumerate(results):
        value = result.value
        if not value.keys() & {"x", "points", "rle", "sequence"}:
            continue  # choices, ratings and texts
        known = by_id.setdefault(result.id or f"number {number}", result)
        known.value = {**value, **known.value}
        if known.type == "labels":
            known.type = result.type
    return list(by_id.values())


def _category(value: dict[str, Any]) -> str:
    named = (found for key, found in value.items() if key.endswith("labels") and isinstance(found, list) and found)
    return str(next(named, [""])[0])


def _object(where: str, region: _Result, size_wh: tuple[int, int]) -> ObjectLabel:
    """One shape of an image."""
    value, category, kind = region.value, _category(region.value), region.type
    scale = np.array(size_wh) / 100.0
    try:
        if kind.startswith("polygon"):
            return outline(where, category, [np.array(value["points"], float).reshape(-1, 2) * scale], size_wh)
        if kind.startswith("brush"):
            found = brush_region(value["rle"], size_wh)
            if found is None:
                raise DataError("expected a mask with pixels inside, found an empty one")
            return ObjectLabel(category, found.box_xywh, found)
        x, y = np.array([value["x"], value["y"]], float) * scale
        if kind.startswith("keypoint"):
            return ObjectLabel(category, point_box(where, x, y))
        degrees = float(value.get("rotation") or 0.0)
        if kind.startswith("ellipse"):
            radius_x, radius_y = np.array([value["radiusX"], value["radiusY"]], float) * scale
            return outline(where, category, [ellipse((x, y), (radius_x, radius_y), degrees)], size_wh)
        if kind.startswith("rectangle"):
            width, height = np.array([value["width"], value["height"]], float) * scale
            return ObjectLabel(category, rotated_box(where, (x, y, width, height), degrees, (x, y)))
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(f"{where}: expected a complete {kind}, found {type(error).__name__}: {error}") from error
    except DataError as error:
        raise DataError(str(error) if str(error).startswith(where) else f"{where}: {error}") from error
    known = "rectangle, polygon, brush, keypoint, ellipse or video rectangle"
    raise DataError(f"{where}: expected a {known}, found {kind}")


def _read_video(source: LabelSource, where: str, name: str, regions: list[_Result]) -> VideoLabels:
    path = source.video(name, where)
    size_wh = video_size(path)
    objects: dict[int, list[ObjectLabel]] = defaultdict(list)
    count: int | None = None
    for region in regions:
        if not region.type.startswith("videorectangle") and region.type != "labels":
            raise DataError(f"{where}: expected video rectangles, found a {region.type}")
        stated = region.value.get("framesCount")
        count = int(stated) if isinstance(stated, int | float) and 0 < stated <= _MAX_FRAMES else count
        category = _category(region.value)
        for frame, box in _sequence(where, region.value.get("sequence"), size_wh, count):
            objects[frame].append(ObjectLabel(category, box))
    return VideoLabels(path.stem, path, size_wh, dict(objects), frame_count=count)


def _sequence(
    where: str, sequence: object, size_wh: tuple[int, int], count: int | None
) -> Iterable[tuple[int, tuple[float, float, float, float]]]:
    """Boxes by frame from 0: linear between key frames, until one that is not enabled, or to the end of the video."""
    try:
        keys = list(sequence) if isinstance(sequence, list) else []
        rows = [[float(key[name]) for name in ("frame", "x", "y", "width", "height")] for key in keys]
        enabled = [bool(key.get("enabled", True)) for key in keys]
        turned = [float(key.get("rotation") or 0.0) for key in keys]
        if not all(abs(value) < _LIMIT for values in (*rows, turned) for value in values):  # NaN is not less either
            raise ValueError("numbers that are too large")
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{where}: expected key frames with frame, x, y, width and height, found others") from error
    if not rows:
        raise DataError(f"{where}: expected a sequence of key frames, found none")
    scale = np.array(size_wh * 2) / 100.0
    for index, (row, on, degrees) in enumerate(zip(rows, enabled, turned, strict=True)):
        first = int(row[0])
        following = rows[index + 1] if index + 1 < len(rows) else None
        last = int(following[0]) if following is not None else (count or first) + 1
        if not (1 <= first < last or first == last) or last > _MAX_FRAMES:
            raise DataError(f"{where}: expected key frames in order, from 1, found {first} and {last}")
        target = row if following is None else following
        for frame in range(first, last if on else first + 1):
            share = (frame - first) / max(1, last - first)
            x, y, width, height = (np.array(row[1:]) + (np.array(target[1:]) - row[1:]) * share) * scale
            yield frame - 1, rotated_box(where, (x, y, width, height), degrees, (x, y))
