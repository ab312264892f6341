from __future__ import annotations

import math

import numpy as np
import pytest

from lpnet_rt.statistics import DurationHistogram


def test_percentiles_within_one_per_cent() -> None:
    durations_ms = np.exp(np.random.default_rng(3).normal(1.0, 1.5, 20_000))
    histogram = DurationHistogram()
    for duration_ms in durations_ms:
        histogram.add(float(duration_ms))
    assert histogram.count == 20_000
    ordered = np.sort(durations_ms)
    for share in (1, 50, 95, 99, 99.9, 100):
        exact = ordered[math.ceil(share / 100 * 20_000) - 1]
        assert histogram.percentile(share) == pytest.approx(exact, rel=0.01)


def test_nothing_one_and_two() -> None:
    histogram = DurationHistogram()
    assert histogram.percentile(50) == 0.0
    histogram.add(4.0)
    assert histogram.percentile(1) == histogram.percentile(100) == pytest.approx(4.0, rel=0.01)
    histogram.add(8.0)
    assert histogram.percentile(50) == pytest.approx(4.0, rel=0.01)
    assert histogram.percentile(51) == pytest.approx(8.0, rel=0.01)


def test_durations_beyond_the_bins_are_kept_in_the_outermost() -> None:
    histogram = DurationHistogram()
    histogram.add(0.0)
    histogram.add(-1.0)
    assert histogram.percentile(100) == pytest.approx(0.001, rel=0.01)
    histogram.add(1e12)
    assert 6 * 3600e3 < histogram.percentile(100) < 7 * 3600e3
    assert histogram.count == 3
