"""CVAT's own XML, version 1.1: shapes of images, or tracks of a video."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from lpnet_rt.errors import DataError
from lpnet_rt.training.imports.documents import read_xml
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
from lpnet_rt.training.imports.regions import cvat_region
from lpnet_rt.training.imports.source import LabelSource

__all__ = ["cvat_files", "read_cvat"]

_SHAPES = ("box", "polygon", "points", "mask", "ellipse")
_NO_SHAPES = ("tag", "attribute")
_MAX_FRAME = 250_000


def cvat_files(source: LabelSource) -> list[Path]:
    """The XML files whose root is ``annotations``."""
    return [path for path in source.files(".xml") if read_xml(path).tag == "annotations"]


def read_cvat(source: LabelSource) -> Labels:
    """Read every file of a source, of images or of videos.

    Raises:
        DataError: A file is malformed, holds shapes without an area, or names what is not there.
    """
    images: list[ImageLabels] = []
    videos: list[VideoLabels] = []
    for path in cvat_files(source):
        root = read_xml(path)
        if root.find("track") is not None or (
            root.findtext("meta/task/mode") == "interpolation" and root.find("image") is None
        ):
            videos += source.each([root], lambda tree: _read_video(source, path, tree))  # noqa: B023
        else:
            images += source.each(root.iter("image"), lambda image: _read_image(source, path, image))  # noqa: B023
    return Labels(tuple(images), tuple(videos))


def _read_image(source: LabelSource, path: Path, image: Element) -> ImageLabels:
    name = image.get("name", "")
    where = f"{path}: {name}"
    size_wh = stated_size(where, int(_number(image, "width", where)), int(_number(image, "height", where)))
    if size_wh is None:
        raise DataError(f"{where}: expected the width and height of the image, found 0")
    objects = [each for shape in image if shape.tag not in _NO_SHAPES for each in _objects(where, shape, size_wh)]
    file = source.image(name, str(path))
    subset = image.get("subset")
    return ImageLabels(file, size_wh, tuple(objects), split=split_of_path(subset or source.relative(file)))


def _read_video(source: LabelSource, path: Path, root: Element) -> VideoLabels:
    """A video's tracks; a project's file mixes the frames of several videos."""
    where = str(path)
    if root.find("meta/project") is not None:
        raise DataError(
            f"{where}: expected the tracks of one task, found those of a project; export each task by itself"
        )
    meta = next((root.find(f"meta/{kind}") for kind in ("task", "job") if root.find(f"meta/{kind}") is not None), None)
    meta = Element("task") if meta is None else meta
    size = [_whole(meta, f"original_size/{side}", where) for side in ("width", "height")]
    size_wh = stated_size(where, *size)
    if size_wh is None:
        raise DataError(f"{where}: expected meta/task/original_size, found none; export as 'CVAT for video 1.1'")
    step = re.search(r"step\s*=\s*(\d+)", meta.findtext("frame_filter") or "")
    step_frames = max(1, int(step[1])) if step else 1
    objects: dict[int, list[ObjectLabel]] = defaultdict(list)
    for track in root.iter("track"):
        for frame, label in _track(f"{where}: track {track.get('id')}", track, size_wh, step_frames):
            objects[frame].append(label)
    name = (meta.findtext("source") or root.findtext("meta/source") or meta.findtext("name") or path.stem).strip()
    frames: Path | tuple[Path, ...]
    if source.has_video(name) or not (frames := _exported_frames(source)):
        frames = source.video(name, where)
    elif (first := _whole(meta, "start_frame", where)) or step_frames > 1:
        objects = {(frame - first) // step_frames: found for frame, found in objects.items()}
    return VideoLabels(Path(name).stem, frames, size_wh, dict(objects))


def _exported_frames(source: LabelSource) -> tuple[Path, ...]:
    """The frames that CVAT exports beside the XML: ``images/frame_000000.png``."""
    first = next((path for path in source.images if re.fullmatch(r"frame_0+", path.stem)), None)
    return () if first is None else source.images_in(first.parent)


def _track(where: str, track: Element, size_wh: tuple[int, int], step_frames: int) -> list[tuple[int, ObjectLabel]]:
    """The objects of a track by frame; between two key frames boxes are interpolated where the file has none."""
    shapes = sorted(
        (shape for shape in track if shape.tag not in _NO_SHAPES), key=lambda one: _number(one, "frame", where)
    )
    found: list[tuple[int, ObjectLabel]] = []
    label = track.get("label", "")
    for shape, following in zip(shapes, [*shapes[1:], None], strict=True):
        if shape.get("outside") == "1":
            continue
        frame = _frame(shape, where)
        objects = _objects(f"{where}, frame {frame}", shape, size_wh, label)
        found += ((frame, each) for each in objects)
        if following is None or len(objects) != 1:
            continue
        last = _frame(following, where)
        between = range(frame + step_frames, last, step_frames)
        if len(between):
            ahead = _objects(f"{where}, frame {last}", following, size_wh, label)[0]
            start, end = np.array(objects[0].box_xywh), np.array(ahead.box_xywh)
            for index in between:
                x, y, width, height = start + (end - start) * (index - frame) / (last - frame)
                found.append((index, ObjectLabel(label, (float(x), float(y), float(width), float(height)))))
    return found


def _objects(where: str, shape: Element, size_wh: tuple[int, int], category: str | None = None) -> list[ObjectLabel]:
    """The object of a shape; of points one for each."""
    label = category if category is not None else shape.get("label", "")
    if shape.tag not in _SHAPES:
        raise DataError(f"{where}: expected one of {', '.join(_SHAPES)}, found a {shape.tag}")
    if shape.tag == "points":
        return [ObjectLabel(label, point_box(where, x, y)) for x, y in _points(where, shape)]
    if shape.tag == "polygon":
        return [outline(where, label, [_points(where, shape)], size_wh)]
    if shape.tag == "mask":
        return [_mask(where, label, shape, size_wh)]
    degrees = _number(shape, "rotation", where, 0.0)
    if shape.tag == "ellipse":
        cx, cy, rx, ry = (_number(shape, name, where) for name in ("cx", "cy", "rx", "ry"))
        return [outline(where, label, [ellipse((cx, cy), (rx, ry), degrees)], size_wh)]
    x1, y1, x2, y2 = (_number(shape, name, where) for name in ("xtl", "ytl", "xbr", "ybr"))
    middle = ((x1 + x2) / 2, (y1 + y2) / 2)
    return [ObjectLabel(label, rotated_box(where, (x1, y1, x2 - x1, y2 - y1), degrees, middle))]


def _mask(where: str, label: str, shape: Element, size_wh: tuple[int, int]) -> ObjectLabel:
    left, top, width, height = (int(_number(shape, name, where)) for name in ("left", "top", "width", "height"))
    if not (left >= 0 < width <= size_wh[0] - left and top >= 0 < height <= size_wh[1] - top):
        raise DataError(f"{where}: expected a mask inside of {size_wh[0]}x{size_wh[1]} pixels, found one outside")
    try:
        runs = [int(run) for run in shape.get("rle", "").split(",")]
        region = cvat_region(runs, left, top, (width, height))
    except (ValueError, DataError) as error:
        raise DataError(f"{where}: expected run lengths of a mask of {width}x{height} pixels, found others") from error
    if region is None:
        raise DataError(f"{where}: expected a mask with pixels inside, found an empty one")
    return ObjectLabel(label, region.box_xywh, region)


def _points(where: str, shape: Element) -> NDArray[np.float64]:
    pairs: Sequence[str] = [pair for pair in shape.get("points", "").split(";") if pair]
    try:
        return np.array([[float(value) for value in pair.split(",")] for pair in pairs], float).reshape(len(pairs), 2)
    except ValueError as error:
        raise DataError(f"{where}: expected points as x,y;x,y, found {shape.get('points', '')[:60]!r}") from error


def _whole(meta: Element, name: str, where: str) -> int:
    text = (meta.findtext(name) or "0").strip()
    if not text.isdecimal() or len(text) > 9:
        raise DataError(f"{where}: expected a whole number for {name}, found {text[:60]!r}")
    return int(text)


def _frame(shape: Element, where: str) -> int:
    frame = int(_number(shape, "frame", where))
    if not 0 <= frame <= _MAX_FRAME:
        raise DataError(f"{where}: expected a frame number from 0 to {_MAX_FRAME:,}, found {frame}")
    return frame


def _number(element: Element, name: str, where: str, default: float | None = None) -> float:
    text = element.get(name)
    if text is None and default is not None:
        return default
    try:
        value = float(text or "")
    except ValueError as error:
        raise DataError(f"{where}: expected a number {name} in <{element.tag}>, found {text!r}") from error
    if not math.isfinite(value):
        raise DataError(f"{where}: expected a finite {name} in <{element.tag}>, found {text!r}")
    return value
