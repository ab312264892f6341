from __future__ import annotations

import dataclasses
import sys

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lpnet_rt.detections import MAX_DETECTIONS, Detections, body_mask, detect
from lpnet_rt.errors import DependencyError


def flat(size_hw: tuple[int, int] = (20, 30), value: int = 50) -> np.ndarray:
    return np.full(size_hw, value, np.uint8)


def scores(size_hw: tuple[int, int] = (20, 30), **pixels: float) -> np.ndarray:
    """A score map with single pixels set: ``r3c4=0.9`` is row 3, column 4."""
    out = np.zeros(size_hw, np.float32)
    for place, value in pixels.items():
        row, column = place[1:].split("c")
        out[int(row), int(column)] = value
    return out


def test_a_detection_by_hand() -> None:
    image = flat()
    image[5, 7], image[5, 8], image[6, 8] = 90, 200, 120
    found = detect(scores(r5c7=0.6, r5c8=0.9, r6c8=0.5), image, 0.5)
    assert len(found) == 1
    # x = (0.6 * 7 + 0.9 * 8 + 0.5 * 8) / 2.0, y = (0.6 * 5 + 0.9 * 5 + 0.5 * 6) / 2.0
    np.testing.assert_allclose(found.centroid_xy, [[7.7, 5.25]], rtol=1e-6)
    np.testing.assert_array_equal(found.box_xyxy, [[7, 5, 9, 7]])  # x2 and y2 are exclusive
    np.testing.assert_allclose(found.score, [0.9])
    assert found.area_px.tolist() == [3]
    assert found.peak.tolist() == [200]


def test_pixels_that_touch_by_a_corner_are_one_component() -> None:
    assert len(detect(scores(r3c3=0.9, r4c4=0.8), flat(), 0.5)) == 1
    assert len(detect(scores(r3c3=0.9, r4c2=0.8), flat(), 0.5)) == 1
    assert len(detect(scores(r3c3=0.9, r3c5=0.8), flat(), 0.5)) == 2


def test_the_threshold_itself_counts() -> None:
    assert len(detect(scores(r3c3=0.5), flat(), 0.5)) == 1
    assert len(detect(scores(r3c3=0.49999), flat(), 0.5)) == 0
    assert len(detect(scores(r3c3=0.3), flat(), 0.3)) == 1  # 0.3 has no exact binary form
    assert len(detect(scores(r3c3=1.0), flat(), 1.0)) == 1


def test_strongest_first_and_columns_stay_together() -> None:
    image = flat()
    image[2, 2], image[10, 20], image[15, 5] = 101, 102, 103
    found = detect(scores(r2c2=0.6, r10c20=0.95, r15c5=0.8), image, 0.5)
    np.testing.assert_allclose(found.score, [0.95, 0.8, 0.6])
    assert found.peak.tolist() == [102, 103, 101]
    np.testing.assert_array_equal(found.centroid_xy, [[20, 10], [5, 15], [2, 2]])
    np.testing.assert_array_equal(found.box_xyxy[:, :2], found.centroid_xy.astype(int))


def test_of_a_noisy_map_the_strongest_are_kept() -> None:
    score_map = np.zeros((80, 80), np.float32)
    score_map[::2, ::2] = np.random.default_rng(5).uniform(0.5, 1.0, (40, 40))
    found = detect(score_map, flat((80, 80)), 0.5)
    assert len(found) == MAX_DETECTIONS
    expected = np.sort(score_map[::2, ::2], axis=None)[::-1][:MAX_DETECTIONS]
    np.testing.assert_array_equal(found.score, expected)


def test_corners_of_the_frame() -> None:
    found = detect(scores(r0c0=0.9, r19c29=0.8), flat(), 0.5)
    np.testing.assert_array_equal(found.box_xyxy, [[0, 0, 1, 1], [29, 19, 30, 20]])


def test_snr_by_hand_leaves_the_guard_ring_out() -> None:
    image = flat((31, 31), 100)
    image[::2] += 10  # rows of 110 and 100: mean 105 and something, deviation about 5
    image[13:18, 13:18] = 250  # the target spills over its box, into the guard ring
    found = detect(scores((31, 31), r15c15=0.9), image, 0.5)
    window = image[9:22, 9:22].astype(float)
    ring = np.ones((13, 13), bool)
    ring[4:9, 4:9] = False
    expected = (250 - window[ring].mean()) / window[ring].std()
    np.testing.assert_allclose(found.snr, [expected], rtol=1e-5)
    assert 25 < expected < 35


def test_snr_of_noiseless_and_dark_surroundings_is_bounded() -> None:
    image = np.full((40, 40), 10, np.uint16)
    image[20, 20] = 65_535
    assert detect(scores((40, 40), r20c20=0.9), image, 0.5).snr.tolist() == [999.0]
    image[20, 20] = 0  # colder than what is around it
    assert detect(scores((40, 40), r20c20=0.9), image, 0.5).snr.tolist() == [0.0]
    image[20, 20] = 20  # ten counts over a surround that is known to half a count
    assert detect(scores((40, 40), r20c20=0.9), image, 0.5).snr.tolist() == [20.0]


def test_a_component_that_fills_the_frame_has_no_surroundings() -> None:
    found = detect(np.full((8, 8), 0.9, np.float32), flat((8, 8)), 0.5)
    assert found.snr.tolist() == [0.0]
    np.testing.assert_array_equal(found.box_xyxy, [[0, 0, 8, 8]])
    np.testing.assert_allclose(found.centroid_xy, [[3.5, 3.5]])


def test_16_bit_peaks_are_raw_counts() -> None:
    image = np.full((20, 30), 7000, np.uint16)
    image[4, 4] = 60_001
    assert detect(scores(r4c4=0.9), image, 0.5).peak.tolist() == [60_001]


def test_nothing_over_the_threshold() -> None:
    found = detect(scores(), flat(), 0.5)
    assert len(found) == 0
    assert found.centroid_xy.shape == (0, 2)
    assert found.box_xyxy.shape == (0, 4)
    for column in dataclasses.fields(Detections):
        empty, expected = getattr(found, column.name), getattr(Detections.empty(), column.name)
        assert (empty.shape, empty.dtype) == (expected.shape, expected.dtype)


def test_nothing_is_changed() -> None:
    image, score_map = flat(), scores(r3c3=0.9)
    before = image.copy(), score_map.copy()
    image.flags.writeable = score_map.flags.writeable = False
    detect(score_map, image, 0.5)
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(score_map, before[1])


def rows_by_box(found: Detections) -> np.ndarray:
    """Rows in the order of their boxes, which no two components share, whatever ties the scores have."""
    columns = (found.box_xyxy, found.centroid_xy, found.score, found.area_px, found.peak, found.snr)
    table = np.column_stack([column if column.ndim == 2 else column[:, None] for column in columns])
    return table[np.lexsort(found.box_xyxy.T)]


@settings(max_examples=150, deadline=None)
@given(
    quantised=arrays(np.uint8, st.tuples(st.integers(1, 24), st.integers(1, 24)), elements=st.integers(0, 8)),
    seed=st.integers(0, 100),
    threshold=st.sampled_from((0.3, 0.5, 0.6, 0.9)),
)
def test_a_transposed_image_gives_transposed_detections(quantised: np.ndarray, seed: int, threshold: float) -> None:
    score_map = quantised.astype(np.float32) / 8
    image = np.random.default_rng(seed).integers(0, 4000, quantised.shape).astype(np.uint16)
    plain = detect(score_map, image, threshold)
    turned = detect(score_map.T, image.T, threshold)
    assert np.all(np.diff(plain.score) <= 0)
    back = dataclasses.replace(
        turned,
        centroid_xy=np.ascontiguousarray(turned.centroid_xy[:, ::-1]),
        box_xyxy=np.ascontiguousarray(turned.box_xyxy[:, [1, 0, 3, 2]]),
    )
    np.testing.assert_allclose(rows_by_box(back), rows_by_box(plain), rtol=1e-5, atol=1e-5)
    assert np.all(plain.score >= np.float32(threshold))
    if threshold <= 0.5:
        assert plain.area_px.sum() == (score_map >= np.float32(threshold)).sum()


def test_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected the image's size \(20, 30\), found \(20, 29\)"):
        detect(scores((20, 29)), flat(), 0.5)


@pytest.mark.parametrize(
    ("name", "column", "message"),
    [
        ("centroid_xy", np.zeros((2, 2), np.float32), r"expected \(1, 2\) float32, found \(2, 2\) float32"),
        ("centroid_xy", np.zeros((1, 2), np.float64), r"expected \(1, 2\) float32, found \(1, 2\) float64"),
        ("box_xyxy", np.zeros((1, 2), np.int32), r"expected \(1, 4\) int32, found \(1, 2\) int32"),
        ("area_px", np.zeros(1, np.int64), r"expected \(1,\) int32, found \(1,\) int64"),
        ("peak", np.zeros((1, 1), np.int32), r"expected \(1,\) int32, found \(1, 1\) int32"),
        ("snr", np.zeros(0, np.float32), r"expected \(1,\) float32, found \(0,\) float32"),
    ],
)
def test_columns_are_validated(name: str, column: np.ndarray, message: str) -> None:
    one = detect(scores(r3c3=0.9), flat(), 0.5)
    with pytest.raises(ValueError, match=f"Detections.{name}: {message}"):
        dataclasses.replace(one, **{name: column})


def test_a_strict_threshold_asks_for_a_surer_peak_and_does_not_break_the_blob():
    scores = np.zeros((16, 24), np.float32)
    scores[4:6, 3:13] = 0.6
    scores[4, 3] = scores[5, 12] = 0.95
    scores[10:12, 3:5] = 0.8
    image = np.full((16, 24), 100, np.uint8)
    found = detect(scores, image, 0.9)
    assert len(found) == 1
    assert found.box_xyxy[0].tolist() == [3, 4, 13, 6]
    assert found.area_px[0] == 20
    assert len(detect(scores, image, 0.5)) == 2
    assert len(detect(scores, image, 0.96)) == 0


def test_the_mask_keeps_a_blob_whole_at_a_strict_threshold() -> None:
    score = scores(r3c3=0.9, r3c4=0.6, r3c5=0.95, r10c10=0.7, r10c11=0.55)
    assert np.argwhere(body_mask(score, 0.8)).tolist() == [[3, 3], [3, 4], [3, 5]]
    np.testing.assert_array_equal(body_mask(score, 0.5), score >= 0.5)
    np.testing.assert_array_equal(body_mask(score, 0.3), score >= np.float32(0.3))
    assert not body_mask(score, 0.99).any()


def test_the_mask_holds_no_more_than_is_published() -> None:
    score = np.zeros((64, 64), np.float32)
    score[::2, ::2] = np.linspace(0.5, 1.0, 1024, dtype=np.float32).reshape(32, 32)
    assert body_mask(score, 0.5).sum() == MAX_DETECTIONS == len(detect(score, flat((64, 64)), 0.5))
    assert body_mask(score, 0.5)[62, 62]
    assert not body_mask(score, 0.5)[0, 0]


@settings(deadline=None, max_examples=60)
@given(arrays(np.float32, (9, 11), elements=st.floats(0, 1, width=32)), st.floats(0.01, 1.0))
def test_the_mask_is_the_union_of_the_detections(score: np.ndarray, threshold: float) -> None:
    found = detect(score, flat((9, 11)), threshold)
    mask = body_mask(score, threshold)
    assert mask.sum() == found.area_px.sum()
    assert cv2.connectedComponents(mask.view(np.uint8), connectivity=8)[0] - 1 == len(found)


def some_detections() -> Detections:
    scores = np.zeros((40, 50), np.float32)
    scores[3:6, 4:9], scores[20:24, 30:33] = 0.9, 0.8
    return detect(scores, np.full((40, 50), 9, np.uint8), 0.5)


def test_they_become_those_of_supervision() -> None:
    sv = pytest.importorskip("supervision", reason="supervision is not installed")
    found = some_detections()
    converted = found.to_supervision(np.array([7, 8]))
    assert isinstance(converted, sv.Detections)
    assert converted.xyxy.dtype == np.float32
    assert converted.xyxy.tolist() == [[4, 3, 9, 6], [30, 20, 33, 24]]
    assert converted.confidence.tolist() == found.score.tolist()
    assert converted.tracker_id.tolist() == [7, 8]
    assert converted.class_id.tolist() == [0, 0]
    assert found.to_supervision().tracker_id is None
    assert len(Detections.empty().to_supervision()) == 0


def test_supervision_that_is_missing_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(DependencyError, match=r"^supervision cannot be imported \(.*\); pip install supervision$"):
        some_detections().to_supervision()


def test_every_detection_needs_a_track_where_tracks_are_given() -> None:
    with pytest.raises(ValueError, match=r"tracker_id: expected shape \(2,\), found \(3,\)"):
        some_detections().to_supervision(np.arange(3))
