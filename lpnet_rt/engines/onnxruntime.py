"""ONNX Runtime: runs everywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from lpnet_rt.errors import EngineError, ModelError
from lpnet_rt.frames import ModelInput
from lpnet_rt.models import ModelFile
from lpnet_rt.processors import processor_count

__all__ = ["PROVIDERS", "OnnxRuntimeEngine"]

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}


class OnnxRuntimeEngine:
    """One session, on the processor or through one of ONNX Runtime's own ways to a GPU; calculates as the file says."""

    def __init__(self, model: ModelFile, threads: int | None, provider: str = "cpu", cache: Path | None = None) -> None:
        """Read the model.

        Args:
            model: ONNX model.
            threads: Processor threads, or None for all.
            provider: ``cpu``, ``cuda`` or ``tensorrt``.
            cache: Folder in which the provider ``tensorrt`` keeps the engines it builds.

        Raises:
            EngineError: This ONNX Runtime comes without that provider.
            ModelError: ONNX Runtime cannot read the model.
        """
        if PROVIDERS[provider] not in ort.get_available_providers():
            raise EngineError(f"onnxruntime: expected the provider {provider}, found none; pip install onnxruntime-gpu")
        self.name = "onnxruntime" if provider == "cpu" else f"onnxruntime-{provider}"
        self.precision = model.card.built.precision
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or processor_count()
        options.log_severity_level = 3
        # Spinning threads would take the other core from decoding and publishing.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            if provider != "cpu" and hasattr(ort, "preload_dlls"):
                ort.preload_dlls()
            # Left to itself it prints to standard output and goes on with the processor.
            self._session = ort.InferenceSession(
                model.content, options, providers=_providers(provider, cache), enable_fallback=0
            )
        except Exception as error:  # onnxruntime's exceptions share no base class of their own
            reason = str(error).splitlines()[0][:200]
            raise ModelError(f"{model.path}: ONNX Runtime cannot read this model: {reason}") from error
        if PROVIDERS[provider] not in self._session.get_providers():
            raise EngineError(f"onnxruntime: the provider {provider} could not be loaded; install CUDA and cuDNN")
        self._input = self._session.get_inputs()[0].name
        self._running = ort.RunOptions()

    def score(self, batch: ModelInput) -> NDArray[np.float32]:
        """See :class:`lpnet_rt.engines.base.Engine`."""
        self._running = options = ort.RunOptions()  # of this run only: what is stopped stays stopped
        try:
            (scores,) = self._session.run(None, {self._input: batch}, options)
        except Exception as error:  # onnxruntime's exceptions share no base class of their own
            raise EngineError(f"onnxruntime: {str(error).splitlines()[0][:200]}") from error
        result: NDArray[np.float32] = scores
        return result

    def stop(self) -> None:
        """See :class:`lpnet_rt.engines.base.StoppableEngine`; a run ends after the operator that is at work."""
        self._running.terminate = True


def _providers(provider: str, cache: Path | None) -> list[str | tuple[str, dict[str, str]]]:
    """The provider, and the processor for what it leaves out."""
    options: dict[str, str] = {"use_tf32": "0"} if provider == "cuda" else {}
    if provider == "tensorrt" and cache is not None:
        options = {"trt_engine_cache_enable": "True", "trt_engine_cache_path": str(cache)}
    chosen: list[str | tuple[str, dict[str, str]]] = [(PROVIDERS[provider], options)]
    return chosen if provider == "cpu" else [*chosen, PROVIDERS["cpu"]]
