"""Pixels of labelled objects: polygons and the run lengths of three tools.

These are some ten lines each, so that no library is needed; tests compare them with pycocotools and with what Label
Studio's own encoder writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lpnet_rt.errors import DataError

__all__ = ["Region", "brush_region", "cropped", "cvat_region", "fill_rings", "row_runs_region"]

Box = tuple[float, float, float, float]

_CHANNELS = 4  # Label Studio's brush keeps RGBA
_OPAQUE = 128


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """Pixels of an object.

    Attributes:
        left: Column of the first pixel of ``inside``.
        top: Row of the first pixel of ``inside``.
        inside: (H, W) bool, the window around the object; at least one pixel is set.
    """

    left: int
    top: int
    inside: NDArray[np.bool_]

    @property
    def box_xywh(self) -> Box:
        """Box around the window: left, top, width, height in pixels."""
        height, width = self.inside.shape
        return float(self.left), float(self.top), float(width), float(height)

    def draw(self, mask: NDArray[np.uint8]) -> None:
        """Set the pixels to 255 in a (H, W) mask of the image."""
        height, width = self.inside.shape
        mask[self.top : self.top + height, self.left : self.left + width][self.inside] = 255


def cropped(mask: NDArray[np.bool_], left: int = 0, top: int = 0) -> Region | None:
    """Return the pixels that are set in a (H, W) mask, or None where none is.

    Args:
        mask: The mask.
        left: Column of the image at which it begins.
        top: Row of the image at which it begins.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    window = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Region(left + int(columns[0]), top + int(rows[0]), np.ascontiguousarray(window))


def fill_rings(rings: Sequence[NDArray[np.float64]], size_wh: tuple[int, int]) -> Region | None:
    """Fill polygons: the pixels whose centres lie inside one of them.

    Targets are a few pixels large: OpenCV's ``fillPoly``, which draws the edge too, would make them half as large
    again. A polygon between the centres of pixels takes the one that it lies in.

    Args:
        rings: (N, 2) x and y of corners, at least three; the first is not repeated or is, either way.
        size_wh: Width and height of the image.

    Returns:
        The pixels, or None where no polygon reaches into the image.
    """
    width, height = size_wh
    corners = np.concatenate(list(rings))
    low = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, (width, height))
    high = np.clip(np.ceil(corners.max(axis=0)).astype(int), 0, (width, height))
    if (high <= low).any():
        return None
    mask = np.zeros((high[1] - low[1], high[0] - low[0]), np.bool_)
    for ring in rings:
        filled = _fill(ring - low, mask.shape)
        if not filled.any():
            column, row = np.clip((ring.mean(axis=0) - low).astype(int), 0, (mask.shape[1] - 1, mask.shape[0] - 1))
            filled[row, column] = True
        mask |= filled
    return cropped(mask, int(low[0]), int(low[1]))


def _fill(ring: NDArray[np.float64], size_hw: tuple[int, ...]) -> NDArray[np.bool_]:
    """Fill one polygon by the even-odd rule, row by row, at the centres of pixels."""
    x1, y1 = ring[:, 0], ring[:, 1]
    x2, y2 = np.roll(x1, -1), np.roll(y1, -1)
    mask = np.zeros(size_hw, np.bool_)
    columns = np.arange(size_hw[1]) + 0.5
    for row in range(size_hw[0]):
        y = row + 0.5
        crossing = (y1 <= y) != (y2 <= y)
        if crossing.any():
            at = x1[crossing] + (y - y1[crossing]) * (x2 - x1)[crossing] / (y2 - y1)[crossing]
            mask[row] = np.searchsorted(np.sort(at), columns, side="right") % 2 == 1
    return mask


def row_runs_region(counts: bytes | str | Sequence[int], size_hw: tuple[int, int]) -> Region | None:
    """Decode COCO's run lengths: of pixels outside and inside in turn, column by column.

    Args:
        counts: Run lengths, or COCO's text of them: five bits a character from ``0`` on, a sixth for 'more follows',
            and from the fourth number on the difference to the last but one.
        size_hw: Height and width of the image.

    Returns:
        The pixels, or None where none is inside.

    Raises:
        DataError: The runs do not fill the image.
    """
    runs = _decode_text(counts) if isinstance(counts, bytes | str) else list(counts)
    height, width = size_hw
    flat = _expand(runs, height * width)
    return cropped(flat.reshape(width, height).T)


def _decode_text(text: bytes | str) -> list[int]:
    codes = text.encode("ascii", "replace") if isinstance(text, str) else text
    runs: list[int] = []
    value = shift = 0
    for code in codes:
        bits = code - 48
        if not 0 <= bits < 64 or shift > 60:
            raise DataError("expected COCO's text of run lengths, found other characters")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    if shift:
        raise DataError("expected COCO's text of run lengths, found one that breaks off")
    return runs


def cvat_region(runs: Sequence[int], left: int, top: int, size_wh: tuple[int, int]) -> Region | None:
    """Decode a mask of CVAT: run lengths outside and inside in turn, row by row, of a window of the image.

    Args:
        runs: Run lengths.
        left: Column of the window.
        top: Row of the window.
        size_wh: Width and height of the window.

    Raises:
        DataError: The runs do not fill the window.
    """
    width, height = size_wh
    return cropped(_expand(runs, width * height).reshape(height, width), left, top)


def _expand(runs: Sequence[int], total: int) -> NDArray[np.bool_]:
    if any(isinstance(run, bool) or not isinstance(run, int) or run < 0 for run in runs) or sum(runs) != total:
        raise DataError(f"expected run lengths that add up to {total:,} pixels, found others")
    inside = np.arange(len(runs)) % 2 == 1
    return np.repeat(inside, np.array(runs, np.int64))


def brush_region(packed: Sequence[int], size_wh: tuple[int, int]) -> Region | None:
    """Decode a brush mask of Label Studio: bytes of RGBA pixels, row by row, whose last channel says what is inside.

    The stream of bits begins with the number of values (32 bits), the bits of a value less 1 (5) and four lengths of
    counters, less 1 (4 each). Then blocks follow: a bit that says whether one value is repeated, two that choose the
    counter, the counter (less 1), and the value or values.

    Args:
        packed: The stream, a number from 0 to 255 for each byte.
        size_wh: Width and height of the image.

    Raises:
        DataError: The stream is of another size or breaks off.
    """
    width, height = size_wh
    try:
        bits = _Bits(packed)
        count, value_bits = bits.take(32), bits.take(5) + 1
        counters = [bits.take(4) + 1 for _ in range(4)]
        if count != width * height * _CHANNELS or value_bits != 8:
            raise DataError(f"expected a brush mask of {width}x{height} pixels, found one of {count:,} values")
        values = np.zeros(count, np.uint8)
        done = 0
        while done < count:
            repeated, counter = bits.take(1), counters[bits.take(2)]
            length = bits.take(counter) + 1
            if done + length > count:
                raise ValueError("a run that is too long")
            values[done : done + length] = bits.take(value_bits) if repeated else bits.take_bytes(length)
            done += length
    except (ValueError, OverflowError, TypeError) as error:
        raise DataError(f"expected a brush mask, found a damaged one ({error})") from error
    alpha = values.reshape(height, width, _CHANNELS)[:, :, _CHANNELS - 1]
    return cropped(alpha >= _OPAQUE)


class _Bits:
    """Reads numbers from a stream of bits, the highest bit first."""

    def __init__(self, packed: Sequence[int]) -> None:
        if not isinstance(packed, list):  # bytes(n) would be n zeros
            raise TypeError("no list of bytes")
        self._bits = np.unpackbits(np.frombuffer(bytes(packed), np.uint8))
        self._at = 0

    def take(self, count: int) -> int:
        """The next number of so many bits."""
        return int("".join(map(str, self._next(count))), 2)

    def take_bytes(self, count: int) -> NDArray[np.uint8]:
        """The next numbers of eight bits."""
        return np.packbits(self._next(8 * count))

    def _next(self, count: int) -> NDArray[np.uint8]:
        bits = self._bits[self._at : self._at + count]
        if len(bits) < count:
            raise ValueError("it breaks off")
        self._at += count
        return bits
