"""Every engine's name, and the module that defines it.

A listed module has ``SPECS``, a tuple of :class:`lpnet_rt.engines.spec.EngineSpec`, and defers large imports until an
engine is opened: start-up imports all modules. To add an engine, write its module and list it here.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from lpnet_rt.engines.spec import EngineSpec

__all__ = ["MODULES", "EngineName", "Precision", "all_specs", "specs_for"]

EngineName = Literal["openvino", "onnxruntime", "onnxruntime-cuda", "onnxruntime-tensorrt", "torch", "tensorrt"]
Precision = Literal["f32", "bf16", "f16", "int8"]

# In order of preference.
MODULES: dict[EngineName, str] = {
    "openvino": "lpnet_rt.engines.openvino",
    "onnxruntime": "lpnet_rt.engines.onnxruntime",
    "torch": "lpnet_rt.engines.pytorch",
    "onnxruntime-cuda": "lpnet_rt.engines.onnxruntime",
    "onnxruntime-tensorrt": "lpnet_rt.engines.onnxruntime",
    "tensorrt": "lpnet_rt.engines.tensorrt",
}


def all_specs() -> list[EngineSpec]:
    """Return the specs of all engines, in order of preference; an engine has one spec per kind of file."""
    return [spec for name, module in MODULES.items() for spec in _declared(module) if spec.name == name]


def specs_for(suffix: str) -> list[EngineSpec]:
    """Return the specs that read model files of a suffix, such as ``.onnx``, in order of preference."""
    return [spec for spec in all_specs() if suffix in spec.formats]


def _declared(module: str) -> tuple[EngineSpec, ...]:
    declared: tuple[EngineSpec, ...] = importlib.import_module(module).SPECS
    return declared
