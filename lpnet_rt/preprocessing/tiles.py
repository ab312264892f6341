"""Tiles: overlapping squares of one size that cover a frame; cut them and fuse their results.

Tiles lie in rows and columns, so each axis has its own layout. There are two layouts. If a network's receptive field is
the whole tile, tiles are blended (:func:`spread_spans`, :func:`blending_weights`). If its reach is known, every pixel
is taken from one tile that has the full reach around it (:func:`aligned_spans`), which gives the whole frame's result.
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
        end: One past its last pixel; beyond the frame if the frame is smaller than a tile.
        first: First pixel that is taken from the tile.
        last: One past the last pixel that is taken.
    """

    start: int
    end: int
    first: int
    last: int


def spread_spans(size_px: int, tile_px: int, overlap_px: int) -> list[Span]:
    """Spread tiles evenly, the first and last flush with the frame's edges; all of each is used.

    Args:
        size_px: Size of the frame along this axis.
        tile_px: Side of a tile.
        overlap_px: Minimum overlap of neighbours.
    """
    number = _number(size_px, tile_px, overlap_px)
    starts = [round(i * (size_px - tile_px) / (number - 1)) for i in range(number)] if number > 1 else [0]
    return [Span(start, start + tile_px, start, start + tile_px) for start in starts]


def aligned_spans(size_px: int, max_tile_px: int, margin_px: int, grid_px: int) -> list[Span]:
    """Lay out the fewest tiles, as small as possible, that start on a grid; every pixel is taken from one of them.

    Args:
        size_px: Size of the frame along this axis; a multiple of the grid.
        max_tile_px: Largest side of a tile; a multiple of the grid.
        margin_px: Margin around every pixel taken from a tile, except at the frame's edges; a multiple of the grid.
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
        spans: Result of :func:`spread_spans`.
        size_px: Size of the frame along this axis.
        ramp_px: Pixels over which a weight rises from 0 to 1.
        margin_px: Outermost pixels of a tile with weight 0 where a neighbour covers them.

    Returns:
        (tiles, side) float32; they sum to 1 at every pixel.
    """
    side = spans[0].end - spans[0].start
    inward = np.arange(side) + 0.5 - margin_px
    rise = np.sin(0.5 * math.pi * np.clip(inward / max(ramp_px, 0.5), 0, 1)) ** 2
    weights = np.ones((len(spans), side))
    weights[1:] *= rise
    weights[:-1] *= rise[::-1]
    pixels = np.asarray([span.start for span in spans])[:, None] + np.arange(side)
    total = np.bincount(pixels.ravel(), weights.ravel(), minlength=max(size_px, side))
    return (weights / total[pixels]).astype(np.float32)


def split(image: NDArray[Any], rows: Sequence[Span], columns: Sequence[Span]) -> Iterator[NDArray[Any]]:
    """Cut (..., H, W) into tiles (..., side, side), row by row; read-only views.

    If the frame is smaller than a tile, its last row or column is repeated.
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
    """Sum the used part of every tile at its position.

    Args:
        tiles: (..., side, side) each, in the order of :func:`split`; consumed one at a time.
        out: (..., H, W), zeros, covering the last tile; receives the sum.
        spans: Spans of the rows and of the columns.
        weights: (tiles, side) per axis, where whole tiles are blended.
    """
    rows, columns = spans
    cells = product(enumerate(rows), enumerate(columns))
    for ((i, row), (j, column)), tile in zip(cells, tiles, strict=True):
        part = tile[
            ...,
            row.first - row.start : row.last - row.start,
            column.first - column.start : column.last - column.start,
        ]
        if weights is not None:
            part = part * weights[0][i][:, None] * weights[1][j][None, :]
        out[..., row.first : row.last, column.first : column.last] += part


def _number(size_px: int, tile_px: int, overlap_px: int) -> int:
    """Return the fewest tiles that cover the frame with at least the given overlap."""
    return -(-(size_px - overlap_px) // (tile_px - overlap_px)) if size_px > tile_px else 1
