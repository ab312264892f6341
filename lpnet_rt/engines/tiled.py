"""Frames too large to score at once, in overlapping tiles at native resolution.

A frame is standardised whole, so tiles share its scale. They start at multiples of 16 pixels, so that the network's
grids of 4, 8 and 16 pixels lie in a tile as they lie in the frame, and overlap by twice what the global view sees: the
scores that are kept of a tile are those that the whole frame would have had, to rounding, and no seam can show. One
thing differs: the local view looks at its K cells in every tile, and so at more cells of a tiled frame.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lpnet_rt.preprocessing.rules import ModelInput
from lpnet_rt.preprocessing.tiles import aligned_spans, fuse, split

__all__ = ["TILE_PX", "UNTILED_PX", "score_in_tiles"]

# A tile of 3072 pixels keeps 2432 of its side with the packaged network: three fifths more arithmetic than needed.
TILE_PX = 3072
# Larger frames are tiled: 8192x8192 at once takes 4.7 GiB and 7.8 s in OpenVINO f32 on two processors, in tiles 1.5 GiB
# and 4.9 s.
UNTILED_PX = 4096 * 4096


def score_in_tiles(
    score: Callable[[ModelInput], NDArray[np.float32]],
    batch: ModelInput,
    reach_px: int,
    grid_px: int = 16,
    tile_px: int = TILE_PX,
) -> NDArray[np.float32]:
    """Score large inputs.

    Args:
        score: Of an engine; gets tiles of one size, one after the other: memory is what they are for.
        batch: (B, C, H, W) float32; sides are multiples of the grid.
        reach_px: How far from a pixel its score depends on the frame; a multiple of the grid.
        grid_px: Tiles start at multiples of this many pixels.
        tile_px: Largest side of a tile; a multiple of the grid and over twice ``reach_px``.

    Returns:
        (B, 1, H, W) float32 in 0..1.

    Raises:
        ValueError: Of a tile nothing is kept, or a size is no multiple of the grid.
    """
    if tile_px % grid_px or reach_px % grid_px or tile_px <= 2 * reach_px:
        raise ValueError(f"tiles: expected multiples of {grid_px} and tile > 2 * reach, found {tile_px} and {reach_px}")
    rows, columns = (aligned_spans(size_px, tile_px, reach_px, grid_px) for size_px in batch.shape[2:])
    tiles = (score(np.ascontiguousarray(tile)) for tile in split(batch, rows, columns))
    scores = np.zeros((len(batch), 1, *batch.shape[2:]), np.float32)
    fuse(tiles, scores, (rows, columns))
    return scores
