"""Frames too large to score at once, in overlapping tiles at native resolution.

A frame is standardised whole, so tiles share its scale. They start at multiples of 16 pixels, so that the network's
grids of 4, 8 and 16 pixels lie in a tile as they lie in the frame, and overlap by twice what the global view sees: the
scores that are kept of a tile are those that the whole frame would have had, to rounding, and no seam can show. One
thing differs: the local view looks at its K cells in every tile, and so at more cells of a tiled frame.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lpnet_rt.engines.base import Engine
from lpnet_rt.preprocessing.rules import ModelInput
from lpnet_rt.preprocessing.tiles import aligned_spans, fuse, split

__all__ = ["TILE_PX", "UNTILED_PX", "TiledEngine"]

# A tile of 3072 pixels keeps 2432 of its side with the packaged network: three fifths more arithmetic than needed.
TILE_PX = 3072
# Larger frames are tiled: 8192x8192 at once takes 4.7 GiB and 7.8 s in OpenVINO f32 on two processors, in tiles 1.5 GiB
# and 4.9 s.
UNTILED_PX = 4096 * 4096


class TiledEngine:
    """An engine for LPNet-RT that tiles what is large and passes on what is not."""

    def __init__(
        self,
        engine: Engine,
        reach_px: int,
        untiled_px: int = UNTILED_PX,
        tile_px: int = TILE_PX,
        grid_px: int = 16,
    ) -> None:
        """Wrap an engine.

        Args:
            engine: Gets tiles of one size, one after the other: memory is what they are for.
            reach_px: How far from a pixel its score depends on the frame; a multiple of the grid.
            untiled_px: Pixels of a frame up to which it is scored at once.
            tile_px: Largest side of a tile, in pixels; a multiple of the grid and over twice ``reach_px``.
            grid_px: Tiles start at multiples of this many pixels.

        Raises:
            ValueError: The tile keeps nothing, or a size is no multiple of the grid.
        """
        if tile_px % grid_px or reach_px % grid_px or tile_px <= 2 * reach_px:
            wanted = f"multiples of {grid_px} and tile > 2 * reach"
            raise ValueError(f"tiles: expected {wanted}, found {tile_px} and {reach_px}")
        self._engine = engine
        self._untiled_px, self._tile_px, self._reach_px, self._grid_px = untiled_px, tile_px, reach_px, grid_px

    @property
    def name(self) -> str:
        """Of the engine inside."""
        return self._engine.name

    @property
    def precision(self) -> str:
        """Of the engine inside."""
        return self._engine.precision

    def takes_whole(self, size_hw: tuple[int, int]) -> bool:
        """Whether a frame of this size is scored at once."""
        return size_hw[0] * size_hw[1] <= self._untiled_px

    def score(self, batch: ModelInput) -> NDArray[np.float32]:
        """See :class:`lpnet_rt.engines.base.Engine`; sides of the input are multiples of the grid."""
        frames, _, height, width = batch.shape
        if self.takes_whole((height, width)):
            return self._engine.score(batch)
        rows, columns = (
            aligned_spans(size_px, self._tile_px, self._reach_px, self._grid_px) for size_px in (height, width)
        )
        tiles = (self._engine.score(np.ascontiguousarray(tile)) for tile in split(batch, rows, columns))
        scores = np.zeros((frames, 1, height, width), np.float32)
        fuse(tiles, scores, (rows, columns))
        return scores
