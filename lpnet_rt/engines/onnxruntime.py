"""ONNX Runtime: runs on every machine."""

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
    """One session on the CPU or on a GPU provider of ONNX Runtime; computes in the precision of the file."""

    def __init__(self, model: ModelFile, threads: int | None, provider: str = "cpu", cache: Path | None = None) -> None:
        """Read the model.

        Args:
            model: ONNX model.
            threads: CPU threads, or None for all.
            provider: ``cpu``, ``cuda`` or ``tensorrt``.
            cache: Folder in which the provider ``tensorrt`` keeps the engines it builds.

        Raises:
            EngineError: This build of ONNX Runtime lacks that provider.
            ModelError: ONNX Runtime cannot read the model.
        """
        import onnxruntime as ort  # takes 0.1 s, which other engines need not spend

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
            # With fallback enabled, it prints to standard output and continues on the CPU.
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
        self._running = options = self._run_options()  # new for each run: terminated options stay terminated
        try:
            (scores,) = self._session.run(None, {self._input: batch}, options)
        except Exception as error:  # onnxruntime's exceptions share no base class of their own
            raise EngineError(f"onnxruntime: {reason(error)}") from error
        result: NDArray[np.float32] = scores
        return result

    def stop(self) -> None:
        """See :class:`lpnet_rt.engines.base.StoppableEngine`; a run ends after the current operator."""
        self._running.terminate = True


def _providers(provider: str, cache: Path | None) -> list[str | tuple[str, dict[str, str]]]:
    """Return the provider, and the CPU for the operators that it does not support."""
    options: dict[str, str] = {"use_tf32": "0"} if provider == "cuda" else {}
    if provider == "tensorrt" and cache is not None:
        options = {"trt_engine_cache_enable": "True", "trt_engine_cache_path": str(cache)}
    chosen: list[str | tuple[str, dict[str, str]]] = [(PROVIDERS[provider], options)]
    return chosen if provider == "cpu" else [*chosen, PROVIDERS["cpu"]]


def _needs(_precision: Precision) -> str | None:
    """Return what is missing; does not import it, since opening the engine reports what is broken."""
    return needs_package("onnxruntime", _INSTALL)


def _needs_provider(provider: str, _precision: Precision) -> str | None:
    """Return what is missing: a GPU, or a build of ONNX Runtime with that provider."""
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
    # ONNX Runtime loads cached engines without checking them.
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
