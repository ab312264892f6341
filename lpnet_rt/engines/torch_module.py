"""A PyTorch function as an engine: what training validates and what exported files are held to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lpnet_rt.errors import EngineError, reason
from lpnet_rt.preprocessing.rules import ModelInput

__all__ = ["TorchModuleEngine"]


class TorchModuleEngine:
    """A network as it stands in memory, on any device."""

    def __init__(
        self,
        forward: Callable[[Tensor], Tensor],
        precision: str = "f32",
        device: torch.device | None = None,
        name: str = "torch",
        autocast: bool = True,
    ) -> None:
        """Keep the function.

        Args:
            forward: (B, C, H, W) float32 on the device to scores, (B, 1, H, W), in evaluation mode.
            precision: What it computes in.
            device: Where it computes; None is the processor.
            name: Of the engine, in messages.
            autocast: Whether ``bf16`` and ``f16`` are to be had by autocast; not where the function casts by itself.
        """
        self.name, self.precision = name, precision
        self._forward, self._device = forward, device or torch.device("cpu")
        self._half = {"f16": torch.float16, "bf16": torch.bfloat16}.get(precision) if autocast else None

    @torch.inference_mode()
    def score(self, batch: ModelInput) -> NDArray[np.float32]:
        """See :class:`lpnet_rt.engines.base.Engine`."""
        try:
            with torch.autocast(self._device.type, self._half, enabled=self._half is not None):
                scores = self._forward(torch.from_numpy(batch).to(self._device))
        except (RuntimeError, AssertionError) as error:
            raise EngineError(f"{self.name}: {reason(error)}") from error
        on_host: NDArray[np.float32] = scores.float().cpu().numpy()
        return on_host
