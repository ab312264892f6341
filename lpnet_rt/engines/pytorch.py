"""Specifications of PyTorch's engines; PyTorch is imported when one of them is opened."""

from __future__ import annotations

from lpnet_rt.engine_registry import Precision
from lpnet_rt.engines.base import Engine
from lpnet_rt.engines.installed import needs_gpu, needs_package
from lpnet_rt.engines.spec import EngineSpec
from lpnet_rt.models import ModelFile

__all__ = ["SPECS", "needs_torch"]

_INSTALL = "pip install '.[train]' in a checkout of lpnet-rt"


def needs_torch(_precision: Precision = "f32") -> str | None:
    """Return None if PyTorch is installed, else how to install it."""
    return needs_package("torch", _INSTALL)


def _needs_for_onnx(precision: Precision) -> str | None:
    """Return what is missing: PyTorch, onnx, which reads the weights, or for f16 a GPU."""
    missing = needs_torch() or needs_package("onnx", _INSTALL)
    return missing or (needs_gpu() if precision == "f16" else None)


def _open_onnx(model: ModelFile, precision: Precision, threads: int | None) -> Engine:
    from lpnet_rt.engines.torch_lpnet_rt import TorchLPNetRTEngine

    return TorchLPNetRTEngine(model, precision, threads)


def _open_weights(model: ModelFile, precision: Precision, threads: int | None) -> Engine:
    from lpnet_rt.engines.torch_lpnetga import TorchLPNetGAEngine

    return TorchLPNetGAEngine(model, precision, threads)


SPECS = (
    EngineSpec(
        name="torch",
        package="torch",
        formats=(".onnx",),
        precisions={"f32": ("f16", "bf16", "f32")},
        needs=_needs_for_onnx,
        open=_open_onnx,
        on_request=("bf16", "f32"),
    ),
    EngineSpec(
        name="torch",
        package="torch",
        formats=(".safetensors",),
        precisions={"f32": ("f32", "bf16")},
        needs=needs_torch,
        open=_open_weights,
        on_request=("bf16",),
    ),
)
