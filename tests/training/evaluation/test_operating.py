import numpy as np
import pytest

from lpnet_rt.detections import detect
from lpnet_rt.errors import DataError
from lpnet_rt.training.evaluation.field_metrics import field_metrics
from lpnet_rt.training.evaluation.operating import OPERATING_THRESHOLDS, OperatingAccumulator


def score(*blobs: tuple[int, int, float]) -> np.ndarray:
    image = np.zeros((40, 40), np.float32)
    for x, y, level in blobs:
        image[y : y + 2, x : x + 2] = level
    return image


@pytest.fixture
def curve():
    accumulator = OperatingAccumulator((0.2, 0.5, 0.8))
    accumulator.add(score((5, 5, 0.9), (30, 30, 0.3)), score((5, 5, 1.0)) > 0)
    accumulator.add(score((5, 5, 0.6)), score((5, 5, 1.0)) > 0)
    accumulator.add(score((9, 9, 0.7), (20, 20, 0.4)), np.zeros((40, 40), bool))
    return accumulator.result()


def test_points_count_target_free_frames_apart(curve):
    assert [point.pd for point in curve.points] == [1.0, 1.0, 0.5]
    assert [point.false_per_empty_frame for point in curve.points] == [2.0, 1.0, 0.0]
    assert [point.false_per_target_frame for point in curve.points] == [0.5, 0.0, 0.0]
    assert [point.false_per_frame for point in curve.points] == [1.0, pytest.approx(1 / 3), 0.0]


def test_best_point_at_a_rate(curve):
    assert curve.best_at(0.5).threshold == 0.8
    assert curve.best_at(1.0).threshold == 0.5
    assert curve.best_at(5.0).threshold == 0.5  # as good as 0.2, with fewer false alarms


def test_no_point_without_target_free_frames():
    accumulator = OperatingAccumulator()
    accumulator.add(score((5, 5, 0.9)), score((5, 5, 1.0)) > 0)
    assert accumulator.result().best_at(1.0) is None


def test_agrees_with_the_measures_at_one_threshold():
    rng = np.random.default_rng(7)
    pairs = [(rng.random((32, 32)).astype(np.float32) ** 8, rng.random((32, 32)) > 0.99) for _ in range(5)]
    accumulator = OperatingAccumulator()
    for prediction, truth in pairs:
        accumulator.add(prediction, truth)
    point = accumulator.result().points[OPERATING_THRESHOLDS.index(0.5)]
    whole = field_metrics(pairs, 0.5)
    assert (point.pd, point.fa_per_million, point.miou) == (whole.pd, whole.fa_per_million, whole.miou)
    assert whole.matched > 0


def test_another_size_is_refused():
    with pytest.raises(DataError, match="size"):
        OperatingAccumulator().add(score(), np.zeros((3, 3), bool))


def test_false_detections_are_those_that_the_detector_would_publish():
    blob = np.zeros((40, 40), np.float32)
    blob[10, 10:15] = (0.9, 0.6, 0.9, 0.6, 0.9)  # one detection, which a cut at 0.8 breaks in three
    accumulator = OperatingAccumulator()
    accumulator.add(blob, np.zeros((40, 40), bool))
    image = np.zeros((40, 40), np.uint8)
    for point in accumulator.result().points:
        assert point.false_per_empty_frame == len(detect(blob, image, point.threshold))


def test_thresholds_rise_and_are_close_near_one():
    assert list(OPERATING_THRESHOLDS) == sorted(set(OPERATING_THRESHOLDS))
    assert sum(0.99 < threshold < 1.0 for threshold in OPERATING_THRESHOLDS) >= 6
