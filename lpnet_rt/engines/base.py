"""What an engine is."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lpnet_rt.frames import ModelInput

__all__ = ["Engine"]


class Engine(Protocol):
    """Turns model inputs into score maps; safe to call from one thread at a time.

    Attributes:
        name: ``openvino``, ``onnxruntime`` or ``torch``.
        precision: ``f32`` or ``bf16``: what the arithmetic runs in.
    """

    @property
    def name(self) -> str: ...

    @property
    def precision(self) -> str: ...

    def score(self, batch: ModelInput) -> NDArray[np.float32]:
        """Score a batch.

        Args:
            batch: (B, C, H, W) float32, made and padded as the model card's input rule says.

        Returns:
            (B, 1, H, W) float32 in 0..1; valid until the next call.

        Raises:
            EngineError: The engine failed.
        """
        ...
