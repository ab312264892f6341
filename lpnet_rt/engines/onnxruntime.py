"""ONNX Runtime: runs everywhere."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lpnet_rt.cache import CacheFolder, cache_folder
from lpnet_rt.engine_registry import Precision
from lpnet_rt.engines.base import Engine
from lpnet_rt.engines.installed import needs_gpu, needs_package, needs_working_package
from lpnet_rt.engines.spec import AS_THE_FILE, EngineSpec
from lpnet_rt.errors import EngineError, ModelError, reason
from lpnet_rt.models import ModelFile
from lpnet_rt.preprocessing.frame_and_local import ModelInput
from lpnet_rt.processors import processor_count

__all__ = ["PROVIDERS", "SPECS", "OnnxRuntimeEngine"]

_INSTALL = "pip install onnxruntime"

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
        import onnxruntime as ort  # a tenth of a second, which a start with another engine saves

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
            raise ModelError(f"{model.path}: ONNX Runtime cannot read this model: {reason(error)}") from error
        if PROVIDERS[provider] not in self._session.get_providers():
            raise EngineError(f"onnxruntime: the provider {provider} could not be loaded; install CUDA and cuDNN")
        self._input = self._session.get_inputs()[0].name
        self._run_options = ort.RunOptions
        self._running = ort.RunOptions()

    def score(self, batch: ModelInput) -> NDArray[np.float32]:
        """See :class:`lpnet_rt.engines.base.Engine`."""
        self._running = options = self._run_options()  # of this run only: what is stopped stays stopped
        try:
            (scores,) = self._session.run(None, {self._input: batch}, options)
        except Exception as error:  # onnxruntime's exceptions share no base class of their own
            raise EngineError(f"onnxruntime: {reason(error)}") from error
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


def _needs(_precision: Precision) -> str | None:
    """Does not import it: opening it says what is broken."""
    return needs_package("onnxruntime", _INSTALL)


def _needs_provider(provider: str, _precision: Precision) -> str | None:
    """A GPU, and an ONNX Runtime that comes with a way to it."""
    missing = needs_gpu()
    if missing is not None:
        return missing
    if needs_working_package("onnxruntime", _INSTALL) is None:
        import onnxruntime

        if PROVIDERS[provider] in onnxruntime.get_available_providers():
            return None
    return "pip install onnxruntime-gpu"


def _open(provider: str, model: ModelFile, _precision: Precision, threads: int | None) -> Engine:
    folder = CacheFolder(cache_folder() / "onnxruntime")
    # ONNX Runtime believes what lies there without a look.
    kept = folder.path if provider == "tensorrt" and folder.make() else None
    return OnnxRuntimeEngine(model, threads, provider, kept)


SPECS = (
    EngineSpec(
        name="onnxruntime",
        package="onnxruntime",
        formats=(".onnx",),
        precisions=AS_THE_FILE,
        needs=_needs,
        open=partial(_open, "cpu"),
        open_for_gate=lambda model: OnnxRuntimeEngine(model, None),
    ),
    EngineSpec(
        name="onnxruntime-cuda",
        package="onnxruntime",
        formats=(".onnx",),
        precisions=AS_THE_FILE,
        needs=partial(_needs_provider, "cuda"),
        open=partial(_open, "cuda"),
    ),
    EngineSpec(
        name="onnxruntime-tensorrt",
        package="onnxruntime",
        formats=(".onnx",),
        precisions=AS_THE_FILE,
        needs=partial(_needs_provider, "tensorrt"),
        open=partial(_open, "tensorrt"),
        on_request=("f32", "f16", "int8"),
        builds=True,
    ),
)
