"""Frames too large to score at once, in overlapping tiles at native resolution.

A frame is standardised whole, so tiles share its scale. They start at multiples of 16 pixels, so that the network's
grids of 4, 8 and 16 pixels lie in a tile as they lie in the frame, and overlap by twice what the global view sees: the
scores that are kept of a tile are those that the whole frame would have had, to rounding, and no seam can show. One
thing differs: the local view looks at its K cells in every tile, and so at more cells of a tiled frame.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from lpnet_rt.engines.base import Engine
from lpnet_rt.preprocessing.frame_and_local import ModelInput

__all__ = ["TILE_PX", "UNTILED_PX", "TiledEngine", "seen_px", "spans"]

# A tile of 3072 pixels keeps 2432 of its side with the packaged network: three fifths more arithmetic than needed.
TILE_PX = 3072
# Larger frames are tiled: 8192x8192 at once takes 4.7 GiB and 7.8 s in OpenVINO f32 on two processors, in tiles 1.5 GiB
# and 4.9 s.
UNTILED_PX = 4096 * 4096

_GRID_PX = 16
_SCENE_REACH_PX = 7 * 16


class TiledEngine:
    """An engine for LPNet-RT that tiles what is large and passes on what is not."""

    def __init__(
        self,
        engine: Engine,
        seen_px: int,
        untiled_px: int = UNTILED_PX,
        tile_px: int = TILE_PX,
        grid_px: int = _GRID_PX,
    ) -> None:
        """Wrap an engine.

        Args:
            engine: Gets tiles of one size, one after the other: memory is what they are for.
            seen_px: How far scores depend on what is around, see :func:`seen_px`; a multiple of the grid.
            untiled_px: Pixels of a frame up to which it is scored at once.
            tile_px: Largest side of a tile, in pixels; a multiple of the grid and over twice ``seen_px``.
            grid_px: Tiles start at multiples of this many pixels.

        Raises:
            ValueError: The tile keeps nothing, or a size is no multiple of the grid.
        """
        if tile_px % grid_px or seen_px % grid_px or tile_px <= 2 * seen_px:
            wanted = f"multiples of {grid_px} and tile > 2 * seen"
            raise ValueError(f"tiles: expected {wanted}, found {tile_px} and {seen_px}")
        self._engine = engine
        self._untiled_px, self._tile_px, self._seen_px, self._grid_px = untiled_px, tile_px, seen_px, grid_px

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
        scores = np.empty((frames, 1, height, width), np.float32)
        for top, bottom, first, last in spans(height, self._tile_px, self._seen_px, self._grid_px):
            for left, right, begin, end in spans(width, self._tile_px, self._seen_px, self._grid_px):
                tile = np.ascontiguousarray(batch[:, :, top:bottom, left:right])
                found = self._engine.score(tile)
                scores[:, :, first:last, begin:end] = found[:, :, first - top : last - top, begin - left : end - left]
        return scores


def seen_px(config: Mapping[str, object]) -> int:
    """How far a network's global view sees to every side, in pixels, rounded up to a multiple of 16 (320 as packaged).

    A 3x3 convolution sees one step of its grid of 4, 8 or 16 pixels further, the mean over the scene 7 of 16; where one
    grid is read on another, its cells reach over by one step at most.

    Args:
        config: Of a model card of LPNet-RT: ``blocks`` at each grid, and ``scene``.
    """
    at4, at8, at16 = msgspec.convert(config["blocks"], tuple[int, int, int])
    convolutions = 4 * (1 + 2 * at4 + 1 + 2) + 8 * (2 * at8 + 1 + 2) + 16 * 2 * at16
    scene = _SCENE_REACH_PX if config.get("scene") else 0
    reach = convolutions + scene + 4 + 8 + _GRID_PX
    return -(-reach // _GRID_PX) * _GRID_PX


def spans(size_px: int, tile_px: int, seen_px: int, grid_px: int = _GRID_PX) -> list[tuple[int, int, int, int]]:
    """Where tiles lie along one axis.

    Args:
        size_px: Of the frame; a multiple of the grid.
        tile_px: Largest side of a tile.
        seen_px: What a kept pixel must have around it inside its tile, where the frame does not end before.
        grid_px: Tiles start at multiples of this many pixels.

    Returns:
        First pixel of each tile and the one after its last, then first pixel that is kept and the one after the last
        that is. All tiles have one size.
    """
    if size_px <= tile_px:
        return [(0, size_px, 0, size_px)]
    number = -(-(size_px - 2 * seen_px) // (tile_px - 2 * seen_px))
    # As small as so many tiles can be.
    side = -(-(size_px + (number - 1) * 2 * seen_px) // number)
    side = -(-side // grid_px) * grid_px
    starts = [min(i * (side - 2 * seen_px), size_px - side) for i in range(number)]
    kept = [start + seen_px for start in starts[1:]]
    return [
        (start, start + side, first, last)
        for start, first, last in zip(starts, [0, *kept], [*kept, size_px], strict=True)
    ]
