"""From a track's past to the probability that it is a target's: logistic regression over some figures of it."""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from lpnet_rt.tracking.table import TrackTable

__all__ = ["FEATURES", "EvidenceModel", "features", "probability"]

FEATURES = (
    "mean_score",
    "best_score",
    "hit_share",
    "recent_score",
    "log_snr",
    "log_area",
    "log_neighbours",
    "log_hits",
    "log_speed",
    "log_reach",
    "log_lag",
    "log_surprise",
    "stands",
)
"""What :func:`features` gives, column by column.

- scores: mean over all frames (0 where missed), over the last ten or so, and the highest;
- log(1 + SNR) and log(area), averaged over the last ten hits or so;
- log(1 + hits), hits / frames;
- log(1 + speed), px/s; log(1 + reach): the furthest it has been from where it began, px; log(1 + lag): how far it is
  from where it was lately, px; all against the background;
- log(1 + surprise), the normalised innovation squared; log(1 + detections a frame);
- stands: log(1 + seconds it has been followed, or the clutter map remembers), fading as it moves from its origin.
"""

_MOVED_PX = 1.0
Column = NDArray[np.float64]


class EvidenceModel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """P(target) = 1 / (1 + exp(-(intercept + sum of weight * feature))).

    Attributes:
        intercept: Log-odds where every feature is 0.
        weights: By name of :data:`FEATURES`; a feature without one counts nothing.
    """

    intercept: float
    weights: dict[str, float]

    def __post_init__(self) -> None:
        """Refuse names that no feature has.

        Raises:
            ValueError: There is one.
        """
        unknown = sorted(set(self.weights) - set(FEATURES))
        if unknown:
            raise ValueError(f"expected features among {', '.join(FEATURES)}, found {', '.join(unknown)}")

    def vector(self, hovering: bool = False) -> Column:
        """(F,) weights in the order of :data:`FEATURES`; where targets hover, standing still counts nothing."""
        weights = np.array([self.weights.get(name, 0.0) for name in FEATURES])
        if hovering:
            weights[FEATURES.index("stands")] = 0.0
        return weights


def features(tracks: TrackTable) -> NDArray[np.float64]:
    """(T, F) float64: the columns of :data:`FEATURES`."""
    frames = tracks["frames"].astype(np.float64)
    reach_px, recent, velocity_xy = tracks["reach_px"], tracks["recent"], tracks["velocity_xy"]
    lag_xy = tracks["xy"] - tracks["lag_xy"]
    columns = np.empty((len(tracks), len(FEATURES)))
    columns[:, 0] = tracks["score_sum"] / frames
    columns[:, 1] = tracks["best_score"]
    columns[:, 2] = tracks["hits"] / frames
    columns[:, 3:6] = recent[:, (0, 1, 2)]
    columns[:, 6] = recent[:, 4]
    logs = columns[:, 7:]
    logs[:, 0] = tracks["hits"]
    logs[:, 1] = np.hypot(velocity_xy[:, 0], velocity_xy[:, 1])
    logs[:, 2] = reach_px
    logs[:, 3] = np.hypot(lag_xy[:, 0], lag_xy[:, 1])
    logs[:, 4] = recent[:, 3]
    logs[:, 5] = np.maximum(tracks["seen_s"] - tracks["born_s"], tracks["clutter_s"])
    np.log1p(logs, out=logs)
    logs[:, 5] *= np.exp(reach_px / -_MOVED_PX)
    return columns


def probability(tracks: TrackTable, weights: Column, intercept: float) -> Column:
    """(T,) float64 in 0..1: the probability that each track is a target's."""
    found: Column = 1.0 / (1.0 + np.exp(-(features(tracks) @ weights + intercept)))
    return found
