"""LPNet-RT's input computed on the frames' device: ``preprocessing.frame_and_local`` in PyTorch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from lpnet_rt.preprocessing.frame_and_local import (
    LOCAL_BLOCKS,
    LOCAL_LIMIT,
    LOCAL_STD_FLOOR,
    STD_FLOOR_8BIT,
    STD_FLOOR_RAW,
)

__all__ = ["Standardise"]

_BLOCK_PX = 4
_MARGIN = LOCAL_BLOCKS // 2


class Standardise(nn.Module):
    """Standardises frames of one size; its index tables are computed once."""

    def __init__(self, size_hw: tuple[int, int], multiple: int, min_side_px: int) -> None:
        """Compute the mirrored indices for padding and blurring.

        Args:
            size_hw: Height and width of the frames, in pixels.
            multiple: Pad both sides to a multiple of this many pixels, at the right and at the bottom, by mirroring.
            min_side_px: Pad both sides to at least this many pixels.
        """
        super().__init__()
        padded = [max(-(-side // multiple) * multiple, min_side_px) for side in size_hw]
        self._pads = padded != list(size_hw)
        for name, side, whole in zip(("rows", "columns"), size_hw, padded, strict=True):
            blocks = whole // _BLOCK_PX
            self.register_buffer(f"{name}_padded", _mirror(side, 0, whole), persistent=False)
            self.register_buffer(f"{name}_around", _mirror(blocks, _MARGIN, blocks + 2 * _MARGIN), persistent=False)
        self.rows_padded: Tensor
        self.rows_around: Tensor
        self.columns_padded: Tensor
        self.columns_around: Tensor

    def forward(self, frames: Tensor) -> Tensor:
        """Make the network's input.

        Args:
            frames: (B, H, W) uint8, or int16 holding the bits of uint16 counts (PyTorch computes little in uint16).

        Returns:
            (B, 2, H', W') float32.
        """
        raw = frames.dtype == torch.int16
        counts = (frames.int() & 0xFFFF).float() if raw else frames.float()
        if self._pads:
            counts = counts.index_select(1, self.rows_padded).index_select(2, self.columns_padded)
        centred = counts - counts.mean(dim=(1, 2), keepdim=True)
        # The second mean removes the rounding error of the first.
        centred = centred - centred.mean(dim=(1, 2), keepdim=True)
        std = centred.square().mean(dim=(1, 2), keepdim=True).sqrt()
        whole = centred / std.clamp(min=STD_FLOOR_RAW if raw else STD_FLOOR_8BIT)
        mean = self._blurred(functional.avg_pool2d(centred[:, None], _BLOCK_PX))
        square = self._blurred(functional.avg_pool2d(centred.square()[:, None], _BLOCK_PX))
        scale = (square - mean * mean).clamp(min=LOCAL_STD_FLOOR**2).rsqrt()
        local = (centred - _enlarged(mean)) * _enlarged(scale)
        return torch.stack((whole, local.clamp(-LOCAL_LIMIT, LOCAL_LIMIT)), dim=1)

    def _blurred(self, x: Tensor) -> Tensor:
        """Return the means of 9x9 of (B, 1, h, w), mirrored at the edges."""
        around = x.index_select(2, self.rows_around).index_select(3, self.columns_around)
        return functional.avg_pool2d(around, LOCAL_BLOCKS, stride=1)


def _enlarged(x: Tensor) -> Tensor:
    """Enlarge (B, 1, h, w) to (B, 4h, 4w)."""
    return functional.interpolate(x, scale_factor=_BLOCK_PX, mode="bilinear", align_corners=False)[:, 0]


def _mirror(length: int, before: int, size: int) -> Tensor:
    """Return (size,) indices into ``length`` elements, mirrored at both ends; ``before`` precede the first.

    Mirrors about the first and the last element, repeatedly if needed.
    """
    period = max(2 * length - 2, 1)
    index = np.mod(np.arange(size) - before, period)
    return torch.from_numpy(np.minimum(index, period - index) if length > 1 else np.zeros(size, np.int64))
