"""The public surface: what a program may import from ``lpnet_rt`` itself."""

from __future__ import annotations

import importlib
import subprocess
import sys

import lpnet_rt


def test_the_public_names_are_these() -> None:
    assert lpnet_rt.__all__ == ["Detections", "Detector", "Frame", "Subscriber", "__version__"]


def test_every_public_name_is_there_and_at_home_in_its_module() -> None:
    for name in lpnet_rt.__all__:
        value = getattr(lpnet_rt, name)
        if isinstance(value, type):
            home = importlib.import_module(value.__module__)
            assert name in home.__all__


def test_importing_the_package_imports_no_library() -> None:
    libraries = "{'numpy', 'cv2', 'av', 'openvino', 'onnxruntime', 'torch'}"
    program = f"import sys, lpnet_rt; print(sorted({libraries} & {{*sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
