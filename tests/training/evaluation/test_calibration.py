from __future__ import annotations

import cv2
import numpy as np
import pytest

from lpnet_rt.models.false_alarms import interpolated
from lpnet_rt.training.evaluation.calibration import (
    ScoredDetections,
    calibration_error,
    false_alarm_thresholds,
    fit_calibration,
    log_loss,
    reliability,
)
from lpnet_rt.training.evaluation.reliability_plot import reliability_png


def made(kind: str, count: int = 3000, sessions: int = 30, seed: int = 1) -> ScoredDetections:
    """Detections whose probability is a known function of the score."""
    rng = np.random.default_rng(seed)
    score = rng.uniform(0.1, 0.999, count)
    probability = 1 / (1 + np.exp(-(0.5 * np.log(score / (1 - score)) - 1))) if kind == "line" else _steps(score)
    return ScoredDetections(
        score, rng.random(count) < probability, rng.integers(0, sessions, count), np.full(sessions, 500)
    )


def _steps(score: np.ndarray) -> np.ndarray:
    """Probability of a shape that no line through logits has."""
    return np.select([score < 0.3, score < 0.8], [0.02, 0.5], 0.55)


def test_a_line_through_the_logits_is_found_again() -> None:
    found = made("line", count=20_000)
    fit = fit_calibration(found)
    assert fit.method == "platt"
    np.testing.assert_allclose(interpolated(fit.points, np.array([0.5])), [1 / (1 + np.e)], atol=0.02)
    assert fit.log_loss["platt"] < fit.log_loss["identity"]
    assert fit.ece["platt"] < 0.02 < fit.ece["identity"]


def test_where_no_line_fits_the_polygon_is_taken() -> None:
    fit = fit_calibration(made("steps"))
    assert fit.method == "isotonic"
    assert (np.diff(fit.points, axis=0) >= 0).all()
    assert 2 <= len(fit.points) <= 16
    np.testing.assert_allclose(interpolated(fit.points, np.array([0.15, 0.55])), [0.02, 0.5], atol=0.08)


def test_scores_that_are_probabilities_already_are_left_alone() -> None:
    rng = np.random.default_rng(4)
    score, session = rng.uniform(0.1, 0.999, 400), rng.integers(0, 12, 400)
    fit = fit_calibration(ScoredDetections(score, rng.random(400) < score, session, np.full(12, 100)))
    assert fit.method == "identity"
    np.testing.assert_allclose(interpolated(fit.points, score), score, rtol=1e-9)
    np.testing.assert_allclose(fit.held_out[fit.method], score, rtol=1e-9)


def test_each_session_is_judged_by_the_others() -> None:
    """A session whose detections are all targets at a low score must not teach its own probability."""
    found = made("line", count=2000, sessions=10)
    own = found.session == 3
    odd = ScoredDetections(
        np.where(own, 0.12, found.score), np.where(own, True, found.is_target), found.session, found.frames
    )
    assert fit_calibration(odd).held_out["platt"][own].max() < 0.5


def test_log_loss_and_calibration_error_by_hand() -> None:
    probability, true = np.array([0.25, 0.75]), np.array([False, True])
    assert log_loss(probability, true) == pytest.approx(-np.log(0.75))
    assert calibration_error(np.full(300, 0.75), np.arange(300) % 4 > 0) == pytest.approx(0.0, abs=0.03)
    assert calibration_error(np.full(300, 0.75), np.zeros(300, bool)) == pytest.approx(0.75)
    said, share, count = reliability(np.linspace(0, 1, 150), np.linspace(0, 1, 150) > 0.5)
    assert len(said) == 15
    assert count.tolist() == [10] * 15
    assert share[0] == 0
    assert share[-1] == 1


def test_thresholds_leave_the_allowed_number() -> None:
    rng = np.random.default_rng(2)
    score, session = rng.uniform(0.1, 1, 2000), rng.integers(0, 100, 2000)
    found = ScoredDetections(score, np.zeros(2000, bool), session, np.full(100, 200))
    rows = false_alarm_thresholds(found)
    assert [row.false_per_frame for row in rows] == [0.1, 0.01, 0.001, 0.0001]
    assert rows[0].threshold == 0.1, "2,000 in 20,000 frames is the rate itself"
    for row, allowed in zip(rows[1:3], (200, 20), strict=True):
        assert row.threshold is not None
        assert row.low is not None
        assert row.high is not None
        assert np.count_nonzero(score >= row.threshold) == allowed
        assert np.count_nonzero(score >= row.threshold - 2e-6) > allowed, "a lower one would do"
        assert row.low <= row.threshold <= row.high
        assert row.low < row.high
    assert rows[3].threshold is None, "two detections show no rate of 1 in 10,000"


def test_a_rate_that_one_session_alone_shows_is_not_supported() -> None:
    score = np.concatenate((np.linspace(0.9, 0.99, 50), np.linspace(0.2, 0.3, 50)))
    session = np.concatenate((np.zeros(50, int), np.arange(50) % 10))
    found = ScoredDetections(score, np.zeros(100, bool), session, np.full(10, 100))
    first, second, *_ = false_alarm_thresholds(found)
    assert first.threshold == pytest.approx(0.1)
    assert second.threshold is None


def test_wider_intervals_where_sessions_differ_more() -> None:
    score = np.random.default_rng(3).uniform(0.1, 1, 1000)
    widths = []
    for session in (np.arange(1000) % 50, (50 * score**4).astype(int)):
        found = ScoredDetections(score, np.zeros(1000, bool), session, np.full(50, 200))
        row = false_alarm_thresholds(found, (0.01,))[0]
        widths.append((row.high or 0) - (row.low or 0))
    assert widths[1] > widths[0]


def test_the_diagram_is_a_picture_of_both() -> None:
    found = made("line", count=600)
    picture = cv2.imdecode(np.frombuffer(reliability_png(found, fit_calibration(found)), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    height, width = picture.shape[:2]
    assert width > height > 400
    blue = (picture[..., 0].astype(int) - picture[..., 2]) > 60
    assert blue[:, : width // 2].sum() > 300
    assert blue[:, width // 2 :].sum() > 300
