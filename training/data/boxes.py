"""Boxes of an image's targets: ``boxes/NAME.csv`` beside ``images/NAME.*``, with the heading ``x,y,w,h``."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from lpnet_rt.errors import DataError, reason
from lpnet_rt.files import read_limited, write_whole
from lpnet_rt.training.data.frames import Boxes

__all__ = ["read_image_boxes", "write_image_boxes"]

_COLUMNS = ("x", "y", "w", "h")
_LIMIT_BYTES = 16 << 20
_COORDINATE_LIMIT_PX = 1e6


def read_image_boxes(path: Path) -> Boxes:
    """Read (N, 4) float64: left, top, width, height in pixels; the corner of the first pixel is (0, 0).

    Raises:
        DataError: The file is missing, or a line is not ``x,y,w,h``.
    """
    content = read_limited(path, _LIMIT_BYTES, "file of boxes", DataError)
    try:
        lines = csv.DictReader(io.StringIO(content.decode("utf-8")))
        boxes = np.array([[float(line[name]) for name in _COLUMNS] for line in lines]).reshape(-1, 4)
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise DataError(f"{path}: expected lines of {','.join(_COLUMNS)}: {reason(error)}") from error
    if not (np.abs(boxes) < _COORDINATE_LIMIT_PX).all():  # NaN is not less either
        raise DataError(f"{path}: expected boxes in pixels, found numbers that are too large")
    return boxes


def write_image_boxes(path: Path, boxes_xywh: Iterable[tuple[float, float, float, float]]) -> None:
    """Write the boxes of an image, to a hundredth of a pixel.

    Raises:
        SinkError: The file exists or cannot be written.
    """
    lines = [",".join(_COLUMNS), *(",".join(f"{value:.2f}" for value in box) for box in boxes_xywh)]
    write_whole(path, ("\n".join(lines) + "\n").encode(), "boxes", overwrite=False)
