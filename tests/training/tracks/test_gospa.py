from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpnet_rt.training.tracks.gospa import gospa


def test_it_is_zero_for_equal_sets_and_counts_half_a_squared_limit_for_each_lone_point() -> None:
    points = np.array([[1.0, 2.0], [30.0, 40.0]])
    assert gospa(points, points[::-1], 8.0) == 0.0
    assert gospa(points, points[:1], 8.0) == pytest.approx(np.sqrt(8.0**2 / 2))
    assert gospa(points[:0], points[:0], 8.0) == 0.0
    assert gospa(points[:1], points[:1] + 1.0, 8.0) == pytest.approx(np.sqrt(2.0))
    assert gospa(points[:1], points[:1] + 100.0, 8.0) == pytest.approx(8.0)


@given(seed=st.integers(0, 2**32 - 1), found=st.integers(0, 4), true=st.integers(0, 4))
def test_it_is_the_least_over_all_assignments(seed: int, found: int, true: int) -> None:
    rng = np.random.default_rng(seed)
    found_xy, true_xy = rng.uniform(0, 20, (found, 2)), rng.uniform(0, 20, (true, 2))
    few, many = sorted((found_xy, true_xy), key=len)
    least = min(
        sum(min(float(((few[i] - many[j]) ** 2).sum()), 64.0) for i, j in enumerate(chosen))
        for chosen in itertools.permutations(range(len(many)), len(few))
    )
    expected = np.sqrt(least + (len(many) - len(few)) * 64.0 / 2.0)
    assert gospa(found_xy, true_xy, 8.0) == pytest.approx(expected)
