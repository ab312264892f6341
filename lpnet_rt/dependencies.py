"""System libraries that no Python package includes."""

from __future__ import annotations

import importlib

from lpnet_rt.errors import DependencyError

__all__ = ["check_opencv"]


def check_opencv() -> None:
    """Import OpenCV, or report which system package is missing.

    Nearly every module imports OpenCV, so the command line calls this before it imports any of them.

    Raises:
        DependencyError: OpenCV is not installed, or it cannot be loaded.
    """
    try:
        importlib.import_module("cv2")
    except ImportError as error:
        raise DependencyError(_advice(str(error))) from error


def _advice(reason: str) -> str:
    found = " ".join(reason.split())
    if "libGL" in found or "libgthread" in found or "libglib" in found:
        return (
            f"OpenCV needs a system library ({found}), as opencv-python does and opencv-python-headless does not; "
            "apt-get install libgl1 libglib2.0-0"
        )
    if "No module named" in found:
        return f"OpenCV is not installed ({found}); install it: pip install opencv-python-headless"
    return f"OpenCV cannot be loaded ({found}); install it again: pip install --force-reinstall opencv-python-headless"
