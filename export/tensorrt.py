"""LPNet-RT to a TensorRT engine: through torch-tensorrt, or from an ONNX file with TensorRT alone.

An engine belongs to one version of TensorRT and one kind of GPU; its card says which, and it is refused elsewhere.
Precision is in the graph (:mod:`lpnet_rt.networks.inference`): networks are strongly typed, and nothing here asks the
builder for a precision.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lpnet_rt.errors import EngineError, ModelError
from lpnet_rt.export.cards import package_versions
from lpnet_rt.export.shapes import Shapes
from lpnet_rt.frames import ModelInput
from lpnet_rt.models import ModelCard

__all__ = ["Route", "build_from_onnx", "build_with_torch", "choose_route", "gpu_name", "load_tensorrt", "tied_versions"]

Route = str  # "torch-tensorrt" or "onnx"
_PACKAGE = {"torch-tensorrt": "torch_tensorrt", "onnx": "tensorrt"}
_WORKSPACE_BYTES = 4 << 30


def choose_route(asked: str) -> Route:
    """The way to an engine that is asked for and installed.

    Args:
        asked: ``auto``, ``torch-tensorrt`` or ``onnx``.

    Raises:
        EngineError: It is not installed, or there is no GPU; the message names what to install.
    """
    able = [route for route, package in _PACKAGE.items() if importlib.util.find_spec(package) is not None]
    wanted = list(_PACKAGE) if asked == "auto" else [asked]
    for route in wanted:
        if route in able:
            gpu_name()
            return route
    packages = " or ".join(_PACKAGE[route] for route in wanted)
    raise EngineError(
        f"--format tensorrt: expected the package {packages}, found none; pip install 'lpnet-rt[tensorrt]' "
        "on a machine with an NVIDIA GPU"
    )


def gpu_name() -> str:
    """Name and compute capability of the GPU: an engine runs on no other kind.

    Raises:
        EngineError: There is none.
    """
    import torch

    if not torch.cuda.is_available():
        raise EngineError("tensorrt: expected an NVIDIA GPU, found none; build the engine on the machine that runs it")
    major, minor = torch.cuda.get_device_capability()
    return f"{torch.cuda.get_device_name()} sm_{major}{minor}"


def tied_versions() -> dict[str, str]:
    """The versions an engine is tied to: TensorRT's, under whichever name it was installed."""
    found = package_versions("tensorrt", "tensorrt-cu13", "tensorrt-cu12")
    return {"tensorrt": next(iter(found.values()))} if found else {}


def build_with_torch(module: Any, shapes: Shapes) -> bytes:
    """Build an engine through torch-tensorrt.

    Args:
        module: As :func:`lpnet_rt.networks.inference.apply_plan` makes it, in evaluation mode.
        shapes: Sizes; free ones become the optimisation profile.

    Returns:
        The serialised engine.

    Raises:
        EngineError: torch-tensorrt cannot build it.
    """
    from lpnet_rt.export.torch_export import trace

    torch_tensorrt, torch = importlib.import_module("torch_tensorrt"), importlib.import_module("torch")
    image = torch_tensorrt.Input(**profile(shapes), dtype=torch.float32, name="image")
    try:
        engine: bytes = torch_tensorrt.dynamo.convert_exported_program_to_serialized_trt_engine(
            trace(module.cuda(), shapes, "cuda"),
            arg_inputs=[image],
            require_full_compilation=True,
            min_block_size=1,
            disable_tf32=True,
            workspace_size=_WORKSPACE_BYTES,
        )
    except Exception as error:  # the builder's exceptions share no base class of their own
        raise EngineError(f"torch-tensorrt: cannot build the engine: {_first_line(error)}") from error
    return engine


def profile(shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """Sizes as keywords: one ``shape``, or ``min_shape``, ``opt_shape`` and ``max_shape``."""
    if shapes.is_fixed:
        return {"shape": shapes.nchw(shapes.most)}
    sizes = zip(("min_shape", "opt_shape", "max_shape"), (shapes.least, shapes.usual, shapes.most), strict=True)
    return {name: shapes.nchw(size) for name, size in sizes}


def build_from_onnx(content: bytes, shapes: Shapes) -> bytes:
    """Build an engine from an ONNX file with TensorRT alone.

    Args:
        content: The ONNX file, half precision in its graph where it is wanted.
        shapes: Sizes that the engine must take, within the file's own.

    Returns:
        The serialised engine.

    Raises:
        ModelError: TensorRT cannot read the file.
        EngineError: TensorRT cannot build the engine.
    """
    trt = importlib.import_module("tensorrt")
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    network = builder.create_network(_strongly_typed(trt))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(content):
        raise ModelError(f"TensorRT cannot read the ONNX file: {parser.get_error(0).desc()}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, _WORKSPACE_BYTES)
    config.clear_flag(trt.BuilderFlag.TF32)
    if not shapes.is_fixed:
        sizes = builder.create_optimization_profile()
        sizes.set_shape("image", *profile(shapes).values())
        config.add_optimization_profile(sizes)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise EngineError("tensorrt: the builder made no engine; its own messages above say why")
    return bytes(engine)


def load_tensorrt(path: Path, card: ModelCard) -> Callable[[ModelInput], NDArray[np.float32]]:
    """Load an engine file.

    Raises:
        EngineError: TensorRT is missing, or the file was built for another version or GPU.
        ModelError: The file is damaged.
    """
    if importlib.util.find_spec("tensorrt") is None:
        raise EngineError("tensorrt: expected the package tensorrt, found none; pip install 'lpnet-rt[tensorrt]'")
    misfit = card.built.misfit(tied_versions(), gpu_name())
    if misfit is not None:
        raise EngineError(f"{path}: {misfit}")
    trt, torch = importlib.import_module("tensorrt"), importlib.import_module("torch")
    runtime = trt.Runtime(trt.Logger(trt.Logger.WARNING))
    engine = runtime.deserialize_cuda_engine(path.read_bytes())
    if engine is None:
        raise ModelError(f"{path}: expected a TensorRT engine, found a damaged file; export it again")
    context = engine.create_execution_context()
    image, scores = _bindings(trt, engine)

    def score(batch: ModelInput) -> NDArray[np.float32]:
        given = torch.from_numpy(batch).cuda()
        context.set_input_shape(image, tuple(given.shape))
        found = torch.empty(tuple(context.get_tensor_shape(scores)), device="cuda")
        context.set_tensor_address(image, given.data_ptr())
        context.set_tensor_address(scores, found.data_ptr())
        stream = torch.cuda.current_stream()
        if not context.execute_async_v3(stream.cuda_stream):
            raise EngineError(f"tensorrt: {path.name} failed on an input of {tuple(batch.shape)}")
        stream.synchronize()
        result: NDArray[np.float32] = found.cpu().numpy()
        return result

    # The engine does not keep its runtime alive.
    score.runtime = runtime  # type: ignore[attr-defined]
    return score


def _bindings(trt: ModuleType, engine: Any) -> tuple[str, str]:
    """Names of the input and of the output; the two ways to an engine name them differently."""
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    inputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
    outputs = [name for name in names if name not in inputs]
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelError(f"expected an engine with one input and one output, found {inputs} and {outputs}")
    return inputs[0], outputs[0]


def _strongly_typed(trt: ModuleType) -> int:
    """The flag that makes the graph decide on precision; where it is gone, every network is so."""
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
