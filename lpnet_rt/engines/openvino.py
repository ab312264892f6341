"""OpenVINO: the fastest way through x86 processors, in bf16 where they have it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from lpnet_rt.errors import EngineError, ModelError
from lpnet_rt.frames import ModelInput
from lpnet_rt.models import ModelFile

__all__ = ["OpenVINOEngine", "has_bf16"]

_KEPT_SIZES = 4


def has_bf16() -> bool:
    """Whether this processor computes in bf16 by itself."""
    return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenVINOEngine:
    """Compiles the model once for every size of input it meets, and keeps the compiled models on disk."""

    name = "openvino"

    def __init__(self, model: ModelFile, precision: str, threads: int | None, cache: Path | None) -> None:
        """Read the model.

        Args:
            model: ONNX model.
            precision: ``f32`` or ``bf16``.
            threads: Processor threads, or None for all.
            cache: Folder for compiled models, or None to keep none; one that cannot be written keeps none either.

        Raises:
            ModelError: OpenVINO cannot read the model.
        """
        self.precision = precision
        self._core = ov.Core()
        self._options: dict[str, object] = {
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads or len(os.sched_getaffinity(0)),
        }
        if cache is not None and _is_writable(cache):
            self._options["CACHE_DIR"] = str(cache)
        try:
            self._model = self._core.read_model(model.content)
        except RuntimeError as error:
            raise ModelError(f"{model.path}: OpenVINO cannot read this model: {_last_line(error)}") from error
        self._requests: dict[tuple[int, ...], ov.InferRequest] = {}

    def score(self, batch: ModelInput) -> NDArray[np.float32]:
        """See :class:`lpnet_rt.engines.base.Engine`."""
        try:
            request = self._requests.get(batch.shape) or self._compile(batch.shape)
            request.infer([ov.Tensor(batch, shared_memory=True)], share_inputs=True)
            scores: NDArray[np.float32] = request.get_output_tensor(0).data
        except RuntimeError as error:
            raise EngineError(f"openvino: {_last_line(error)}") from error
        return scores

    def _compile(self, shape: tuple[int, ...]) -> ov.InferRequest:
        while len(self._requests) >= _KEPT_SIZES:
            self._requests.pop(next(iter(self._requests)))
        model = self._model.clone()
        model.reshape(list(shape))
        request = self._core.compile_model(model, "CPU", self._options).create_infer_request()
        self._requests[shape] = request
        return request


def _is_writable(folder: Path) -> bool:
    """Make the folder; a read-only home costs a compilation at every start, nothing else."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__
