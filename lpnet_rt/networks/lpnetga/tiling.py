"""Frames at native resolution: cut into overlapping tiles of one size, blended back without seams."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lpnet_rt.errors import SettingsError

__all__ = ["TileGrid", "blend", "cut"]


@dataclass(frozen=True, slots=True)
class TileGrid:
    """How tiles lie over a frame: evenly spread, the first and the last flush with the frame's edges.

    Attributes:
        tile_px: Side of a tile.
        overlap_px: Least overlap of neighbours; more where the frame's size asks for it.
        margin_px: Outermost pixels of a tile that count for nothing where a neighbour has them further inside.

    Raises:
        SettingsError: Unless tile > overlap >= 2 * margin >= 0.
    """

    tile_px: int = 120
    overlap_px: int = 40
    margin_px: int = 8

    def __post_init__(self) -> None:
        if not (self.tile_px > self.overlap_px >= 2 * self.margin_px >= 0):
            raise SettingsError(f"tiles: expected tile > overlap >= 2 * margin >= 0, found {self}")

    def starts(self, size_px: int) -> list[int]:
        """First pixel of every tile along one axis; a frame smaller than a tile has one, which reaches beyond it.

        Raises:
            SettingsError: A size under 1.
        """
        if size_px < 1:
            raise SettingsError(f"tiles: expected a frame of at least 1 px, found {size_px}")
        if size_px <= self.tile_px:
            return [0]
        number = math.ceil((size_px - self.overlap_px) / (self.tile_px - self.overlap_px))
        return [round(index * (size_px - self.tile_px) / (number - 1)) for index in range(number)]

    def count(self, size_hw: tuple[int, int]) -> int:
        """Tiles over a frame of ``size_hw`` pixels."""
        return len(self.starts(size_hw[0])) * len(self.starts(size_hw[1]))


def cut(frames: Tensor, tiles: TileGrid) -> Tensor:
    """Cut every frame of a batch into its tiles, in one gather on the frames' device.

    Where a frame is smaller than a tile, its last row or column is repeated.

    Args:
        frames: (B, C, H, W), any dtype.
        tiles: How the tiles lie.

    Returns:
        (B*T, C, tile, tile): frame by frame, in each row by row; T is ``tiles.count((H, W))``.
    """
    batch, channels, height, width = frames.shape
    rows = _places(height, tiles, frames.device).clamp(max=height - 1)  # (down, tile)
    columns = _places(width, tiles, frames.device).clamp(max=width - 1)  # (across, tile)
    cells = frames[:, :, rows[:, None, :, None], columns[None, :, None, :]]  # (B, C, down, across, tile, tile)
    side = tiles.tile_px
    return cells.permute(0, 2, 3, 1, 4, 5).reshape(batch * len(rows) * len(columns), channels, side, side)


def blend(maps: Tensor, size_hw: tuple[int, int], tiles: TileGrid) -> Tensor:
    """Blend the maps of tiles into maps of frames.

    Every pixel is a weighted mean of the tiles that hold it. The weights fall to 0 along a raised cosine towards the
    edge of a tile, so that no seam shows; at the edge of the frame they stay.

    Args:
        maps: (B*T, C, tile, tile) floating point, in the order of :func:`cut`.
        size_hw: Height and width of the frames, in pixels.
        tiles: How the tiles lie.

    Returns:
        (B, C, H, W), in the dtype of the maps.

    Raises:
        SettingsError: The number or size of the maps does not fit the frame.
    """
    down, across, side = len(tiles.starts(size_hw[0])), len(tiles.starts(size_hw[1])), tiles.tile_px
    if maps.ndim != 4 or maps.shape[0] % (down * across) or maps.shape[2:] != (side, side):
        raise SettingsError(
            f"tiles: expected maps (a multiple of {down * across}, C, {side}, {side}) for a frame of "
            f"{size_hw[0]}x{size_hw[1]}, found {tuple(maps.shape)}"
        )
    batch, channels = maps.shape[0] // (down * across), maps.shape[1]
    cells = maps.view(batch, down, across, channels, side, side).permute(0, 3, 1, 4, 2, 5)
    joined = _join(cells.reshape(batch, channels, down * side, across * side), 2, size_hw[0], tiles)
    return _join(joined, 3, size_hw[1], tiles)


def _join(maps: Tensor, dim: int, size_px: int, tiles: TileGrid) -> Tensor:
    """Add tiles that lie end to end along ``dim`` up where they belong, weighted."""
    places = _places(size_px, tiles, maps.device)
    weights = _weights(size_px, tiles, places).to(maps.dtype).flatten()
    shape = [1, 1, 1, 1]
    shape[dim] = -1
    target = list(maps.shape)
    target[dim] = size_px
    return maps.new_zeros(target).index_add_(dim, places.clamp(max=size_px - 1).flatten(), maps * weights.view(shape))


def _places(size_px: int, tiles: TileGrid, device: torch.device) -> Tensor:
    """(tiles, tile) int64: the pixel of the frame under each pixel of each tile along one axis; may lie beyond it."""
    starts = torch.tensor(tiles.starts(size_px), device=device)
    return starts[:, None] + torch.arange(tiles.tile_px, device=device)


def _weights(size_px: int, tiles: TileGrid, places: Tensor) -> Tensor:
    """(tiles, tile) float64: weights along one axis that add up to 1 over every pixel of the frame."""
    ramp = tiles.overlap_px - 2 * tiles.margin_px
    inward = torch.arange(tiles.tile_px, device=places.device, dtype=torch.float64) + 0.5 - tiles.margin_px
    rise = torch.sin(0.5 * math.pi * (inward / max(ramp, 0.5)).clamp(0, 1)) ** 2
    weights = rise.new_ones(places.shape)
    weights[1:] *= rise
    weights[:-1] *= rise.flip(0)
    weights[places >= size_px] = 0
    total = weights.new_zeros(size_px).index_add_(0, places.clamp(max=size_px - 1).flatten(), weights.flatten())
    return weights / total[places.clamp(max=size_px - 1)]
