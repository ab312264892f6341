from __future__ import annotations

import numpy as np
import pytest

from lpnet_rt.agreement import Agreement, compare, disagreement
from lpnet_rt.detections import Detections


def detections(*rows: tuple[float, float, float]) -> Detections:
    """Of x, y and score."""
    table = np.array(rows, np.float32).reshape(-1, 3)
    n = len(table)
    return Detections(
        centroid_xy=table[:, :2].copy(),
        box_xyxy=np.zeros((n, 4), np.int32),
        score=table[:, 2].copy(),
        area_px=np.ones(n, np.int32),
        peak=np.ones(n, np.int32),
        snr=np.ones(n, np.float32),
    )


def test_what_moved_and_what_differs() -> None:
    reference = detections((10, 10, 0.9), (50, 20, 0.8))
    found = detections((50, 20.5, 0.7), (10.25, 10, 0.9))
    agreement = Agreement()
    agreement.add(compare(reference, found))
    assert (agreement.frames, agreement.detections, agreement.gained, agreement.lost) == (1, 2, 0, 0)
    assert agreement.moved_px == pytest.approx(0.5)
    assert agreement.score_apart == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("reference", "found", "expected"),
    [
        ((), (), (0, 0)),
        ((), ((1, 1, 0.5),), (1, 0)),
        (((1, 1, 0.5),), (), (0, 1)),
        (((1, 1, 0.5),), ((4.5, 1, 0.5),), (1, 1)),  # too far away to be the same
        (((1, 1, 0.5),), ((1, 1, 0.5), (2, 1, 0.5)), (1, 0)),  # one is matched, not both
        (((1, 1, 0.5), (3, 1, 0.5)), ((2.1, 1, 0.5),), (0, 1)),
    ],
)
def test_gained_and_lost(
    reference: tuple[tuple[float, float, float], ...],
    found: tuple[tuple[float, float, float], ...],
    expected: tuple[int, int],
) -> None:
    comparison = compare(detections(*reference), detections(*found))
    assert (len(comparison.gained), len(comparison.lost)) == expected


def test_what_was_lost_is_named() -> None:
    comparison = compare(detections((10, 10, 0.9), (50, 20, 0.6)), detections((10, 10, 0.9), (80, 2, 0.55)))
    assert comparison.lone() == [
        (pytest.approx(0.6), "detection at (50.0, 20.0) of score 0.600 vanished"),
        (pytest.approx(0.55), "detection at (80.0, 2.0) of score 0.550 appeared"),
    ]


@pytest.mark.parametrize(
    ("expected", "problem"),
    [
        (((40.1, 30.1, 0.98), (120.0, 64.2, 0.91)), None),
        (((120.0, 64.2, 0.91), (40.1, 30.1, 0.98)), None),
        (((40, 30, 0.99),), "expected 1 detections, found 2"),
        (((40, 30, 0.99), (120, 64, 0.9), (7, 7, 0.8)), "expected 3 detections, found 2"),
        (((40, 30, 0.99), (120, 64.3, 0.9)), "the detection at (120.0, 64.3) moved by 0.30 px, at most 0.25 allowed"),
        (
            ((40, 30, 0.99), (120, 64, 0.87)),
            "the score of the detection at (120.0, 64.0) differs by 0.030, at most 0.02 allowed",
        ),
        (((40, 30, 0.99), (40.1, 30, 0.99)), "the detection at (40.1, 30.0) moved by 86.83 px, at most 0.25 allowed"),
    ],
)
def test_the_same_must_be_found(expected: tuple[tuple[float, float, float], ...], problem: str | None) -> None:
    found = detections((40, 30, 0.99), (120, 64, 0.9))
    assert disagreement(detections(*expected), found, "f32") == problem
    assert disagreement(detections(), detections(), "f32") is None


def test_half_precision_may_differ_more_but_not_much() -> None:
    found = detections((40, 30, 0.95))
    assert disagreement(detections((40, 30, 0.91)), found, "f32") is not None
    assert disagreement(detections((40, 30, 0.91)), found, "bf16") is None
    assert disagreement(detections((40, 30, 0.89)), found, "bf16") is not None
