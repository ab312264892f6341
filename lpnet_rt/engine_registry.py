"""Every engine's name, and the module that declares it.

A module that stands here has ``SPECS``, a tuple of :class:`lpnet_rt.engines.spec.EngineSpec`, and imports nothing large
before one of them is opened: start-up imports them all. To add an engine, write its module and name it here.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from lpnet_rt.engines.spec import EngineSpec

__all__ = ["MODULES", "EngineName", "Precision", "all_specs", "specs_for"]

EngineName = Literal["openvino", "onnxruntime", "onnxruntime-cuda", "onnxruntime-tensorrt", "torch", "tensorrt"]
Precision = Literal["f32", "bf16", "f16", "int8"]

# In the order of preference.
MODULES: dict[EngineName, str] = {
    "openvino": "lpnet_rt.engines.openvino",
    "onnxruntime": "lpnet_rt.engines.onnxruntime",
    "torch": "lpnet_rt.engines.pytorch",
    "onnxruntime-cuda": "lpnet_rt.engines.onnxruntime",
    "onnxruntime-tensorrt": "lpnet_rt.engines.onnxruntime",
    "tensorrt": "lpnet_rt.engines.tensorrt",
}


def all_specs() -> list[EngineSpec]:
    """What every engine declares, in the order of preference; an engine has one spec for each kind of file."""
    return [spec for name, module in MODULES.items() for spec in _declared(module) if spec.name == name]


def specs_for(suffix: str) -> list[EngineSpec]:
    """The specs that read a model file of this suffix, such as ``.onnx``, in the order of preference."""
    return [spec for spec in all_specs() if suffix in spec.formats]


def _declared(module: str) -> tuple[EngineSpec, ...]:
    declared: tuple[EngineSpec, ...] = importlib.import_module(module).SPECS
    return declared
