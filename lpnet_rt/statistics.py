"""Percentiles of any number of durations in constant memory."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["DurationHistogram"]

_MIN_MS = 0.001
_STEP = 1.01
_BINS = 2400  # up to 0.001 * 1.01**2400 ms, more than six hours


class DurationHistogram:
    """Histogram of durations; each bin is one per cent wider than the previous one."""

    def __init__(self) -> None:
        self._counts = np.zeros(_BINS, np.int64)
        self.count = 0

    def add(self, duration_ms: float) -> None:
        """Add a duration, in milliseconds."""
        bin_index = int(math.log(max(duration_ms, _MIN_MS) / _MIN_MS) / math.log(_STEP))
        self._counts[min(bin_index, _BINS - 1)] += 1
        self.count += 1

    def percentile(self, share: float) -> float:
        """Return a percentile in milliseconds, accurate to one per cent; 0 without durations."""
        if not self.count:
            return 0.0
        rank = max(1, math.ceil(share / 100 * self.count))
        bin_index = int(np.searchsorted(np.cumsum(self._counts), rank))
        return float(_MIN_MS * _STEP ** (bin_index + 0.5))
