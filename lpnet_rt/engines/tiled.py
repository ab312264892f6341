"""Scoring of frames that are too large for one pass, in overlapping tiles at native resolution.

The whole frame is standardised first, so tiles share its scale. Tiles start at multiples of 16 pixels, so that the
network's grids of 4, 8 and 16 pixels have the same phase as in the frame, and overlap by twice the reach of the global
view: the scores kept of a tile equal those of the whole frame up to rounding, without seams. There is one difference:
the local view looks at K cells per tile, and so at more cells of a tiled frame.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lpnet_rt.preprocessing.rules import ModelInput
from lpnet_rt.preprocessing.tiles import aligned_spans, fuse, split

__all__ = ["TILE_PX", "UNTILED_PX", "score_in_tiles"]

# With the packaged network, 2432 of 3072 pixels of a side are kept: three fifths more arithmetic than one pass.
TILE_PX = 3072
# Larger frames are tiled: 8192x8192 at once takes 4.7 GiB and 7.8 s in OpenVINO f32 on two cores; in tiles, 1.5 GiB
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
        score: An engine's ``score``; gets tiles of one size, one at a time to bound memory.
        batch: (B, C, H, W) float32; sides are multiples of the grid.
        reach_px: How far from a pixel its score depends on the frame; a multiple of the grid.
        grid_px: Tiles start at multiples of this many pixels.
        tile_px: Largest side of a tile; a multiple of the grid and over twice ``reach_px``.

    Returns:
        (B, 1, H, W) float32 in 0..1.

    Raises:
        ValueError: Nothing of a tile would be kept, or a size is not a multiple of the grid.
    """
    if tile_px % grid_px or reach_px % grid_px or tile_px <= 2 * reach_px:
        raise ValueError(f"tiles: expected multiples of {grid_px} and tile > 2 * reach, found {tile_px} and {reach_px}")
    rows, columns = (aligned_spans(size_px, tile_px, reach_px, grid_px) for size_px in batch.shape[2:])
    tiles = (score(np.ascontiguousarray(tile)) for tile in split(batch, rows, columns))
    scores = np.zeros((len(batch), 1, *batch.shape[2:]), np.float32)
    fuse(tiles, scores, (rows, columns))
    return scores
