"""TensorRT: engine files, and ONNX files for which an engine is built once and cached.

An engine is tied to one version of TensorRT and one kind of GPU. The graph sets the precision: networks are strongly
typed, and the builder is not asked for a precision; half precision needs an ONNX file that was exported in it. Written
for the documented interfaces of TensorRT 10 and 11.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lpnet_rt.cache import cache_folder
from lpnet_rt.engine_registry import Precision
from lpnet_rt.engines.base import Engine
from lpnet_rt.engines.batches import LRUCache
from lpnet_rt.engines.built_cache import BuiltCache, BuiltFor
from lpnet_rt.engines.installed import needs_gpu, needs_package
from lpnet_rt.engines.spec import AS_THE_FILE, EngineSpec
from lpnet_rt.errors import EngineError, ModelError, reason
from lpnet_rt.models import ModelFile
from lpnet_rt.preprocessing.frame_and_local import ModelInput

__all__ = ["SPECS", "TensorRTEngine", "build_from_onnx", "gpu_name", "tied_versions"]

_KEPT_SIZES = 4
_WORKSPACE_BYTES = 4 << 30
_DISTRIBUTIONS = ("tensorrt", "tensorrt-cu13", "tensorrt-cu12")

Profile = Mapping[str, tuple[int, ...]]


class TensorRTEngine:
    """An engine file, or an ONNX file with one engine per input size."""

    name = "tensorrt"

    def __init__(self, model: ModelFile, cache: Path | None) -> None:
        """Read the engine, or prepare to build.

        Args:
            model: ``.engine`` or ``.onnx``.
            cache: Folder for engines built from an ONNX file, or None to cache none.

        Raises:
            EngineError: TensorRT or a GPU is missing, or the engine was built for another version or GPU.
            ModelError: The engine file is damaged.
        """
        if importlib.util.find_spec("tensorrt") is None:
            raise EngineError(
                "tensorrt: expected the package tensorrt, found none; "
                "pip install '.[tensorrt]' in a checkout of lpnet-rt"
            )
        self.precision = model.card.built.precision
        self._model = model
        self._device = gpu_name()
        self._trt = importlib.import_module("tensorrt")
        self._runtime = self._trt.Runtime(_logger(self._trt))
        self._cache = None if cache is None else BuiltCache(cache)
        self._fixed: _Context | None = None
        if model.path.suffix != ".onnx":
            misfit = model.card.built.misfit(tied_versions(), self._device)
            if misfit is not None:
                raise EngineError(f"{model.path}: {misfit}")
            self._fixed = self._context(model.content)
        self._contexts: LRUCache[tuple[int, ...], _Context] = LRUCache(self._built, _KEPT_SIZES)

    def score(self, batch: ModelInput) -> NDArray[np.float32]:
        """See :class:`lpnet_rt.engines.base.Engine`."""
        context = self._fixed if self._fixed is not None else self._contexts[batch.shape]
        return context.score(batch)

    def _built(self, shape: tuple[int, ...]) -> _Context:
        """Return the engine for a size, from the cache or built now, which takes minutes."""
        wanted = BuiltFor(
            engine="tensorrt",
            weights_sha256=self._model.card.file_sha256,
            precision=self.precision,
            shape=shape,
            versions=tied_versions(),
            device=self._device,
        )

        def build() -> bytes:
            return build_from_onnx(self._model.content, {"shape": shape})

        return self._context(build() if self._cache is None else self._cache.get(wanted, build))

    def _context(self, content: bytes) -> _Context:
        engine = self._runtime.deserialize_cuda_engine(content)
        if engine is None:
            raise ModelError(f"{self._model.path}: expected a TensorRT engine, found a damaged file; export it again")
        return _Context(self._trt, engine, self._model.path)


class _Context:
    """An engine with its buffers and its stream."""

    def __init__(self, trt: ModuleType, engine: Any, path: Path) -> None:
        import torch

        self._torch, self._path, self._engine = torch, path, engine
        self._context = engine.create_execution_context()
        if self._context is None:
            raise EngineError(f"tensorrt: {path.name}: expected GPU memory for its largest size, found too little")
        self._image, self._scores = _bindings(trt, engine)
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._buffers: tuple[Any, Any, Any] | None = None

    def score(self, batch: ModelInput) -> NDArray[np.float32]:
        torch = self._torch
        try:
            with torch.cuda.stream(self._stream):
                host, given, found = self._buffers_for(batch.shape)
                host.numpy()[...] = batch
                given.copy_(host, non_blocking=True)
                if not self._context.execute_async_v3(self._stream.cuda_stream):
                    raise EngineError(f"tensorrt: {self._path.name} failed on an input of {tuple(batch.shape)}")
                result: NDArray[np.float32] = found.cpu().numpy()
        except RuntimeError as error:
            raise EngineError(f"tensorrt: {reason(error)}") from error
        return result

    def _buffers_for(self, shape: tuple[int, ...]) -> tuple[Any, Any, Any]:
        """Return pinned memory, input and output; reallocated when the size changes."""
        torch = self._torch
        if self._buffers is None or tuple(self._buffers[1].shape) != shape:
            self._buffers = None  # if anything below fails, no later call uses buffers of the wrong size
            if not self._context.set_input_shape(self._image, shape):
                raise EngineError(f"tensorrt: {self._path.name} takes no input of {shape}; export it for that size")
            given = torch.empty(shape, device="cuda")
            found = torch.empty(tuple(self._context.get_tensor_shape(self._scores)), device="cuda")
            self._context.set_tensor_address(self._image, given.data_ptr())
            self._context.set_tensor_address(self._scores, found.data_ptr())
            self._buffers = (torch.empty(shape, pin_memory=True), given, found)
        return self._buffers


def build_from_onnx(content: bytes, profile: Profile) -> bytes:
    """Build an engine from an ONNX file using only TensorRT.

    Args:
        content: The ONNX file; half precision must be in its graph.
        profile: Sizes (B, C, H, W): one ``shape``, or ``min_shape``, ``opt_shape`` and ``max_shape``.

    Returns:
        The serialised engine.

    Raises:
        ModelError: TensorRT cannot read the file.
        EngineError: TensorRT cannot build the engine.
    """
    trt = importlib.import_module("tensorrt")
    logger = _logger(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(_strongly_typed(trt))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(content):
        raise ModelError(f"TensorRT cannot read the ONNX file: {parser.get_error(0).desc()}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, _WORKSPACE_BYTES)
    config.clear_flag(trt.BuilderFlag.TF32)
    # A file with dynamic sizes needs a profile even for one size: then the min, opt and max shapes are equal.
    sizes = builder.create_optimization_profile()
    names = ("min_shape", "opt_shape", "max_shape")
    sizes.set_shape("image", *(profile[name] if name in profile else profile["shape"] for name in names))
    config.add_optimization_profile(sizes)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise EngineError("tensorrt: the builder made no engine; its own messages above say why")
    return bytes(engine)


def _logger(trt: ModuleType) -> Any:
    """Return a logger; also registers TensorRT's plugins (ScatterElements is one), which must precede parsing."""
    logger = trt.Logger(trt.Logger.WARNING)
    trt.init_libnvinfer_plugins(logger, "")
    return logger


def gpu_name() -> str:
    """Return the name and compute capability of the GPU; an engine runs only on that kind.

    Raises:
        EngineError: There is none.
    """
    import torch

    if not torch.cuda.is_available():
        raise EngineError("tensorrt: expected an NVIDIA GPU, found none; build the engine on the machine that runs it")
    major, minor = torch.cuda.get_device_capability()
    return f"{torch.cuda.get_device_name()} sm_{major}{minor}"


def tied_versions() -> dict[str, str]:
    """Return the versions that an engine is tied to: TensorRT's, under the name of its installed package."""
    for name in _DISTRIBUTIONS:
        try:
            return {"tensorrt": importlib.metadata.version(name)}
        except importlib.metadata.PackageNotFoundError:
            continue
    return {}


def _bindings(trt: ModuleType, engine: Any) -> tuple[str, str]:
    """Return the names of the input and the output; they depend on how the engine was built."""
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    inputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
    outputs = [name for name in names if name not in inputs]
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelError(f"expected an engine with one input and one output, found {inputs} and {outputs}")
    return inputs[0], outputs[0]


def _strongly_typed(trt: ModuleType) -> int:
    """Return the flag for strong typing; versions without it always type strongly."""
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _needs(_precision: Precision) -> str | None:
    """Return what is missing: TensorRT, a GPU, or PyTorch, which holds the buffers."""
    install = "pip install '.[tensorrt]' in a checkout of lpnet-rt"
    return needs_package("tensorrt", install) or needs_gpu() or needs_package("torch", install)


def _open(model: ModelFile, _precision: Precision, _threads: int | None) -> Engine:
    return TensorRTEngine(model, cache_folder() / "tensorrt")


SPECS = (
    EngineSpec(
        name="tensorrt",
        package="tensorrt",
        formats=(".onnx",),
        precisions=AS_THE_FILE,
        needs=_needs,
        open=_open,
        on_request=("f32", "f16", "int8"),
        builds=True,
    ),
    EngineSpec(
        name="tensorrt",
        package="tensorrt",
        formats=(".engine",),
        precisions=AS_THE_FILE,
        needs=_needs,
        open=_open,
        open_for_gate=lambda model: TensorRTEngine(model, None),
    ),
)
