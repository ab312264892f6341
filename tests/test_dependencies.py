from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lpnet_rt.dependencies import check_opencv
from lpnet_rt.errors import DependencyError

_PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from lpnet_rt.dependencies import check_opencv
from lpnet_rt.errors import DependencyError
try:
    check_opencv()
except DependencyError as error:
    print(error)
"""


def test_opencv_is_here() -> None:
    check_opencv()
    assert DependencyError.exit_code == 8


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("libGL.so.1: cannot open shared object file: No such file or directory", "apt-get install libgl1"),
        ("libgthread-2.0.so.0: cannot open shared object file: No such file", "libglib2.0-0"),
        ("No module named 'cv2'", "pip install opencv-python-headless"),
        ("numpy.core.multiarray failed to import", "cannot be loaded (numpy.core.multiarray"),
    ],
)
def test_an_opencv_that_cannot_be_imported_names_its_remedy(tmp_path: Path, reason: str, remedy: str) -> None:
    (tmp_path / "cv2.py").write_text(f"raise ImportError({reason!r})\n")
    command = [sys.executable, "-c", _PROGRAM, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert remedy in done.stdout
    assert reason in done.stdout
    assert done.stdout.count("\n") == 1
