"""Input rules: how a frame becomes the model's input, and how its scores become a score map of the frame.

| rule | model input | scores |
| --- | --- | --- |
| ``frame-and-local`` | the frame at native resolution, on two scales, padded | cropped |
| ``paper-resize`` | the whole frame resized to one small square, 0..1 | resized back |
| ``paper-tiles`` | overlapping squares of the frame at native resolution, 0..1 | blended without seams |

The last two are those of the paper's network (Chen et al., TAES 2022) and of its extension to large frames. To add a
rule, write a module with ``prepare`` and ``restore``, and list it here and in :class:`lpnet_rt.models.InputRule`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lpnet_rt.frames import GreyImage
from lpnet_rt.models.card import InputRule
from lpnet_rt.preprocessing import frame_and_local, paper_resize, paper_tiles
from lpnet_rt.preprocessing.frame_and_local import ModelInput

__all__ = ["ModelInput", "prepare", "restore"]

_PREPARE: dict[str, Callable[[GreyImage, InputRule], ModelInput]] = {
    "frame-and-local": frame_and_local.prepare,
    "paper-resize": paper_resize.prepare,
    "paper-tiles": paper_tiles.prepare,
}
_RESTORE: dict[str, Callable[[NDArray[np.float32], tuple[int, int], InputRule], NDArray[np.float32]]] = {
    "frame-and-local": frame_and_local.restore,
    "paper-resize": paper_resize.restore,
    "paper-tiles": paper_tiles.restore,
}


def prepare(image: GreyImage, rule: InputRule) -> ModelInput:
    """Compute the model's input from a frame.

    Args:
        image: (H, W) uint8 or uint16, raw counts.
        rule: Input rule of the model's card.

    Returns:
        (B, C, h, w) float32, contiguous; B is the number of tiles, else 1.
    """
    return _PREPARE[rule.normalisation](image, rule)


def restore(scores: NDArray[np.float32], size_hw: tuple[int, int], rule: InputRule) -> NDArray[np.float32]:
    """Compute a frame's score map from the model's scores.

    Args:
        scores: (B, 1, h, w) float32 in 0..1, for the output of :func:`prepare`.
        size_hw: H and W of the frame.
        rule: Input rule of the model's card.

    Returns:
        (H, W) float32 in 0..1; may share memory with ``scores``.
    """
    return _RESTORE[rule.normalisation](scores, size_hw, rule)
