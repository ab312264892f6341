"""What a labelling tool says of images and videos, whatever its format.

Coordinates are pixels of the image, x to the right and y down, with the corner of the first pixel at (0, 0), as all
labelling tools have them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lpnet_rt.errors import DataError
from lpnet_rt.sources.limits import MAX_PIXELS, MAX_SIDE_PX
from lpnet_rt.training.imports.regions import Region, fill_rings

__all__ = [
    "Box",
    "ImageLabels",
    "Labels",
    "ObjectLabel",
    "VideoLabels",
    "checked_box",
    "ellipse",
    "outline",
    "point_box",
    "rotated_box",
    "split_of_path",
    "stated_size",
]

Box = tuple[float, float, float, float]

# Side of the box that stands for a point, as in boxes/NAME.csv without the columns w and h.
_POINT_BOX_PX = 16.0
_COORDINATE_LIMIT_PX = 1e6
_SQUARE_PX = 0.01
_ELLIPSE_CORNERS = 48


@dataclass(frozen=True, slots=True, eq=False)
class ObjectLabel:
    """One labelled object.

    Attributes:
        category: Name of its category.
        box_xywh: Box around it: top left corner, width, height.
        region: Its pixels, or None where only the box is known.
    """

    category: str
    box_xywh: Box
    region: Region | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ImageLabels:
    """One labelled image.

    Attributes:
        path: The image.
        size_wh: Its size as the labels state it, or None.
        objects: What is labelled in it; none is a frame without targets.
        recording: Recording that the labels name for it, or None.
        split: Part of the data set that the labels put it into, or None.
    """

    path: Path
    size_wh: tuple[int, int] | None
    objects: tuple[ObjectLabel, ...]
    recording: str | None = None
    split: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class VideoLabels:
    """One labelled video, or sequence of images.

    Attributes:
        name: Of the recording.
        frames: The video file, or the images of the sequence in order.
        size_wh: Its size as the labels state it, or None.
        objects: By frame number, from 0.
        ignored_xy: Centres of what counts neither way, by frame number.
        rate_hz: Frames per second of a sequence of images.
        frame_count: How many frames the labels count, or None.
        split: Part of the data set that the labels put it into, or None.
    """

    name: str
    frames: Path | tuple[Path, ...]
    size_wh: tuple[int, int] | None
    objects: dict[int, list[ObjectLabel]]
    ignored_xy: dict[int, list[tuple[float, float]]] = field(default_factory=dict)
    rate_hz: float = 30.0
    frame_count: int | None = None
    split: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """What was read.

    Attributes:
        images: Images.
        videos: Videos and sequences.
    """

    images: tuple[ImageLabels, ...] = ()
    videos: tuple[VideoLabels, ...] = ()


def checked_box(where: str, x: float, y: float, width: float, height: float) -> Box:
    """Return a box whose numbers make sense.

    Args:
        where: File and object, for the message.
        x: Left edge.
        y: Upper edge.
        width: Width.
        height: Height.

    Raises:
        DataError: A number is not finite or too large, or the box has no area.
    """
    box = (float(x), float(y), float(width), float(height))
    if not all(math.isfinite(value) and abs(value) < _COORDINATE_LIMIT_PX for value in box) or min(box[2:]) <= 0:
        shown = ", ".join(f"{value:g}" for value in box)
        raise DataError(f"{where}: expected a box with a width and a height over 0, found x, y, w, h = {shown}")
    return box


def point_box(where: str, x: float, y: float) -> Box:
    """Return the box of 16 pixels around a point.

    Raises:
        DataError: As :func:`checked_box`.
    """
    return checked_box(where, x - _POINT_BOX_PX / 2, y - _POINT_BOX_PX / 2, _POINT_BOX_PX, _POINT_BOX_PX)


def rotated_box(where: str, box_xywh: Box, degrees: float, pivot_xy: tuple[float, float]) -> Box:
    """Return the upright box around a box that was turned clockwise.

    Args:
        where: File and object, for the message.
        box_xywh: The box before it was turned.
        degrees: By how much.
        pivot_xy: The point around which it was turned.

    Raises:
        DataError: As :func:`checked_box`.
    """
    x, y, width, height = checked_box(where, *box_xywh)
    if degrees == 0.0:
        return x, y, width, height
    corners = np.array([(x, y), (x + width, y), (x + width, y + height), (x, y + height)]) - pivot_xy
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turned = corners @ np.array([[cosine, sine], [-sine, cosine]]) + pivot_xy
    low, high = turned.min(axis=0), turned.max(axis=0)
    return checked_box(where, low[0], low[1], high[0] - low[0], high[1] - low[1])


def ellipse(centre_xy: tuple[float, float], radii_xy: tuple[float, float], degrees: float = 0.0) -> NDArray[np.float64]:
    """Return (48, 2) corners of a polygon like an ellipse that was turned clockwise around its centre."""
    angle = np.linspace(0.0, 2 * math.pi, _ELLIPSE_CORNERS, endpoint=False)
    across, along = radii_xy[0] * np.cos(angle), radii_xy[1] * np.sin(angle)
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turned = np.stack((across * cosine - along * sine, across * sine + along * cosine), axis=1)
    return np.asarray(turned + np.array(centre_xy))


def stated_size(where: str, width: int | None, height: int | None) -> tuple[int, int] | None:
    """Return the size of an image that labels state, or None where they state none.

    Raises:
        DataError: It is larger than any image that is read.
    """
    if not width or not height:
        return None
    if not (0 < width <= MAX_SIDE_PX and 0 < height <= MAX_SIDE_PX and width * height <= MAX_PIXELS):
        raise DataError(f"{where}: expected an image of at most {MAX_PIXELS:,} pixels, found {width}x{height}")
    return width, height


def split_of_path(path: str) -> str | None:
    """Return train, val or test where a folder or a file of that name says so; None elsewhere."""
    for part in re.split(r"[/._-]+", path.lower()):
        name = re.fullmatch(r"(train|valid|validation|val|test)(\d{4})?", part)
        if name:
            return "val" if name[1].startswith("val") else name[1]
    return None


def outline(where: str, category: str, rings: Sequence[NDArray[np.float64]], size_wh: tuple[int, int]) -> ObjectLabel:
    """Return an object by its outline; an upright rectangle counts as a box, which is all that its author drew.

    Args:
        where: File and object, for the message.
        category: Name of its category.
        rings: Polygons, (N, 2) x and y each; a pixel is inside by the even-odd rule, of each ring by itself.
        size_wh: Width and height of the image.

    Raises:
        DataError: A ring has fewer than three corners, or leaves no pixel of the image.
    """
    for ring in rings:
        if len(ring) < 3 or not np.isfinite(ring).all() or np.abs(ring).max() >= _COORDINATE_LIMIT_PX:
            raise DataError(f"{where}: expected polygons of at least 3 corners in pixels, found one of {len(ring)}")
    corners = np.concatenate(list(rings)) if rings else np.zeros((0, 2))
    if not len(corners):
        raise DataError(f"{where}: expected a polygon, found none")
    low, high = corners.min(axis=0), corners.max(axis=0)
    box = (float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1]))
    if len(rings) == 1 and _is_upright_rectangle(rings[0]):
        return ObjectLabel(category, checked_box(where, *box))
    region = fill_rings(rings, size_wh)
    if region is None:
        raise DataError(f"{where}: expected a polygon inside of {size_wh[0]}x{size_wh[1]} pixels, found one outside")
    return ObjectLabel(category, region.box_xywh, region)


def _is_upright_rectangle(ring: NDArray[np.float64]) -> bool:
    corners = ring[:-1] if len(ring) == 5 and np.array_equal(ring[0], ring[-1]) else ring
    if len(corners) != 4:
        return False
    steps = np.abs(corners - np.roll(corners, 1, axis=0)) > _SQUARE_PX
    return bool((steps.sum(axis=1) == 1).all())
