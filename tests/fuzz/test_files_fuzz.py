"""Damaged files of every kind: a result or an error of ours, within the memory and the time that are given."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("kind", "rounds"),
    [
        ("images", 400),
        ("containers", 60),
        ("models", 25),
        ("cards", 100),
        *(pytest.param(kind, 2000, marks=pytest.mark.slow) for kind in ("images", "cards")),
        pytest.param("containers", 400, marks=pytest.mark.slow),
        pytest.param("models", 300, marks=pytest.mark.slow),
    ],
)
def test_a_damaged_file_is_read_or_refused(kind: str, rounds: int) -> None:
    child = Path(__file__).parent / "child.py"
    done = subprocess.run(
        [sys.executable, child, kind, str(rounds)], capture_output=True, text=True, timeout=170, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    read, refused = (int(part.split()[0]) for part in done.stdout.split(","))
    assert read + refused == rounds
    assert refused > 0
