"""Split feature maps into overlapping patches and fuse them again, on the input's device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from lpnet_rt.errors import SettingsError

__all__ = ["PatchGrid", "coverage", "fuse", "split"]


@dataclass(frozen=True, slots=True)
class PatchGrid:
    """Positions of patches: squares at a constant stride over a map that is zero-padded on every side.

    The defaults are those of the paper: on a 120x120 map, 16 x 16 patches, of which 14 x 14 touch the map.

    Attributes:
        patch_px: Side of a patch, in pixels of the map.
        stride_px: Distance between the starts of adjacent patches; a stride over ``patch_px`` leaves gaps.
        padding_px: Zeros added on every side of the map.

    Raises:
        SettingsError: A patch or a stride under 1, or a negative padding.
    """

    patch_px: int = 30
    stride_px: int = 10
    padding_px: int = 30

    def __post_init__(self) -> None:
        if self.patch_px < 1 or self.stride_px < 1 or self.padding_px < 0:
            raise SettingsError(f"patch grid: expected patch >= 1, stride >= 1, padding >= 0, found {self}")

    def shape(self, size_hw: tuple[int, int]) -> tuple[int, int]:
        """Return the rows and columns of patches on a map of ``size_hw`` pixels.

        Raises:
            SettingsError: The map is smaller than one patch, or the last patch does not end where the map ends.
        """
        return self._along(size_hw[0], "height"), self._along(size_hw[1], "width")

    def without_border(self) -> PatchGrid:
        """Return the grid without the patches that lie wholly in the padding.

        Outside training, patches are scored independently, so dropping these changes no pixel.
        """
        outside = 0 if self.padding_px < self.patch_px else (self.padding_px - self.patch_px) // self.stride_px + 1
        outside = min(
            outside, self.padding_px // self.stride_px
        )  # only a stride larger than a patch can step past the map
        return PatchGrid(self.patch_px, self.stride_px, self.padding_px - outside * self.stride_px)

    def inside(self) -> PatchGrid:
        """Return the grid without padding: patches wholly inside the map, as used in training."""
        return PatchGrid(self.patch_px, self.stride_px, 0)

    def _along(self, size_px: int, side: str) -> int:
        room = size_px + 2 * self.padding_px - self.patch_px
        if room < 0 or room % self.stride_px:
            below = size_px - room % self.stride_px if room >= 0 else self.patch_px - 2 * self.padding_px
            raise SettingsError(
                f"patch grid: {side} must be {self.patch_px} - 2*{self.padding_px} + n*{self.stride_px} px "
                f"(n = 0, 1, ...), found {size_px}; resize or pad it, for example to {max(below, 1)}"
            )
        return room // self.stride_px + 1


def split(features: Tensor, grid: PatchGrid) -> Tensor:
    """Cut every map of a batch into its patches.

    Args:
        features: (B, C, H, W), any dtype and device.
        grid: Positions of the patches; P = rows * columns of ``grid.shape((H, W))``.

    Returns:
        (B*P, C, patch, patch), contiguous: image by image, and row by row within an image.

    Raises:
        SettingsError: The grid does not fit the map.
    """
    rows, columns = grid.shape((features.shape[2], features.shape[3]))
    side, step, pad = grid.patch_px, grid.stride_px, grid.padding_px
    padded = functional.pad(features, (pad, pad, pad, pad)) if pad else features
    windows = padded.unfold(2, side, step).unfold(3, side, step)  # (B, C, rows, columns, side, side), a view
    batch, channels = features.shape[0], features.shape[1]
    return windows.permute(0, 2, 3, 1, 4, 5).reshape(batch * rows * columns, channels, side, side)


def fuse(patches: Tensor, size_hw: tuple[int, int], grid: PatchGrid) -> tuple[Tensor, Tensor]:
    """Sum overlapping patches at their positions; parts in the padding are dropped.

    Args:
        patches: (B*P, C, patch, patch) floating point, in the order of :func:`split`.
        size_hw: Height and width of the map, in pixels.
        grid: Positions of the patches.

    Returns:
        The sum, (B, C, H, W), and the number of patches over each pixel, (1, 1, H, W), both in the patches' dtype.

    Raises:
        SettingsError: The grid does not fit the map, or the number or size of the patches does not fit the grid.
    """
    rows, columns = grid.shape(size_hw)
    side, number = grid.patch_px, rows * columns
    if patches.ndim != 4 or patches.shape[0] % number or patches.shape[2:] != (side, side):
        raise SettingsError(
            f"patches: expected (a multiple of {number}, C, {side}, {side}) for a map of {size_hw[0]}x{size_hw[1]}, "
            f"found {tuple(patches.shape)}"
        )
    batch, channels = patches.shape[0] // number, patches.shape[1]
    columns_of_patches = patches.reshape(batch, number, channels * side * side).transpose(1, 2)
    total = functional.fold(columns_of_patches, size_hw, side, padding=grid.padding_px, stride=grid.stride_px)
    return total, coverage(size_hw, grid, like=patches)


def coverage(size_hw: tuple[int, int], grid: PatchGrid, like: Tensor) -> Tensor:
    """Return the number of patches over each pixel: (1, 1, H, W), dtype and device of ``like``.

    Raises:
        SettingsError: The grid does not fit the map.
    """
    rows, columns = grid.shape(size_hw)
    down = _coverage_along(size_hw[0], rows, grid, like.device)
    across = _coverage_along(size_hw[1], columns, grid, like.device)
    return (down[:, None] * across[None, :]).to(like.dtype)[None, None]


def _coverage_along(size_px: int, number: int, grid: PatchGrid, device: torch.device) -> Tensor:
    """Return the patches over each pixel along one axis, (size,) int64: first to last patch that covers it."""
    pixel = torch.arange(size_px, device=device) + grid.padding_px
    last = torch.div(pixel, grid.stride_px, rounding_mode="floor").clamp(max=number - 1)
    first = torch.div(pixel - grid.patch_px + grid.stride_px, grid.stride_px, rounding_mode="floor").clamp(min=0)
    return (last - first + 1).clamp(min=0)
