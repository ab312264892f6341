"""The self-test frame: identical on every machine; on it, every engine must agree with PyTorch in fp32."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["SELF_TEST_THRESHOLD", "self_test_frame"]

SELF_TEST_THRESHOLD = 0.5


def self_test_frame() -> NDArray[np.uint8]:
    """Return a (128, 160) uint8 frame: a graded sky with noise and three bright blobs."""
    rng = np.random.RandomState(20)  # the legacy generator's stream never changes
    ys, xs = np.mgrid[0:128, 0:160]
    frame = 90.0 + 0.2 * ys + 2.0 * rng.standard_normal((128, 160))
    for x, y, sigma, contrast in ((40.3, 30.6, 1.2, 70.0), (120.0, 64.5, 1.8, 55.0), (77.7, 101.2, 1.0, 90.0)):
        frame += contrast * np.exp(-0.5 * ((xs - x) ** 2 + (ys - y) ** 2) / sigma**2)
    counts: NDArray[np.uint8] = np.clip(np.round(frame), 0, 255).astype(np.uint8)
    return counts
