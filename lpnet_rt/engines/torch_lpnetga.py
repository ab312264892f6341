"""Weights files of the paper's network in PyTorch; imported only when such a model is loaded."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from lpnet_rt.errors import EngineError, reason
from lpnet_rt.models import ModelFile
from lpnet_rt.models.lpnetga_card import Fusing, Statistics, read_card
from lpnet_rt.networks.lpnetga.folding import fold_batch_norm
from lpnet_rt.networks.lpnetga.network import fused
from lpnet_rt.networks.lpnetga.strips import BORDER_PX, Strips
from lpnet_rt.networks.lpnetga.weights import load_lpnetga
from lpnet_rt.preprocessing.frame_and_local import ModelInput

__all__ = ["TorchLPNetGAEngine"]

# Bounds memory: about 60 MB per frame of 120x120 in the exact form.
_FRAMES_AT_ONCE = 8


class TorchLPNetGAEngine:
    """LPNetGA on CUDA if available, else on the CPU."""

    name = "torch"

    def __init__(self, model: ModelFile, precision: str, threads: int | None) -> None:
        """Read the weights.

        Args:
            model: A ``.safetensors`` file.
            precision: ``f32`` or ``bf16`` (autocast).
            threads: CPU threads of PyTorch in this process, or None to leave them unchanged.

        Raises:
            ModelError: The file is damaged or of another network.
        """
        self.precision = precision
        if threads is not None:
            torch.set_num_threads(threads)
        card = read_card(model.path)
        network = load_lpnetga(model.path)
        # Scores are stretched over the whole frame, after the tiles are blended.
        self._fusing: Fusing = "mean" if model.card.input.stretch else card.fusing
        self._statistics: Statistics = card.statistics
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._strips: Strips | None = None
        if card.statistics == "running":
            network = fold_batch_norm(network)
            if self._fusing != "dense" and network.grid.patch_px >= 2 * BORDER_PX:
                self._strips = Strips(network, card.input_hw).eval().to(self._device)
        self._network = network.to(self._device)

    @torch.inference_mode()
    def score(self, batch: ModelInput) -> NDArray[np.float32]:
        """See :class:`lpnet_rt.engines.base.Engine`."""
        try:
            frames = torch.from_numpy(batch).to(self._device)
            with torch.autocast(self._device.type, torch.bfloat16, enabled=self.precision == "bf16"):
                scores: NDArray[np.float32] = torch.cat(self._in_parts(frames)).cpu().numpy()
        except RuntimeError as error:
            raise EngineError(f"torch: {reason(error)}") from error
        return scores

    def _in_parts(self, frames: torch.Tensor) -> list[torch.Tensor]:
        parts = torch.split(frames, _FRAMES_AT_ONCE)
        if self._strips is not None:
            return [self._by_strips(part, self._strips) for part in parts]
        if self._statistics == "running":
            return [self._network(part, self._fusing) for part in parts]
        with self._network.normalising_by(self._statistics):
            return [self._network(part, self._fusing) for part in parts]

    def _by_strips(self, frames: torch.Tensor, strips: Strips) -> torch.Tensor:
        """Compute the exact sum without running every patch."""
        return fused(strips(self._network.global_view(frames)[2]), strips.coverage, self._fusing)
