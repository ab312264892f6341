"""The whole procedure of the paper around LPNetGA: a frame of any size in, a score for each of its pixels out."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lpnet_rt.errors import SettingsError
from lpnet_rt.frames import GreyImage
from lpnet_rt.models.lpnetga_card import INPUT_PX, Fitting, Fusing, Statistics
from lpnet_rt.networks.lpnetga.network import LPNetGA, min_max
from lpnet_rt.networks.lpnetga.tiling import TileGrid, blend, cut
from lpnet_rt.preprocessing.rules import unit_range

__all__ = ["Procedure", "predict", "resample", "unit_range"]


@dataclass(frozen=True, slots=True)
class Procedure:
    """How a frame meets the network.

    Attributes:
        fitting: ``resize``: the frame is resized to 120x120 and the score map back, as the paper does. ``tile``: the
            frame is cut into overlapping tiles at native resolution, and their maps are blended; the attention then
            looks over one tile.
        fusing: See :meth:`LPNetGA.forward`. Tiles are blended as absolute scores; ``sum_minmax`` then stretches the
            whole frame.
        statistics: ``running`` averages, or those of each ``image`` (tile) and patch itself.
        tiles: How tiles lie.
        tiles_per_batch: Tiles that go through the network at once; bounds memory (about 0.5 GB for 8, exact form).
    """

    fitting: Fitting = "resize"
    fusing: Fusing = "sum_minmax"
    statistics: Statistics = "running"
    tiles: TileGrid = field(default_factory=TileGrid)
    tiles_per_batch: int = 8

    def __post_init__(self) -> None:
        if self.fitting not in ("resize", "tile"):
            raise SettingsError(f"fitting: expected resize or tile, found {self.fitting!r}")
        if self.fusing not in ("sum_minmax", "mean", "dense"):
            raise SettingsError(f"fusing: expected sum_minmax, mean or dense, found {self.fusing!r}")
        if self.tiles_per_batch < 1:
            raise SettingsError(f"tiles_per_batch: expected at least 1, found {self.tiles_per_batch}")


@torch.inference_mode()
def predict(model: LPNetGA, image: GreyImage, procedure: Procedure | None = None) -> NDArray[np.float32]:
    """Score every pixel of a frame.

    Args:
        model: In evaluation mode, on any device.
        image: (H, W) uint8 or uint16, raw counts.
        procedure: The paper's by default.

    Returns:
        (H, W) float32 in 0..1.

    Raises:
        SettingsError: The model is in training mode, its patches do not fit the tiles, or its batch norm is folded
            and the statistics of the image are asked for.
    """
    procedure = procedure if procedure is not None else Procedure()
    if model.training:
        raise SettingsError("predict: expected a network in evaluation mode, found training mode; call eval()")
    with model.normalising_by(procedure.statistics):
        score = (_resized if procedure.fitting == "resize" else _tiled)(model, image, procedure)
    on_host: NDArray[np.float32] = score[0, 0].float().cpu().numpy()
    return on_host


def resample(score: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Resize a score map to the frame as the published evaluation does.

    Pixel (y, x) is sampled bilinearly at (y*h/H, x*w/W); beyond the last row and column the map is 0.

    Args:
        score: (B, C, h, w) floating point.
        size_hw: H and W of the frame, in pixels.

    Returns:
        (B, C, H, W), same dtype and device.
    """
    down = _sampling(score.shape[2], size_hw[0], score)
    across = _sampling(score.shape[3], size_hw[1], score)
    return down @ score @ across.T


def _resized(model: LPNetGA, image: GreyImage, procedure: Procedure) -> Tensor:
    height, width = image.shape
    size_wh = (INPUT_PX, INPUT_PX)
    if image.dtype == np.uint8:  # the paper resizes the 8-bit picture, rounding included
        small = unit_range(cv2.resize(image, size_wh, interpolation=cv2.INTER_LINEAR).astype(np.uint8))
    else:
        small = cv2.resize(unit_range(image), size_wh, interpolation=cv2.INTER_LINEAR).astype(np.float32)
    return resample(model(_batch(model, small), procedure.fusing), (height, width))


def _tiled(model: LPNetGA, image: GreyImage, procedure: Procedure) -> Tensor:
    height, width = image.shape
    cells = cut(_batch(model, unit_range(image)), procedure.tiles)
    absolute: Fusing = "mean" if procedure.fusing == "sum_minmax" else procedure.fusing
    maps = torch.cat([model(part, absolute) for part in torch.split(cells, procedure.tiles_per_batch)])
    score = blend(maps, (height, width), procedure.tiles)
    return min_max(score) if procedure.fusing == "sum_minmax" else score


def _batch(model: LPNetGA, image: NDArray[np.float32]) -> Tensor:
    """(H, W) on the host -> (1, 1, H, W) where the model is, in its dtype."""
    weight = next(model.parameters())
    return torch.from_numpy(image).to(weight.device, weight.dtype)[None, None]


def _sampling(inputs: int, outputs: int, like: Tensor) -> Tensor:
    """(outputs, inputs): bilinear weights of the inputs in each output along one axis."""
    place = torch.arange(outputs, device=like.device, dtype=torch.float64)[:, None] * (inputs / outputs)
    distance = (place - torch.arange(inputs, device=like.device, dtype=torch.float64)[None, :]).abs()
    return (1 - distance).clamp(min=0).to(like.dtype)
