"""A PyTorch function as an engine: used for validation and as the reference for exported files."""

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
    """A network in memory, on any device."""

    def __init__(
        self,
        forward: Callable[[Tensor], Tensor],
        precision: str = "f32",
        device: torch.device | None = None,
        name: str = "torch",
        autocast: bool = True,
    ) -> None:
        """Wrap the function.

        Args:
            forward: (B, C, H, W) float32 on the device to scores, (B, 1, H, W), in evaluation mode.
            precision: Precision of the arithmetic.
            device: Device of the network; None is the CPU.
            name: Name of the engine in messages.
            autocast: Whether ``bf16`` and ``f16`` use autocast; False if the function casts by itself.
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
