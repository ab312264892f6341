"""All tracks of one source as one table, a row for each: a frame costs a few array operations, however many."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

__all__ = ["RECENT", "TRACK_DTYPE", "TrackState", "TrackTable", "appended", "new_rows"]


class TrackState(IntEnum):
    """What a track is at the moment."""

    TENTATIVE = 0
    CONFIRMED = 1
    COASTING = 2
    ENDED = 3


RECENT = ("score", "log_snr", "log_area", "surprise", "log_neighbours")
"""Columns of the field ``recent``: averages over some ten frames."""

TRACK_DTYPE = np.dtype(
    [
        ("id", np.int64),
        ("state", np.int8),
        ("confirmed", np.bool_),  # ever
        ("born_s", np.float64),
        ("seen_s", np.float64),  # time of the last detection
        ("frames", np.int32),
        ("hits", np.int32),
        ("misses", np.int32),  # frames since the last detection
        ("unseen_s", np.float64),  # seconds since then, calibrations not counted
        # Motion: pixels of the frame, pixels a second against the background, and their covariance on either axis.
        ("xy", np.float64, (2,)),
        ("velocity_xy", np.float64, (2,)),
        ("var_p", np.float64),
        ("cov_pv", np.float64),
        ("var_v", np.float64),
        # Where it was detected first and last, in pixels of those frames.
        ("first_xy", np.float64, (2,)),
        ("last_xy", np.float64, (2,)),
        # History, weighed by lpnet_rt.tracking.evidence. Places of the past move with the background.
        ("origin_xy", np.float64, (2,)),
        ("lag_xy", np.float64, (2,)),
        ("reach_px", np.float64),
        ("score_sum", np.float64),
        ("best_score", np.float64),
        ("recent", np.float64, (len(RECENT),)),
        ("clutter_s", np.float64),
        ("probability", np.float64),
    ]
)

TrackTable = NDArray[np.void]
"""(T,) of :data:`TRACK_DTYPE`, oldest first."""


def new_rows(count: int) -> TrackTable:
    """Rows of zeros."""
    return np.zeros(count, TRACK_DTYPE)


def appended(table: TrackTable, rows: TrackTable) -> TrackTable:
    """Both, one after the other; ``np.concatenate`` takes longer to compare their types than all else of a frame."""
    both = np.empty(len(table) + len(rows), TRACK_DTYPE)
    both[: len(table)], both[len(table) :] = table, rows
    return both
