"""One small frame, the same on every machine, on which every engine must agree with PyTorch in fp32."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lpnet_rt.detections import Detections

__all__ = ["MOVE_LIMIT_PX", "SCORE_LIMIT", "SELF_TEST_THRESHOLD", "disagreement", "self_test_frame"]

SELF_TEST_THRESHOLD = 0.5
MOVE_LIMIT_PX = 0.25
SCORE_LIMIT = {"f32": 0.02, "f16": 0.05, "bf16": 0.05, "int8": 0.1}


def self_test_frame() -> NDArray[np.uint8]:
    """Return a (128, 160) uint8 frame: a graded sky with noise and three hot blobs."""
    rng = np.random.RandomState(20)  # the legacy generator's stream never changes
    ys, xs = np.mgrid[0:128, 0:160]
    frame = 90.0 + 0.2 * ys + 2.0 * rng.standard_normal((128, 160))
    for x, y, sigma, contrast in ((40.3, 30.6, 1.2, 70.0), (120.0, 64.5, 1.8, 55.0), (77.7, 101.2, 1.0, 90.0)):
        frame += contrast * np.exp(-0.5 * ((xs - x) ** 2 + (ys - y) ** 2) / sigma**2)
    counts: NDArray[np.uint8] = np.clip(np.round(frame), 0, 255).astype(np.uint8)
    return counts


def disagreement(
    found: Detections, centroid_xy: list[tuple[float, float]], score: list[float], precision: str
) -> str | None:
    """Compare detections with what was expected.

    Args:
        found: What an engine said.
        centroid_xy: Expected centroids, pixels.
        score: Expected scores.
        precision: ``f32``, ``f16``, ``bf16`` or ``int8``: how far scores may differ.

    Returns:
        None where they agree, else one line that says where they do not.
    """
    if len(found) != len(score):
        return f"expected {len(score)} detections, found {len(found)}"
    left = list(range(len(score)))
    for (x, y), value in zip(found.centroid_xy, found.score, strict=True):
        nearest = min(left, key=lambda i: float(np.hypot(x - centroid_xy[i][0], y - centroid_xy[i][1])))
        moved = float(np.hypot(x - centroid_xy[nearest][0], y - centroid_xy[nearest][1]))
        if moved > MOVE_LIMIT_PX:
            return f"a detection moved by {moved:.2f} px, at most {MOVE_LIMIT_PX} allowed"
        apart = abs(float(value) - score[nearest])
        if apart > SCORE_LIMIT[precision]:
            return f"a score differs by {apart:.3f}, at most {SCORE_LIMIT[precision]} allowed"
        left.remove(nearest)
    return None
