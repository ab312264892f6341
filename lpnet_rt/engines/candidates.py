"""Which engines could run a model on this machine, and what the others need."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from lpnet_rt.errors import reason
from lpnet_rt.models import ModelFile

__all__ = ["Candidate", "candidates_for", "gpu", "list_candidates", "weights_candidates"]

_GPU_DEVICE = Path("/dev/nvidiactl")
_GPU_FACTS = Path("/proc/driver/nvidia")
_NO_TORCH = "pip install '.[train]' in a checkout of lpnet-rt"
_NO_TENSORRT = "pip install '.[tensorrt]' in a checkout of lpnet-rt"
_NO_ONNXRUNTIME = "pip install onnxruntime"
_NO_OPENVINO = "pip install openvino (x86-64 and Arm Linux)"
_NO_GPU = "an NVIDIA GPU"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An engine in a precision, and what is known of it on this machine.

    Attributes:
        engine: ``openvino``, ``onnxruntime``, ``onnxruntime-cuda``, ``onnxruntime-tensorrt``, ``torch`` or
            ``tensorrt``.
        precision: ``f32``, ``f16``, ``bf16`` or ``int8``.
        missing: None, or what to install to have it.
        on_request: ``auto`` leaves it out: it is never the fastest here, or minutes pass before it runs.
        builds: It builds an engine for every size of frame, which takes minutes.
    """

    engine: str
    precision: str
    missing: str | None = None
    on_request: bool = False
    builds: bool = False

    def __str__(self) -> str:
        return f"{self.engine} {self.precision}"

    @property
    def is_for_auto(self) -> bool:
        """Whether ``auto`` tries it."""
        return self.missing is None and not self.on_request


def candidates_for(model: ModelFile) -> list[Candidate]:
    """Every engine that reads a model's format, in the order of preference."""
    precision = model.card.built.precision
    if model.path.suffix == ".safetensors":
        return weights_candidates(str(model.card.config.get("statistics", "running")))
    if model.path.suffix == ".xml":
        both = _openvino()
        missing = both[1].missing
        return [Candidate("openvino", "int8", missing)] if precision == "int8" else both
    if model.path.suffix == ".engine":
        return [Candidate("tensorrt", precision, _needs_tensorrt())]
    return list_candidates(precision)


def list_candidates(precision: str = "f32") -> list[Candidate]:
    """Every engine and precision for an ONNX file of LPNet-RT.

    Args:
        precision: Of the file.
    """
    no_gpu = _needs_gpu()
    no_torch = _needs("torch", _NO_TORCH) or _needs("onnx", _NO_TORCH)
    # Not imported here, because that takes a tenth of a second at every start: opening it says what is broken.
    found = [*_openvino(), Candidate("onnxruntime", precision, _needs("onnxruntime", _NO_ONNXRUNTIME))]
    if precision == "f32":
        found += [
            Candidate("torch", "f16", no_torch or no_gpu),
            Candidate("torch", "bf16", no_torch, on_request=True),
            Candidate("torch", "f32", no_torch, on_request=True),
        ]
    provided = _providers() if no_gpu is None else []
    for name in ("cuda", "tensorrt"):
        missing = no_gpu or (None if name in provided else "pip install onnxruntime-gpu")
        slow = name == "tensorrt"
        found.append(Candidate(f"onnxruntime-{name}", precision, missing, on_request=slow, builds=slow))
    return [*found, Candidate("tensorrt", precision, _needs_tensorrt(), on_request=True, builds=True)]


def weights_candidates(statistics: str = "running") -> list[Candidate]:
    """Every engine and precision for a weights file of the paper's network; ``auto`` takes what is exact.

    Args:
        statistics: What its batch norm goes by; OpenVINO knows running averages alone.
    """
    no_torch = _needs("torch", _NO_TORCH)
    torch = [Candidate("torch", "f32", no_torch), Candidate("torch", "bf16", no_torch, on_request=True)]
    if statistics != "running" or has_gpu():
        return torch
    half, full = _openvino()
    openvino = [
        Candidate("openvino", "f32", no_torch or full.missing),
        Candidate("openvino", "bf16", no_torch or half.missing, on_request=True),
    ]
    return [*openvino, *torch]


def has_gpu() -> bool:
    """Whether there is an NVIDIA GPU with its driver; asks no library, because that takes seconds."""
    return _GPU_DEVICE.exists()


def gpu() -> str:
    """The GPUs and the driver in words, or nothing: what a measurement depends on."""
    if not has_gpu():
        return ""
    facts = [_GPU_FACTS / "version", *sorted(_GPU_FACTS.glob("gpus/*/information"))]
    lines = [line for path in facts if path.is_file() for line in path.read_text(errors="replace").splitlines()]
    return " ".join(line.strip() for line in lines if line.startswith(("Model", "NVRM")))


def _openvino() -> list[Candidate]:
    """In bf16 and in f32."""
    missing = _broken("openvino", _NO_OPENVINO)
    if missing is not None:
        return [Candidate("openvino", "bf16", missing), Candidate("openvino", "f32", missing)]
    try:
        from lpnet_rt.engines.openvino import has_bf16

        no_bf16 = None if has_bf16() else "a processor with AVX512-BF16 or AMX"
    except Exception as error:  # an installation that is incomplete fails in as many ways as it has parts
        missing = _again("openvino", error)
        return [Candidate("openvino", "bf16", missing), Candidate("openvino", "f32", missing)]
    return [Candidate("openvino", "bf16", no_bf16), Candidate("openvino", "f32")]


def _providers() -> list[str]:
    """Names of ONNX Runtime's ways to a GPU that this one comes with."""
    if _broken("onnxruntime", _NO_ONNXRUNTIME) is not None:
        return []
    import onnxruntime

    from lpnet_rt.engines.onnxruntime import PROVIDERS

    there = onnxruntime.get_available_providers()
    return [name for name, provider in PROVIDERS.items() if provider in there]


def _needs(module: str, install: str) -> str | None:
    """None where a module can be imported, else how to install it."""
    return None if importlib.util.find_spec(module) is not None else install


def _broken(module: str, install: str) -> str | None:
    """None where a module is imported, else how to install it, or why that fails and to install it again."""
    missing = _needs(module, install)
    if missing is not None:
        return missing
    try:
        importlib.import_module(module)
    except Exception as error:  # its own libraries can be missing, or made for another processor
        return _again(module, error)
    return None


def _again(module: str, error: Exception) -> str:
    return f"{module} installed again: pip install --force-reinstall {module} (importing it fails: {reason(error)})"


def _needs_tensorrt() -> str | None:
    """TensorRT, a GPU, and PyTorch, which holds its buffers."""
    return _needs("tensorrt", _NO_TENSORRT) or _needs_gpu() or _needs("torch", _NO_TENSORRT)


def _needs_gpu() -> str | None:
    return None if has_gpu() else _NO_GPU
