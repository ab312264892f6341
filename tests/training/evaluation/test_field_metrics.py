import numpy as np
import pytest

from lpnet_rt.errors import DataError
from lpnet_rt.training.evaluation.field_metrics import (
    BoxAccumulator,
    FieldAccumulator,
    box_metrics,
    empty_frame_measures,
    field_metrics,
    rate_bound,
)


def blank() -> np.ndarray:
    return np.zeros((40, 50), np.uint8)


def square(x: int, y: int, size: int) -> np.ndarray:
    mask = blank()
    mask[y : y + size, x : x + size] = 255
    return mask


def test_perfect_prediction():
    truth = square(10, 10, 3)
    result = field_metrics([(truth, truth)])
    assert (result.miou, result.niou, result.pd, result.fa_per_million) == (1.0, 1.0, 1.0, 0.0)
    assert (result.pixel_precision, result.pixel_recall, result.pixel_f1) == (1.0, 1.0, 1.0)


def test_pooled_and_per_image_iou_differ_as_defined():
    # Frame one: 9 of 9 pixels; frame two: 1 of 4 pixels.
    result = field_metrics([(square(5, 5, 3), square(5, 5, 3)), (square(20, 20, 1), square(20, 20, 2))])
    assert result.miou == pytest.approx(10 / 13)
    assert result.niou == pytest.approx((1 + 0.25) / 2)
    assert result.pd == 1.0


def test_frames_without_truth():
    silent = field_metrics([(blank(), blank())])
    assert silent.miou is None
    assert silent.niou is None
    assert silent.pd is None
    assert silent.fa_per_million == 0.0
    result = field_metrics([(blank(), blank()), (square(3, 3, 2), blank()), (square(8, 8, 2), square(8, 8, 2))])
    assert result.images == 3
    assert result.images_without_target == 2
    assert result.niou_images == 2  # the frame with neither says nothing about overlap
    assert result.niou == pytest.approx(0.5)
    assert result.fa_per_million == pytest.approx(4 / (3 * 2000) * 1e6)


def test_false_pixels_are_those_of_unmatched_components_only():
    truth = square(10, 10, 3)
    prediction = truth | square(9, 10, 3) | square(30, 30, 2)  # spills over one column, and one component is false
    result = field_metrics([(prediction, truth)])
    assert result.pd == 1.0
    assert result.false_components == 1
    assert result.fa_per_million == pytest.approx(4 / 2000 * 1e6)


def test_a_prediction_three_pixels_away_is_a_miss_and_a_false_alarm():
    near, far = square(12, 10, 3), square(13, 10, 3)
    assert field_metrics([(near, square(10, 10, 3))]).pd == 1.0
    missed = field_metrics([(far, square(10, 10, 3))])
    assert missed.pd == 0.0
    assert missed.false_components == 1


def test_one_blob_over_two_targets_finds_one():
    truth = square(10, 10, 1) | square(12, 10, 1)
    prediction = blank()
    prediction[10, 10:13] = 255
    result = field_metrics([(prediction, truth)])
    assert (result.targets, result.matched) == (2, 1)


def test_score_maps_are_judged_at_the_threshold():
    truth = square(10, 10, 2)
    score = np.where(truth > 0, 0.6, 0.1).astype(np.float32)
    assert field_metrics([(score, truth)], threshold=0.5).pd == 1.0
    assert field_metrics([(score, truth)], threshold=0.7).pd == 0.0
    assert field_metrics([(score, truth)], threshold=0.1).miou == pytest.approx(4 / 2000)


def test_streaming_equals_all_at_once():
    rng = np.random.default_rng(3)
    pairs = [((rng.random((30, 30)) > 0.97), (rng.random((30, 30)) > 0.98)) for _ in range(6)]
    accumulator = FieldAccumulator()
    for prediction, truth in pairs:
        accumulator.add(prediction, truth)
    assert accumulator.result() == field_metrics(pairs)
    assert accumulator.result().matched > 0


def test_another_size_is_refused():
    with pytest.raises(DataError, match="size"):
        FieldAccumulator().add(blank(), np.zeros((40, 51), np.uint8))


def test_empty_frames():
    result = empty_frame_measures([blank(), square(1, 1, 2) | square(10, 10, 1), blank(), blank()])
    assert (result.frames, result.false_detections) == (4, 2)
    assert result.false_per_frame == 0.5
    assert result.frames_with_false == 0.25
    assert result.false_per_hour(30.0) == 54_000.0
    assert empty_frame_measures([]).false_per_hour(30.0) is None


def test_boxes():
    box = np.array([[10.0, 10.0, 6.0, 6.0]])
    none = np.zeros((0, 4))
    frames = [
        (np.array([[6.0, 20.0]]), box),  # on the corner of the grown box
        (np.array([[5.9, 12.0]]), box),  # just outside
        (np.array([[12.0, 12.0], [13.0, 13.0], [40.0, 2.0]]), box),  # two inside, one false
        (np.zeros((0, 2)), box),
        (np.array([[1.0, 1.0]]), none),
    ]
    result = box_metrics(frames)
    assert (result.labelled_frames, result.hit_frames, result.false_detections) == (4, 2, 2)
    assert result.hit_rate == 0.5
    assert result.false_per_frame == 0.5
    assert (result.unlabelled_frames, result.unlabelled_detections) == (1, 1)


def test_boxes_of_a_frame_with_two_targets():
    boxes = np.array([[10.0, 10.0, 6.0, 6.0], [40.0, 10.0, 6.0, 6.0]])
    accumulator = BoxAccumulator()
    assert accumulator.add(np.array([[12.0, 12.0]]), boxes)
    result = accumulator.result()
    assert (result.boxes, result.hit_boxes, result.hit_frames) == (2, 1, 1)
    with pytest.raises(DataError, match=r"boxes_xywh.*\(4,\)"):
        accumulator.add(np.zeros((0, 2)), np.zeros(4))


def test_a_target_is_not_broken_by_a_strict_threshold():
    score, truth = np.zeros((20, 30), np.float32), np.zeros((20, 30), bool)
    truth[5, 5:12] = True
    score[5, 5:12] = (0.9, 0.6, 0.6, 0.6, 0.6, 0.6, 0.9)
    metrics = field_metrics([(score, truth)], 0.8)
    assert (metrics.matched, metrics.false_components, metrics.miou) == (1, 0, 1.0)
    assert empty_frame_measures([score], 0.8).false_detections == 1


def test_integer_scores_are_judged_as_their_floats():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    truth = np.zeros((16, 16), bool)
    for threshold in (0.2, 0.3, 0.5, 0.6, 0.75, 1.0):
        from_levels = field_metrics([(levels, truth)], threshold)
        assert from_levels == field_metrics([(levels / 255, truth)], threshold)


def test_the_bound_of_a_rate():
    assert rate_bound(0, 0) is None
    assert rate_bound(0, 100) == pytest.approx(3 / 100, rel=0.01)  # the rule of three
    assert rate_bound(10, 100) == pytest.approx(0.1696, abs=1e-4)  # half of chi-squared's 95 % point at 22 degrees


def test_what_lies_at_an_ignored_place_is_not_false() -> None:
    accumulator = BoxAccumulator()
    boxes, ignored = np.array([[10.0, 10.0, 8.0, 8.0]]), np.array([[60.0, 60.0]])
    assert accumulator.add(np.array([[14.0, 14.0], [66.0, 68.0], [71.0, 60.0]]), boxes, ignored)
    result = accumulator.result()
    assert (result.hit_boxes, result.false_detections) == (1, 1)
