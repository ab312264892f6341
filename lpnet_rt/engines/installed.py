"""Which packages and NVIDIA GPUs this machine has."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

from lpnet_rt.errors import reason

__all__ = ["gpu", "has_gpu", "needs_gpu", "needs_package", "needs_reinstall", "needs_working_package"]

_GPU_DEVICE = Path("/dev/nvidiactl")
_GPU_FACTS = Path("/proc/driver/nvidia")


def has_gpu() -> bool:
    """Return whether there is an NVIDIA GPU with a driver; without a library, which would take seconds to load."""
    return _GPU_DEVICE.exists()


def gpu() -> str:
    """Return the names of the GPUs and the driver version, or an empty string; part of a measurement's key."""
    if not has_gpu():
        return ""
    facts = [_GPU_FACTS / "version", *sorted(_GPU_FACTS.glob("gpus/*/information"))]
    lines = [line for path in facts if path.is_file() for line in path.read_text(errors="replace").splitlines()]
    return " ".join(line.strip() for line in lines if line.startswith(("Model", "NVRM")))


def needs_gpu() -> str | None:
    """Return None if there is a GPU, else that one is needed."""
    return None if has_gpu() else "an NVIDIA GPU"


def needs_package(module: str, install: str) -> str | None:
    """Return None if a module can be found, else how to install it; does not import it."""
    return None if importlib.util.find_spec(module) is not None else install


def needs_working_package(module: str, install: str) -> str | None:
    """Return None if a module can be imported, else how to install it, or why importing it fails."""
    missing = needs_package(module, install)
    if missing is not None:
        return missing
    try:
        importlib.import_module(module)
    except Exception as error:  # its own libraries can be missing, or made for another processor
        return needs_reinstall(module, error)
    return None


def needs_reinstall(module: str, error: Exception) -> str:
    """Return the advice for a package that is installed but cannot be imported."""
    return f"{module} installed again: pip install --force-reinstall {module} (importing it fails: {reason(error)})"
