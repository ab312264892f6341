"""LPNet-RT to a TensorRT engine: through torch-tensorrt, or from an ONNX file with TensorRT only.

An engine belongs to one version of TensorRT and one kind of GPU; its card says which, and it is refused elsewhere.
Precision is in the graph (:mod:`lpnet_rt.networks.lpnet_rt.inference`): networks are strongly typed, and nothing here
asks the builder for a precision.
"""

from __future__ import annotations

import copy
import importlib
import importlib.util
from typing import Any

from lpnet_rt.engines.tensorrt import gpu_name
from lpnet_rt.errors import EngineError, reason
from lpnet_rt.export.shapes import Shapes

__all__ = ["Route", "build_with_torch", "choose_route", "profile"]

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
        f"--format tensorrt: expected the package {packages}, found none; pip install '.[tensorrt]' in "
        "a checkout of lpnet-rt, on a machine with an NVIDIA GPU"
    )


def build_with_torch(module: Any, shapes: Shapes) -> bytes:
    """Build an engine through torch-tensorrt.

    Args:
        module: As :func:`lpnet_rt.networks.lpnet_rt.inference.apply_plan` makes it, in evaluation mode.
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
            trace(copy.deepcopy(module).cuda(), shapes, "cuda"),
            arg_inputs=[image],
            require_full_compilation=True,
            min_block_size=1,
            disable_tf32=True,
            workspace_size=_WORKSPACE_BYTES,
        )
    except Exception as error:  # the builder's exceptions share no base class of their own
        raise EngineError(f"torch-tensorrt: cannot build the engine: {reason(error)}") from error
    return engine


def profile(shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """Sizes as keywords: one ``shape``, or ``min_shape``, ``opt_shape`` and ``max_shape``."""
    if shapes.is_fixed:
        return {"shape": shapes.nchw(shapes.max_bhw)}
    sizes = zip(("min_shape", "opt_shape", "max_shape"), (shapes.min_bhw, shapes.opt_bhw, shapes.max_bhw), strict=True)
    return {name: shapes.nchw(size) for name, size in sizes}
