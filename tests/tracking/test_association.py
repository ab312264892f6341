from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from lpnet_rt.tracking.association import assign, gated_pairs


def _total(costs: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> float:
    return float(costs[rows, columns].sum())


@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 12), columns=st.integers(1, 12), share=st.floats(0.05, 1.0))
def test_the_assignment_costs_as_little_as_one_over_the_whole_matrix(
    seed: int, rows: int, columns: int, share: float
) -> None:
    rng = np.random.default_rng(seed)
    costs = -rng.uniform(0.1, 10.0, (rows, columns)) * (rng.random((rows, columns)) < share)
    row, column = (costs < 0.0).nonzero()
    got_rows, got_columns = assign((row, column, costs[row, column]), rows, columns)
    assert len(set(got_rows.tolist())) == len(got_rows)
    assert len(set(got_columns.tolist())) == len(got_columns)
    assert (costs[got_rows, got_columns] < 0.0).all()
    np.testing.assert_allclose(_total(costs, got_rows, got_columns), _total(costs, *linear_sum_assignment(costs)))


def test_without_a_pair_nothing_is_assigned() -> None:
    none = np.zeros(0, np.intp)
    rows, columns = assign((none, none, np.zeros(0)), 3, 4)
    assert len(rows) == len(columns) == 0


@given(seed=st.integers(0, 2**32 - 1), tracks=st.integers(0, 30), detections=st.integers(0, 30))
def test_the_gate_lets_through_what_a_look_at_every_pair_does(seed: int, tracks: int, detections: int) -> None:
    rng = np.random.default_rng(seed)
    track_xy, detection_xy = rng.uniform(0, 60, (tracks, 2)), rng.uniform(0, 60, (detections, 2))
    track_variance, detection_variance = rng.uniform(0, 80, tracks), rng.uniform(0.1, 3, detections)
    row, column, cost = gated_pairs((track_xy, track_variance), (detection_xy, detection_variance), 11.0, (3.0, 20.0))
    variance = np.clip(track_variance[:, None] + detection_variance[None], 9.0 / 11.0, 400.0 / 11.0)
    distance = ((track_xy[:, None] - detection_xy[None]) ** 2).sum(axis=-1) / variance
    expected = set(zip(*(index.tolist() for index in (distance <= 11.0).nonzero()), strict=True))
    assert set(zip(row.tolist(), column.tolist(), strict=True)) == expected
    assert (cost < 0.0).all()


def test_of_two_detections_the_likelier_costs_less() -> None:
    track = (np.array([[10.0, 10.0]]), np.array([1.0]))
    _, column, cost = gated_pairs(
        track, (np.array([[12.0, 10.0], [10.5, 10.0]]), np.array([0.5, 0.5])), 11.0, (3.0, 20.0)
    )
    assert column[cost.argmin()] == 1


def test_the_gate_is_never_narrower_than_its_floor_nor_wider_than_its_limit() -> None:
    places = np.array([[2.9, 0.0], [3.1, 0.0], [19.9, 0.0], [20.1, 0.0]])
    for variance, within in ((1e-6, 2.95), (1e6, 20.0)):
        _, column, _ = gated_pairs(
            (np.zeros((1, 2)), np.array([variance])), (places, np.full(4, 1e-6)), 11.0, (3.0, 20.0)
        )
        assert set(column.tolist()) == set(np.flatnonzero(places[:, 0] < within).tolist())
