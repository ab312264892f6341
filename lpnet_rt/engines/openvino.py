"""OpenVINO: the fastest engine on x86 CPUs, in bf16 where they support it."""

from __future__ import annotations

import functools
import hashlib
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lpnet_rt.cache import cache_folder
from lpnet_rt.engine_registry import Precision
from lpnet_rt.engines.base import Engine
from lpnet_rt.engines.batches import LRUCache
from lpnet_rt.engines.built_cache import BuiltCache, BuiltFor
from lpnet_rt.engines.installed import has_gpu, needs_reinstall, needs_working_package
from lpnet_rt.engines.pytorch import needs_torch
from lpnet_rt.engines.spec import EngineSpec
from lpnet_rt.errors import EngineError, ModelError, last_line
from lpnet_rt.files import read_limited
from lpnet_rt.models import ModelFile
from lpnet_rt.models.card import MODEL_BYTES
from lpnet_rt.models.openvino_check import openvino_problem
from lpnet_rt.preprocessing.frame_and_local import ModelInput
from lpnet_rt.processors import processor_count

if TYPE_CHECKING:
    import openvino as ov

__all__ = ["SPECS", "WEIGHTS_KEY", "OpenVINOEngine", "checked_weights", "has_bf16"]

# Key under which a .xml of this project stores the hash of its .bin.
WEIGHTS_KEY = "lpnet_rt_weights_sha256"

_KEPT_SIZES = 4


@functools.cache
def has_bf16() -> bool:
    """Return whether this CPU supports bf16 natively."""
    import openvino as ov

    return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenVINOEngine:
    """Compiles the model once per input size, and caches the compiled models on disk."""

    name = "openvino"

    def __init__(self, model: ModelFile, precision: str, threads: int | None, cache: Path | None) -> None:
        """Read the model.

        Args:
            model: ONNX model, or OpenVINO's own .xml with its .bin beside it.
            precision: ``f32`` or ``bf16``; ``int8`` for a quantised model, whose remaining layers run in f32.
            threads: CPU threads, or None for all.
            cache: Folder for compiled models; None, or a folder that cannot be written, caches none.

        Raises:
            ModelError: OpenVINO cannot read the model, or its .bin is missing or damaged.
        """
        import openvino as ov

        self.precision = precision
        self._tensor, self._version = ov.Tensor, ov.__version__
        self._core = ov.Core()
        self._options: dict[str, object] = {
            "INFERENCE_PRECISION_HINT": "f32" if precision == "int8" else precision,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads or processor_count(),
        }
        self._cache = None if cache is None else BuiltCache(cache)
        self._sha256 = model.card.file_sha256
        try:
            if model.path.suffix == ".xml":
                self._model = self._core.read_model(model.content, checked_weights(model.path, model.content))
            else:
                self._model = self._core.read_model(model.content)
        except RuntimeError as error:
            raise ModelError(f"{model.path}: OpenVINO cannot read this model: {last_line(error)}") from error
        self._running: ov.InferRequest | None = None
        self._requests: LRUCache[tuple[int, ...], ov.InferRequest] = LRUCache(self._compile, _KEPT_SIZES)

    def score(self, batch: ModelInput) -> NDArray[np.float32]:
        """See :class:`lpnet_rt.engines.base.Engine`."""
        try:
            self._running = request = self._requests[batch.shape]
            # Unlike infer(), this can be cancelled.
            request.start_async([self._tensor(batch, shared_memory=True)], share_inputs=True)
            request.wait()
            scores: NDArray[np.float32] = request.get_output_tensor(0).data
        except RuntimeError as error:
            raise EngineError(f"openvino: {last_line(error)}") from error
        return scores

    def stop(self) -> None:
        """See :class:`lpnet_rt.engines.base.StoppableEngine`."""
        request = self._running
        if request is not None:
            request.cancel()

    def forget(self) -> None:
        """See :class:`lpnet_rt.engines.base.ForgetfulEngine`."""
        self._running = None
        self._requests.clear()

    def _compile(self, shape: tuple[int, ...]) -> ov.InferRequest:
        model = self._model.clone()
        model.reshape(list(shape))
        if self._cache is None:
            return self._core.compile_model(model, "CPU", self._options).create_infer_request()

        def build() -> bytes:
            stream = io.BytesIO()
            self._core.compile_model(model, "CPU", self._options).export_model(stream)
            return stream.getvalue()

        wanted = BuiltFor(
            engine="openvino",
            weights_sha256=self._sha256,
            precision=self.precision,
            shape=shape,
            versions={"openvino": self._version},
            device=str(self._core.get_property("CPU", "FULL_DEVICE_NAME")),
        )
        content = self._cache.get(wanted, build)
        return self._core.import_model(io.BytesIO(content), "CPU", self._options).create_infer_request()


def checked_weights(path: Path, content: bytes) -> bytes:
    """Read the .bin beside a .xml, and check both: OpenVINO may crash on damaged files.

    Args:
        path: Path of the .xml.
        content: Content of the .xml.

    Raises:
        ModelError: The .bin is missing or does not belong to the .xml, or either is unsafe to open.
    """
    beside = path.with_suffix(".bin")
    weights = read_limited(beside, MODEL_BYTES, f"file of the weights of {path.name}", ModelError)
    found = re.search(rb'<%s value="([0-9a-f]{64})"' % WEIGHTS_KEY.encode(), content)
    if found is None:
        raise ModelError(f"{path}: expected the hash of its weights in it, found none; export it again")
    if hashlib.sha256(weights).hexdigest() != found.group(1).decode():
        raise ModelError(f"{beside}: the weights are not those of {path.name} (damaged?); export both again")
    problem = openvino_problem(content, weights)
    if problem is not None:
        raise ModelError(f"{path}: expected a model of finite weights and plain operators, found {problem}")
    return weights


def _needs(precision: Precision) -> str | None:
    """Return what is missing: OpenVINO, or for bf16 a CPU that supports it."""
    missing = needs_working_package("openvino", "pip install openvino (x86-64 and Arm Linux)")
    if missing is not None:
        return missing
    try:
        bf16 = has_bf16()
    except Exception as error:  # an incomplete installation can raise anything
        return needs_reinstall("openvino", error)
    return "a processor with AVX512-BF16 or AMX" if precision == "bf16" and not bf16 else None


def _needs_for_weights(precision: Precision) -> str | None:
    return needs_torch() or _needs(precision)


def _suits_weights(config: Mapping[str, object]) -> bool:
    """Return whether it supports the network: running statistics only, and on a GPU PyTorch is faster."""
    return config.get("statistics", "running") == "running" and not has_gpu()


def _open(model: ModelFile, precision: Precision, threads: int | None) -> Engine:
    return OpenVINOEngine(model, precision, threads, cache_folder() / "openvino")


def _open_weights(model: ModelFile, precision: Precision, threads: int | None) -> Engine:
    from lpnet_rt.engines.openvino_lpnetga import OpenVINOLPNetGAEngine

    return OpenVINOLPNetGAEngine(model, precision, threads)


def _open_for_gate(model: ModelFile) -> Engine:
    """Open for comparison in f32; a quantised model runs in int8 all the same."""
    return OpenVINOEngine(model, "f32", None, None)


_BOTH: tuple[Precision, ...] = ("bf16", "f32")

SPECS = (
    EngineSpec(
        name="openvino",
        package="openvino",
        formats=(".onnx",),
        precisions={"f32": _BOTH, "f16": _BOTH, "int8": _BOTH},
        needs=_needs,
        open=_open,
        open_for_gate=_open_for_gate,
    ),
    EngineSpec(
        name="openvino",
        package="openvino",
        formats=(".xml",),
        precisions={"f32": _BOTH, "f16": _BOTH, "int8": ("int8",)},
        needs=_needs,
        open=_open,
        open_for_gate=_open_for_gate,
    ),
    EngineSpec(
        name="openvino",
        package="openvino",
        formats=(".safetensors",),
        precisions={"f32": ("f32", "bf16")},
        needs=_needs_for_weights,
        open=_open_weights,
        on_request=("bf16",),
        suits=_suits_weights,
    ),
)
