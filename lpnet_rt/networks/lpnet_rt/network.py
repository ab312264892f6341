"""LPNet-RT: a cheap global view selects candidate cells, a local view decides there.

The idea is that of Chen et al. (TAES 2022); the architecture is new. The global view works on a space-to-depth image (a
quarter of the frame's side, sixteen channels) and scores every pixel of the frame; the cells of 16x16 pixels with the
highest scores are cut out with a margin, at native resolution, as one batch, and a small patch net shared by all
of them corrects their scores. Everything else keeps the global view's score. Scores are independent sigmoids:
absolute, independent of the frame size, and able to report an empty frame.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["CELL_PX", "PATCH_PX", "LPNetRT", "LPNetRTConfig"]

CELL_PX: Final = 16
PATCH_PX = 32
_BLOCK_PX = 4
_INPUTS = 2
_SCENE_CELLS = 15
_CELL_BLOCKS = CELL_PX // _BLOCK_PX
_PATCH_BLOCKS = PATCH_PX // _BLOCK_PX
_MARGIN_BLOCKS = (_PATCH_BLOCKS - _CELL_BLOCKS) // 2


@dataclass(frozen=True, slots=True)
class LPNetRTConfig:
    """Shape of the network.

    Attributes:
        channels: Channels of the global view at 1/4, 1/8 and 1/16 of the frame's side.
        blocks: Residual blocks at each of these resolutions.
        hints: Channels, at native resolution, that the global view passes to the local view besides its score.
        local_channels: Channels of the patch net.
        local_blocks: Residual blocks of the patch net.
        patches: Cells per frame that the local view rescores (K).
        scene: Channels of the scene view, which adds context from about 240 pixels around; 0 disables it.
        offset: Added to every logit at the end. Chosen on validation data after training, so that a score of one half
            outlines a blob whatever the weight of target-free frames in training.
    """

    channels: tuple[int, int, int] = (32, 48, 80)
    blocks: tuple[int, int, int] = (1, 2, 3)
    hints: int = 3
    local_channels: int = 32
    local_blocks: int = 2
    patches: int = 16
    scene: int = 0
    offset: float = 0.0

    @property
    def min_side_px(self) -> int:
        """Minimum side, in pixels, of a frame with K cells."""
        return CELL_PX * (math.isqrt(self.patches - 1) + 1)

    def as_dict(self) -> dict[str, object]:
        """Return plain values for checkpoints and model cards."""
        return asdict(self)


class ConvNorm(nn.Sequential):
    """Convolution without bias, batch norm, and optionally ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, relu: bool = True) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        if relu:
            layers.append(nn.ReLU(inplace=True))
        super().__init__(*layers)


class Residual(nn.Module):
    """Two 3x3 convolutions beside the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvNorm(channels, channels)
        self.second = ConvNorm(channels, channels, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        return functional.relu(x + self.second(self.first(x)))


class SceneView(nn.Module):
    """Adds to every cell a function of the mean features around it: sky or ground, uniform or cluttered."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(_SCENE_CELLS, stride=1, padding=_SCENE_CELLS // 2, count_include_pad=False)
        self.first = nn.Conv2d(channels, width, 1)
        self.second = nn.Conv2d(width, channels, 1)
        # Zero at initialisation, so that it can be added to a trained network.
        nn.init.zeros_(self.second.weight)
        assert self.second.bias is not None
        nn.init.zeros_(self.second.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        added: Tensor = self.second(functional.relu(self.first(self.pool(x))))
        return x + added


class GlobalView(nn.Module):
    """U-shaped net on the space-to-depth image."""

    def __init__(self, config: LPNetRTConfig) -> None:
        super().__init__()
        c4, c8, c16 = config.channels
        n4, n8, n16 = config.blocks
        self.stem = ConvNorm(_INPUTS * _BLOCK_PX**2, c4)
        self.stage4 = nn.Sequential(*(Residual(c4) for _ in range(n4)))
        self.stage8 = nn.Sequential(ConvNorm(c4, c8, stride=2), *(Residual(c8) for _ in range(n8)))
        self.stage16 = nn.Sequential(ConvNorm(c8, c16, stride=2), *(Residual(c16) for _ in range(n16)))
        self.scene = SceneView(c16, config.scene) if config.scene else nn.Identity()
        self.lift16 = ConvNorm(c16, c8, kernel=1, relu=False)
        self.merge8 = Residual(c8)
        self.lift8 = ConvNorm(c8, c4, kernel=1, relu=False)
        self.merge4 = Residual(c4)
        self.head = nn.Conv2d(c4, _BLOCK_PX**2 * (1 + config.hints), 1)

    def forward(self, blocks: Tensor) -> Tensor:
        """(B, 32, H/4, W/4) to (B, 16 * (1 + hints), H/4, W/4): the score logits of each block, then the hints."""
        x4 = self.stage4(self.stem(blocks))  # (B, c4, H/4, W/4)
        x8 = self.stage8(x4)  # (B, c8, H/8, W/8)
        x16 = self.scene(self.stage16(x8))  # (B, c16, H/16, W/16)
        x8 = self.merge8(functional.relu(x8 + _double(self.lift16(x16))))
        x4 = self.merge4(functional.relu(x4 + _double(self.lift8(x8))))
        hinted: Tensor = self.head(x4)
        return hinted


class LocalView(nn.Module):
    """The patch net: corrects the global view's logits inside a patch, at native resolution."""

    def __init__(self, config: LPNetRTConfig) -> None:
        super().__init__()
        width = config.local_channels
        self.stem = ConvNorm(_INPUTS + 1 + config.hints, width)
        self.body = nn.Sequential(*(Residual(width) for _ in range(config.local_blocks)))
        self.head = nn.Conv2d(width, 1, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        if self.head.bias is not None:
            nn.init.zeros_(self.head.bias)

    def forward(self, patches: Tensor) -> Tensor:
        """(N, 3 + hints, 32, 32), both input channels and the logit first, to the correction (N, 1, 32, 32)."""
        correction: Tensor = self.head(self.body(self.stem(patches)))
        return correction


class LPNetRT(nn.Module):
    """Both views; standardised frames in, logits of every pixel out."""

    def __init__(self, config: LPNetRTConfig | None = None) -> None:
        super().__init__()
        self.config = config or LPNetRTConfig()
        self.global_view = GlobalView(self.config)
        self.local_view = LocalView(self.config)
        # A target covers a ten-thousandth of a frame: start from a low score, not from one half.
        bias = self.global_view.head.bias
        assert bias is not None
        nn.init.constant_(bias[: _BLOCK_PX**2], -4.0)

    def forward(
        self, image: Tensor, priority: Tensor | None = None, patches: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Score a batch of frames.

        Args:
            image: (B, 2, H, W) float, as ``preprocessing.frame_and_local`` makes it; H and W multiples of
                16, at least K cells in all.
            priority: (B, H/16 * W/16) float, added to the cells' logits when the K cells are chosen (training only).
            patches: K, if not the configuration's (training only: a crop holds a fifth of a frame's cells).

        Returns:
            Logits of both views combined, (B, 1, H, W), and of the global view only, (B, 1, H, W).
        """
        blocks = functional.pixel_unshuffle(image, _BLOCK_PX)  # (B, 32, H/4, W/4)
        hinted = self.global_view(blocks)  # (B, 16 * (1 + hints), H/4, W/4)
        coarse = hinted[:, : _BLOCK_PX**2]  # (B, 16, H/4, W/4)
        cells = self._choose(coarse, priority, patches or self.config.patches)  # (B, K)
        correction = self._correct(torch.cat((blocks, hinted), dim=1), cells)  # (B, 16, K * 16)
        fine = self._scatter(coarse, correction, cells)
        if self.config.offset:
            fine, coarse = fine + self.config.offset, coarse + self.config.offset
        return functional.pixel_shuffle(fine, _BLOCK_PX), functional.pixel_shuffle(coarse, _BLOCK_PX)

    def _choose(self, coarse: Tensor, priority: Tensor | None, count: int) -> Tensor:
        """Choose the K cells with the highest logits; (B, K), counted row by row."""
        cells = functional.max_pool2d(coarse.detach().amax(dim=1, keepdim=True), _CELL_BLOCKS)  # (B, 1, h, w)
        logits = cells.flatten(1).float()  # (B, h * w)
        if priority is not None:
            logits = logits + priority
        return logits.topk(count, dim=1).indices

    def _correct(self, stack: Tensor, cells: Tensor) -> Tensor:
        """Cut the patches, run the patch net, keep the centres of its output: (B, 16, K * 16)."""
        batch, channels, rows, columns = stack.shape
        padded = functional.pad(stack, (_MARGIN_BLOCKS,) * 4)
        size = (rows // _CELL_BLOCKS, columns // _CELL_BLOCKS)
        index = self._blocks_of(cells, size, _PATCH_BLOCKS, columns + 2 * _MARGIN_BLOCKS)  # (B, K * 64)
        index = index[:, None].expand(-1, channels, -1)
        cut = padded.flatten(2).gather(2, index)  # (B, C, K * 64)
        cut = cut.reshape(batch, channels, -1, _PATCH_BLOCKS, _PATCH_BLOCKS).transpose(1, 2)
        patches = functional.pixel_shuffle(cut.flatten(0, 1), _BLOCK_PX)  # (B * K, 3 + hints, 32, 32)
        correction = functional.pixel_unshuffle(self.local_view(patches), _BLOCK_PX)  # (B * K, 16, 8, 8)
        inner = slice(_MARGIN_BLOCKS, _MARGIN_BLOCKS + _CELL_BLOCKS)
        correction = correction[:, :, inner, inner].reshape(batch, -1, _BLOCK_PX**2, _CELL_BLOCKS**2)
        return correction.transpose(1, 2).flatten(2)

    def _scatter(self, coarse: Tensor, correction: Tensor, cells: Tensor) -> Tensor:
        """Add the corrections to the chosen cells: (B, 16, H/4, W/4)."""
        batch, channels, rows, columns = coarse.shape
        index = self._blocks_of(cells, (rows // _CELL_BLOCKS, columns // _CELL_BLOCKS), _CELL_BLOCKS, columns)
        index = index[:, None].expand(-1, channels, -1)  # (B, 16, K * 16)
        flat = coarse.flatten(2)
        # No cell is chosen twice, so gather, add and scatter equals scatter-add, which some engines offer only as a
        # plugin.
        refined = flat.gather(2, index) + correction.to(flat.dtype)
        return flat.scatter(2, index, refined).reshape(batch, channels, rows, columns)

    @staticmethod
    def _blocks_of(cells: Tensor, size: tuple[int, int], side: int, columns: int) -> Tensor:
        """Return flat indices of the blocks of squares that start at the first block of each cell.

        Uses a table of all cells: dividing a cell's index by the number of columns would be shorter, but OpenVINO
        divides integers in floating point, in bf16 if requested, and would get wrong rows.

        Args:
            cells: (B, K) int64.
            size: Rows and columns of cells.
            side: Side of a square, in blocks.
            columns: Blocks across the map.

        Returns:
            (B, K * side * side) int64.
        """
        rows = torch.arange(size[0], device=cells.device)[:, None] * (_CELL_BLOCKS * columns)
        corners = (rows + torch.arange(size[1], device=cells.device)[None, :] * _CELL_BLOCKS).flatten()
        steps = torch.arange(side, device=cells.device)
        square = (steps[:, None] * columns + steps[None, :]).flatten()
        return (corners[cells][:, :, None] + square).flatten(1)


def _double(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")
