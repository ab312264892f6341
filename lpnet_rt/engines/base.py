"""What an engine is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from lpnet_rt.detections import CandidatePixels
from lpnet_rt.frames import GreyImage
from lpnet_rt.preprocessing.frame_and_local import ModelInput

__all__ = ["DeviceEngine", "Engine", "ForgetfulEngine", "StoppableEngine"]


class Engine(Protocol):
    """Turns model inputs into score maps; safe to call from one thread at a time.

    Attributes:
        name: ``openvino``, ``onnxruntime``, ``torch`` or ``tensorrt``.
        precision: ``f32``, ``f16``, ``bf16`` or ``int8``: what the arithmetic runs in.
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


@runtime_checkable
class DeviceEngine(Engine, Protocol):
    """An engine with a device of its own: raw frames go there once, and only candidate pixels come back.

    Attributes:
        max_batch: Frames that are worth giving it at once.
    """

    @property
    def max_batch(self) -> int: ...

    def find(self, frames: Sequence[GreyImage], min_score: float) -> list[CandidatePixels]:
        """Standardise, score and threshold frames on the device.

        Args:
            frames: (H, W) each, raw counts; all of one size and dtype.
            min_score: Score from which a pixel comes back.

        Returns:
            One for each frame, in their order.

        Raises:
            EngineError: The engine failed, or the device has too little memory.
        """
        ...


@runtime_checkable
class StoppableEngine(Protocol):
    """An engine whose runtime can end a run before it is done."""

    def stop(self) -> None:
        """Make a running ``score`` return soon, with EngineError; from another thread. Harmless otherwise."""
        ...


@runtime_checkable
class ForgetfulEngine(Protocol):
    """An engine that keeps something in memory for every size of input."""

    def forget(self) -> None:
        """Let go of what is kept; the next ``score`` makes it again."""
        ...
