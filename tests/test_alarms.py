"""Alarms on recordings without targets: thresholds, intervals, clusters."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpnet_rt.alarms import (
    FLOOR,
    AlarmLog,
    Alarms,
    alarm_zones,
    find_threshold,
    lowest_threshold,
    poisson_interval,
)
from lpnet_rt.detections import Detections, detect
from lpnet_rt.models.false_alarms import just_above
from tests.made_reports import make

SIZE_HW = (256, 320)


def alarms(score: np.ndarray, xy: np.ndarray, t_s: np.ndarray | None = None) -> Alarms:
    corner = np.round(xy).astype(np.int32) - 1
    times = np.arange(len(score)) / 30 if t_s is None else t_s
    return Alarms(np.asarray(score, np.float64), np.asarray(xy, np.float64), np.hstack((corner, corner + 3)), times)


def logged(scores: list[list[float]], size_hw: tuple[int, int] = SIZE_HW) -> AlarmLog:
    """A log of frames at 30 per second with detections of these scores, side by side."""
    log = AlarmLog(30.0)
    for index, row in enumerate(scores):
        score_map = np.zeros(size_hw, np.float32)
        for place, score in enumerate(row):
            score_map[40, 20 + 40 * place] = score
        report = make(index, size_hw)
        found = detect(score_map, report.frame.image, 0.1) if row else Detections.empty()
        log.add(dataclasses.replace(report, detections=found))
    return log


@pytest.mark.parametrize(
    ("events", "low", "high"), [(1, 0.0253, 5.572), (5, 1.623, 11.668), (100, 81.36, 121.63)]
)  # Garwood's table
def test_poisson_intervals_are_the_exact_ones(events: int, low: float, high: float) -> None:
    found = poisson_interval(events, 1.0)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-3)
    half = poisson_interval(events, 2.0, weight=3.0)
    assert (half.events, half.rate, half.low) == (3 * events, 1.5 * events, pytest.approx(1.5 * low, rel=1e-3))


def test_without_events_there_is_an_upper_bound() -> None:
    found = poisson_interval(0, 0.5)
    assert (found.rate, found.low) == (0, 0)
    assert found.high == pytest.approx(2 * 2.9957, rel=1e-3)
    assert str(found) == "none, so under 5.99/h (95 %)"
    assert str(poisson_interval(2, 100, "frame")) == "2, 0.02/frame (95 %: 0.00242 to 0.0722)"


@given(st.floats(0.0, 1.0, width=32))
def test_a_threshold_just_above_a_score_is_missed_by_it(score: float) -> None:
    threshold = just_above(score)
    if threshold is None:
        assert score > 1 - 2e-6
    else:
        assert not np.float32(score) >= np.float32(threshold)
        assert np.float32(score) >= np.float32(threshold - 3e-6)


def test_the_lowest_threshold_leaves_the_allowed_number() -> None:
    found = alarms(np.linspace(0.31, 0.9, 60), np.zeros((60, 2)))
    for allowed in (0, 3, 59):
        threshold = lowest_threshold(found, allowed)
        assert threshold is not None
        assert len(found.at_least(threshold)) == allowed
    assert lowest_threshold(found, 60) == FLOOR
    assert lowest_threshold(alarms(np.ones(2), np.zeros((2, 2))), 1) is None


def test_one_lamp_is_one_alarm_and_two_lamps_are_two() -> None:
    lamp = np.tile((50.0, 50.0), (100, 1))
    assert set(alarms(np.full(100, 0.9), lamp).episodes()) == {0}
    assert len(set(alarms(np.full(100, 0.9), lamp + np.arange(100)[:, None] % 2 * 30).episodes())) == 2
    again = alarms(np.full(2, 0.9), lamp[:2], np.array([0.0, 2.5]))
    assert len(set(again.episodes())) == 2, "after more than two seconds it is another"
    drifting = lamp + np.arange(100)[:, None] * (4.0, 0.0)
    assert set(alarms(np.full(100, 0.9), drifting).episodes()) == {0}


def test_clusters_become_zones_and_what_is_scattered_does_not() -> None:
    rng = np.random.default_rng(1)
    cluster = rng.normal((100, 60), 2, (60, 2))
    scattered = rng.uniform((0, 0), (319, 255), (30, 2))
    (zone,) = alarm_zones(alarms(np.full(90, 0.9), np.vstack((cluster, scattered))), SIZE_HW)
    (left, top), _, (right, bottom), _ = zone.points
    assert left < cluster[:, 0].min() < cluster[:, 0].max() < right < 130
    assert top < cluster[:, 1].min() < cluster[:, 1].max() < bottom < 90
    assert (zone.kind, zone.name) == ("ignore", "alarms 1")


def test_a_zone_over_much_of_the_frame_is_not_proposed() -> None:
    line = np.column_stack((np.linspace(10, 310, 200), np.linspace(10, 240, 200)))
    assert alarm_zones(alarms(np.full(200, 0.9), line), SIZE_HW) == []


def test_a_log_counts_frames_times_and_detections() -> None:
    log = logged([[0.9], [], [0.2, 0.6], [0.9]])
    log.add(make(4, SIZE_HW, error="frame 4: damaged"))
    assert (log.frames, log.failed, log.size_hw) == (4, 1, SIZE_HW)
    assert log.duration_s == pytest.approx(4 / 30)
    found = log.alarms()
    np.testing.assert_allclose(sorted(found.score), [0.2, 0.6, 0.9, 0.9], rtol=1e-6)
    np.testing.assert_allclose(found.t_s, [0, 2 / 30, 2 / 30, 3 / 30], atol=1e-9)
    assert log.mean_frame().shape == SIZE_HW


def test_places_in_frames_of_another_size_are_scaled() -> None:
    log = logged([[0.9]])
    score_map = np.zeros((512, 640), np.float32)
    score_map[80, 40] = 0.8
    report = make(1, (512, 640))
    log.add(dataclasses.replace(report, detections=detect(score_map, report.frame.image, 0.5)))
    np.testing.assert_allclose(log.alarms().xy, [(20, 40), (20, 40)])
    assert log.frames == 2


def test_a_recording_that_shows_the_rate() -> None:
    log = logged([[0.5 + index / 1000] if index % 3 == 0 else [] for index in range(300)])
    found = find_threshold(log, allowed=10.0, model_threshold=0.6, unit="frame")
    assert found.is_shown
    assert len(log.alarms().at_least(found.threshold)) == found.left.events == 10
    assert found.left.rate == pytest.approx(1 / 30)
    assert found.alarms_left.events == 1, "all are at one place"
    assert found.left.low < 1 / 30 < found.left.high


@pytest.mark.parametrize(("places", "expected"), [(1, 0.74), (4, 0.74), (6, 0.5)])
def test_a_threshold_under_the_models_needs_five_separate_alarms(places: int, expected: float) -> None:
    rows = [[0.4] if index % 10 else [0.5 + index / 10_000] for index in range(300)]
    log = AlarmLog(30.0)
    for index, (score,) in enumerate(rows):
        score_map = np.zeros(SIZE_HW, np.float32)
        score_map[40, 20 + 40 * (index // 10 % places)] = score
        report = make(index, SIZE_HW)
        log.add(dataclasses.replace(report, detections=detect(score_map, report.frame.image, 0.1)))
    found = find_threshold(log, allowed=29.0, model_threshold=0.74)
    assert found.is_shown
    assert found.threshold == pytest.approx(expected, abs=0.001)


def test_a_recording_that_is_too_short_gives_no_lower_threshold_than_the_models() -> None:
    quiet = find_threshold(logged([[]] * 30), allowed=0.01, model_threshold=0.74)
    assert not quiet.is_shown
    assert quiet.threshold == 0.74
    assert quiet.left.high == pytest.approx(2.9957 * 3600, rel=1e-3)
    loud = find_threshold(logged([[0.95]] * 30), allowed=0.01, model_threshold=0.74)
    assert 0.95 < loud.threshold < 0.9501
    assert loud.left.events == 0
    assert len(loud.zones) == 1
    assert loud.with_zones == 0.74
