"""Which detection belongs to which track: gates, and the assignment with the lowest sum of costs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Pairs", "assign", "gated_pairs"]

Indices = NDArray[np.intp]
Pairs = tuple[Indices, Indices, NDArray[np.float64]]
"""Tracks, detections and costs under 0, (P,) each."""
_Mask = NDArray[np.bool_]
_FEW_PAIRS = 600


def gated_pairs(
    tracks: tuple[NDArray[np.float64], NDArray[np.float64]],
    detections: tuple[NDArray[np.float64], NDArray[np.float64]],
    gate: float,
    radius_px: tuple[float, float],
) -> Pairs:
    """The pairs inside the gate; the cost of each is its negative log-likelihood, lowered so that all are under 0.

    The gate is on the squared Mahalanobis distance. The innovation's deviation is held within bounds, so that the
    gate's radius is, too.

    Args:
        tracks: (T, 2) predicted positions, px, and (T,) their variance on either axis.
        detections: (D, 2) positions, px, and (D,) their variance.
        gate: Largest squared Mahalanobis distance.
        radius_px: Smallest and largest radius of the gate.
    """
    (track_xy, track_variance), (detection_xy, detection_variance) = tracks, detections
    lowest, highest = radius_px[0] ** 2 / gate, radius_px[1] ** 2 / gate
    widest = np.minimum(np.maximum(track_variance + detection_variance.max(initial=0.0), lowest), highest)
    row, column = _beside(track_xy[:, 0], detection_xy[:, 0], np.sqrt(gate * widest))
    off_xy = track_xy[row] - detection_xy[column]
    variance = np.minimum(np.maximum(track_variance[row] + detection_variance[column], lowest), highest)
    distance = (off_xy[:, 0] ** 2 + off_xy[:, 1] ** 2) / variance
    inside = distance <= gate
    cost = distance + 2.0 * np.log(variance / highest) - (gate + 1.0)
    return row[inside], column[inside], cost[inside]


def _beside(
    track_x: NDArray[np.float64], detection_x: NDArray[np.float64], reach_px: NDArray[np.float64]
) -> tuple[Indices, Indices]:
    """The pairs within each track's reach along x: few, so that not every pair need be looked at."""
    if len(track_x) * len(detection_x) <= _FEW_PAIRS:  # looking at all of them is quicker than sorting
        row, column = (np.abs(track_x[:, None] - detection_x) <= reach_px[:, None]).nonzero()
        return row, column
    order = np.argsort(detection_x, kind="stable")
    ascending = detection_x[order]
    first = np.searchsorted(ascending, track_x - reach_px, "left")
    count = np.searchsorted(ascending, track_x + reach_px, "right") - first
    row = np.repeat(np.arange(len(track_x)), count)
    before = np.repeat(np.cumsum(count) - count - first, count)
    return row, order[np.arange(len(row)) - before]


def assign(pairs: Pairs, rows: int, columns: int) -> tuple[Indices, Indices]:
    """The one-to-one assignment with the lowest sum of costs; a row or a column may stay without.

    Pairs whose row and column have no other are taken at once. Among the rest, a row whose cheapest column no other row
    wants takes it: that is optimal wherever no conflict touches it. Only the connected parts of the graph of pairs that
    hold a conflict are solved (Crouse, 'On implementing 2D rectangular assignment algorithms', IEEE TAES 2016, in
    SciPy, which is imported on the first conflict).

    Args:
        pairs: Possible pairs; costs are under 0.
        rows: How many rows there are.
        columns: How many columns there are.

    Returns:
        Rows and columns, (M,) each, of the M pairs.
    """
    row, column, cost = pairs
    lone = (np.bincount(row, minlength=rows)[row] == 1) & (np.bincount(column, minlength=columns)[column] == 1)
    if lone.all():
        return row, column
    rest = ~lone
    hard_rows, row_at = np.unique(row[rest], return_inverse=True)
    hard_columns, column_at = np.unique(column[rest], return_inverse=True)
    costs = np.zeros((len(hard_rows), len(hard_columns)))
    costs[row_at, column_at] = cost[rest]
    part_row, part_column = _assign_dense(costs)
    return (
        np.concatenate((row[lone], hard_rows[part_row])),
        np.concatenate((column[lone], hard_columns[part_column])),
    )


def _assign_dense(costs: NDArray[np.float64]) -> tuple[Indices, Indices]:
    """The same for a matrix; a pair is possible where its cost is under 0."""
    best = costs.argmin(axis=1)
    contested: _Mask = np.bincount(best, minlength=costs.shape[1]) > 1
    if not contested.any():
        return np.arange(len(costs)), best
    from scipy.optimize import linear_sum_assignment

    hard_rows, hard_columns = _touched(costs < 0.0, contested)
    easy = np.flatnonzero(~hard_rows)
    rows, columns = np.flatnonzero(hard_rows), np.flatnonzero(hard_columns)
    part = costs[np.ix_(rows, columns)]
    row, column = linear_sum_assignment(part)
    possible = part[row, column] < 0.0
    return (
        np.concatenate((easy, rows[row[possible]])),
        np.concatenate((best[easy], columns[column[possible]])),
    )


def _touched(possible: _Mask, columns: _Mask) -> tuple[_Mask, _Mask]:
    """The rows and columns of all connected parts that hold one of the given columns."""
    while True:
        rows = np.asarray(possible[:, columns].any(axis=1))
        wider = np.asarray(possible[rows].any(axis=0))
        if wider.sum() == columns.sum():
            return rows, wider
        columns = wider
