from __future__ import annotations

import numpy as np
import pytest

from lpnet_rt.preprocessing.unit_range import unit_range


def test_eight_bit_counts_are_divided_by_255() -> None:
    assert unit_range(np.array([[0, 51, 255]], np.uint8)).tolist() == [[0, pytest.approx(0.2), 1]]


def test_deep_counts_keep_what_eight_bits_would_lose() -> None:
    frame = np.full((64, 64), 7000, np.uint16)
    frame[10, 10] = 7005
    unit = unit_range(frame)
    assert unit[10, 10] == pytest.approx(5 / 64, abs=0.02)
    assert np.unique(unit).size == 2
    ramp = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)
    assert (unit_range(ramp).min(), unit_range(ramp).max()) == (0, 1)
    assert np.unique(unit_range(ramp)).size > 4000
