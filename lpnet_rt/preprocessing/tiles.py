"""Tiles: squares of one size that cover a frame and overlap, cut out of it and put together again.

Tiles lie in rows and columns, so each axis is laid out by itself. There are two layouts. Where a network looks over the
whole tile, tiles are blended (:func:`spread_spans`, :func:`blending_weights`). Where it is known how far it sees, every
pixel is taken from the one tile that has all of that around it (:func:`aligned_spans`): the whole frame's result.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Span", "aligned_spans", "blending_weights", "fuse", "split", "spread_spans"]


@dataclass(frozen=True, slots=True)
class Span:
    """One tile along one axis, in pixels of the frame; ends are exclusive.

    Attributes:
        start: First pixel of the tile.
        end: The one after its last; beyond the frame where that is smaller than a tile.
        first: First pixel that is taken from the tile.
        last: The one after the last that is.
    """

    start: int
    end: int
    first: int
    last: int


def spread_spans(size_px: int, tile_px: int, overlap_px: int) -> list[Span]:
    """Tiles of a given side, evenly spread, the first and the last flush with the frame's edges; all of each is taken.

    Args:
        size_px: Of the frame, along this axis.
        tile_px: Side of a tile.
        overlap_px: Smallest overlap of neighbours.
    """
    number = _number(size_px, tile_px, overlap_px)
    starts = [round(i * (size_px - tile_px) / (number - 1)) for i in range(number)] if number > 1 else [0]
    return [Span(start, start + tile_px, start, start + tile_px) for start in starts]


def aligned_spans(size_px: int, max_tile_px: int, margin_px: int, grid_px: int) -> list[Span]:
    """Tiles as small as so few of them can be, that start on a grid; every pixel is taken from one of them.

    Args:
        size_px: Of the frame, along this axis; a multiple of the grid.
        max_tile_px: Largest side of a tile; a multiple of the grid.
        margin_px: What a pixel that is taken must have around it in its tile, where the frame does not end before; a
            multiple of the grid.
        grid_px: Tiles start at multiples of this many pixels.
    """
    number = _number(size_px, max_tile_px, 2 * margin_px)
    if number == 1:
        return [Span(0, size_px, 0, size_px)]
    side = -(-(size_px + (number - 1) * 2 * margin_px) // number)
    side = -(-side // grid_px) * grid_px
    starts = [min(i * (side - 2 * margin_px), size_px - side) for i in range(number)]
    borders = [0, *(start + margin_px for start in starts[1:]), size_px]
    return [Span(start, start + side, borders[i], borders[i + 1]) for i, start in enumerate(starts)]


def blending_weights(spans: Sequence[Span], size_px: int, ramp_px: int, margin_px: int) -> NDArray[np.float32]:
    """Weights of tiles along one axis: a raised cosine where they overlap, 1 elsewhere and at the frame's edges.

    Args:
        spans: Of :func:`spread_spans`.
        size_px: Of the frame, along this axis.
        ramp_px: Pixels over which a weight rises from 0 to 1.
        margin_px: Outermost pixels of a tile that count for nothing where a neighbour has them further inside.

    Returns:
        (tiles, side) float32; over every pixel they add up to 1.
    """
    side = spans[0].end - spans[0].start
    inward = np.arange(side) + 0.5 - margin_px
    rise = np.sin(0.5 * math.pi * np.clip(inward / max(ramp_px, 0.5), 0, 1)) ** 2
    weights = np.ones((len(spans), side))
    weights[1:] *= rise
    weights[:-1] *= rise[::-1]
    places = np.asarray([span.start for span in spans])[:, None] + np.arange(side)
    total = np.bincount(places.ravel(), weights.ravel(), minlength=max(size_px, side))
    return (weights / total[places]).astype(np.float32)


def split(image: NDArray[Any], rows: Sequence[Span], columns: Sequence[Span]) -> Iterator[NDArray[Any]]:
    """Cut (..., H, W) into tiles (..., side, side), row by row; views, not to be changed.

    Where the frame is smaller than a tile, its last row or column is repeated.
    """
    below, right = max(rows[-1].end - image.shape[-2], 0), max(columns[-1].end - image.shape[-1], 0)
    if below or right:
        image = np.pad(image, [(0, 0)] * (image.ndim - 2) + [(0, below), (0, right)], mode="edge")
    for row, column in product(rows, columns):
        yield image[..., row.start : row.end, column.start : column.end]


def fuse(
    tiles: Iterable[NDArray[np.float32]],
    out: NDArray[np.float32],
    spans: tuple[Sequence[Span], Sequence[Span]],
    weights: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None,
) -> None:
    """Add up what is taken of every tile where it belongs.

    Args:
        tiles: (..., side, side) each, in the order of :func:`split`; taken one after the other.
        out: (..., H, W), zeros, at least as large as the last tile reaches; gets the sum.
        spans: Of the rows and of the columns.
        weights: (tiles, side) of each axis, where all of a tile is taken and must be weighted.
    """
    rows, columns = spans
    places = product(enumerate(rows), enumerate(columns))
    for ((i, row), (j, column)), tile in zip(places, tiles, strict=True):
        part = tile[
            ...,
            row.first - row.start : row.last - row.start,
            column.first - column.start : column.last - column.start,
        ]
        if weights is not None:
            part = part * weights[0][i][:, None] * weights[1][j][None, :]
        out[..., row.first : row.last, column.first : column.last] += part


def _number(size_px: int, tile_px: int, overlap_px: int) -> int:
    """How few tiles of a side cover a frame with at least so much overlap."""
    return -(-(size_px - overlap_px) // (tile_px - overlap_px)) if size_px > tile_px else 1
