"""Weak detections beside strong ones: what extends a track but may not start one."""

from __future__ import annotations

import numpy as np

from lpnet_rt.detections import CandidatePixels, Detections, candidate_score, detect_candidates, joined
from lpnet_rt.frames import GreyImage

__all__ = ["WEAK_SCORE", "detect_with_weak"]

WEAK_SCORE = 0.1
"""From this score on, a detection can extend a track."""


def detect_with_weak(
    candidates: CandidatePixels, image: GreyImage, threshold: float, weak_threshold: float
) -> Detections:
    """Detections at a threshold, and after them those at a lower one that are no part of these.

    The strong ones are exactly those of :func:`lpnet_rt.detections.detect_candidates`.

    Args:
        candidates: Pixels that score at least :func:`lpnet_rt.detections.candidate_score` of the weak threshold.
        image: (H, W) raw counts of the same frame.
        threshold: Score from 0 (exclusive) to 1.
        weak_threshold: A lower one.

    Returns:
        Strongest score first: every weak one scores less than the threshold.
    """
    weak = detect_candidates(candidates, image, weak_threshold)
    strong = detect_candidates(candidates.at_least(candidate_score(threshold)), image, threshold)
    # A component at the lower level holds a strong one just when its highest score reaches the threshold.
    apart = weak.score < np.float32(threshold)
    return joined(strong, weak.rows(apart))
