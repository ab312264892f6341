"""The interfaces of an engine."""

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
        precision: ``f32``, ``f16``, ``bf16`` or ``int8``: precision of the arithmetic.
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
    """An engine with its own device: raw frames are uploaded once, and only candidate pixels come back.

    Attributes:
        max_batch: Number of frames that should be passed at once.
    """

    @property
    def max_batch(self) -> int: ...

    def find(self, frames: Sequence[GreyImage], min_score: float) -> list[CandidatePixels]:
        """Standardise, score and threshold frames on the device.

        Args:
            frames: (H, W) each, raw counts; all of one size and dtype.
            min_score: Lowest score of a candidate pixel.

        Returns:
            One entry per frame, in the same order.

        Raises:
            EngineError: The engine failed, or the device has too little memory.
        """
        ...


@runtime_checkable
class StoppableEngine(Protocol):
    """An engine whose runtime can cancel a run."""

    def stop(self) -> None:
        """Make a running ``score`` raise EngineError soon; called from another thread. Harmless otherwise."""
        ...


@runtime_checkable
class ForgetfulEngine(Protocol):
    """An engine that keeps memory for every input size."""

    def forget(self) -> None:
        """Release that memory; the next ``score`` allocates it again."""
        ...
