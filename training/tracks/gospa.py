"""GOSPA: Rahmathullah, García-Fernández, Svensson, 'Generalized optimal sub-pattern assignment metric', FUSION 2017."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from lpnet_rt.training.tracks.replay import TrackPath
from lpnet_rt.training.tracks.truth import ClipTruth

__all__ = ["clip_gospa", "gospa"]


def gospa(found_xy: NDArray[np.float64], true_xy: NDArray[np.float64], limit_px: float) -> float:
    """GOSPA of one frame with p = 2 and alpha = 2, px.

    sqrt(min over assignments of: squared distances of the pairs + limit^2 / 2 for each point without a partner).

    Args:
        found_xy: (P, 2) px.
        true_xy: (T, 2) px.
        limit_px: The cut-off c.
    """
    gap = found_xy[:, None] - true_xy[None]
    cost = np.minimum((gap**2).sum(axis=-1), limit_px**2)
    pairs = cost[linear_sum_assignment(cost)]
    apart = len(found_xy) + len(true_xy) - 2 * len(pairs)
    return float(np.sqrt(pairs.sum() + apart * limit_px**2 / 2.0))


def clip_gospa(path: TrackPath, truth: ClipTruth, limit_px: float) -> float:
    """Sum of GOSPA over the frames of a clip, px; places that count neither way are left out."""
    total = 0.0
    for frame in range(path.frames):
        xy = path.xy[path.at(frame)]
        total += gospa(xy[~truth.is_ignored(frame, xy)], truth.centres_at(frame), limit_px)
    return total
