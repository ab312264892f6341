from __future__ import annotations

import hashlib

import numpy as np
import pytest

from lpnet_rt.detections import Detections, detect
from lpnet_rt.detector import Detector
from lpnet_rt.selftest import SELF_TEST_THRESHOLD, disagreement, self_test_frame
from lpnet_rt.settings import DetectorSettings

BLOBS_XY = [(40.3, 30.6), (120.0, 64.5), (77.7, 101.2)]


def found(*pixels: tuple[int, int, float]) -> Detections:
    """Detections of one pixel each: x, y, score."""
    score_map = np.zeros((128, 160), np.float32)
    for x, y, score in pixels:
        score_map[y, x] = score
    return detect(score_map, np.full((128, 160), 90, np.uint8), 0.5)


def test_the_frame_is_the_same_on_every_machine() -> None:
    frame = self_test_frame()
    assert (frame.shape, frame.dtype) == ((128, 160), np.uint8)
    np.testing.assert_array_equal(frame, self_test_frame())
    digest = hashlib.sha256(frame.tobytes()).hexdigest()
    assert digest.startswith("dc1132edc7df15f2"), "model cards hold what is found in this very frame"


def test_the_blobs_stand_where_they_should() -> None:
    frame = self_test_frame().astype(int)
    for x, y in BLOBS_XY:
        column, row = round(x), round(y)
        around = frame[row - 12 : row + 13, column - 12 : column + 13]
        assert frame[row, column] - np.median(around) > 40


def test_agreement() -> None:
    detections = found((40, 30, 0.99), (120, 64, 0.9))
    assert disagreement(detections, [(40.1, 30.1), (120.0, 64.2)], [0.98, 0.91], "f32") is None
    assert disagreement(detections, [(120.0, 64.2), (40.1, 30.1)], [0.91, 0.98], "f32") is None
    assert disagreement(found(), [], [], "f32") is None


@pytest.mark.parametrize(
    ("centroid_xy", "score", "reason"),
    [
        ([(40.0, 30.0)], [0.99], "expected 1 detections, found 2"),
        ([(40.0, 30.0), (120.0, 64.0), (7.0, 7.0)], [0.99, 0.9, 0.8], "expected 3 detections, found 2"),
        ([(40.0, 30.0), (120.0, 64.3)], [0.99, 0.9], "a detection moved by 0.30 px, at most 0.25 allowed"),
        ([(40.0, 30.0), (120.0, 64.0)], [0.99, 0.87], "a score differs by 0.030, at most 0.02 allowed"),
        ([(40.0, 30.0), (40.1, 30.0)], [0.99, 0.99], "a detection moved by 86.83 px, at most 0.25 allowed"),
    ],
)
def test_each_disagreement_is_named(centroid_xy: list[tuple[float, float]], score: list[float], reason: str) -> None:
    assert disagreement(found((40, 30, 0.99), (120, 64, 0.9)), centroid_xy, score, "f32") == reason


def test_half_precision_may_differ_more_but_not_much() -> None:
    detections = found((40, 30, 0.95))
    assert disagreement(detections, [(40.0, 30.0)], [0.91], "f32") is not None
    assert disagreement(detections, [(40.0, 30.0)], [0.91], "bf16") is None
    assert disagreement(detections, [(40.0, 30.0)], [0.89], "bf16") is not None


def test_the_packaged_model_finds_the_blobs_and_nothing_else() -> None:
    detector = Detector.load(DetectorSettings(threshold=SELF_TEST_THRESHOLD))
    detections = detector.detect(self_test_frame())
    assert len(detections) == len(BLOBS_XY)
    for x, y in BLOBS_XY:
        assert np.hypot(*(detections.centroid_xy - (x, y)).T).min() < 1.5


def test_the_card_of_the_packaged_model_expects_the_blobs() -> None:
    card = Detector.load(DetectorSettings(engine="onnxruntime")).card
    assert len(card.self_test.score) == len(BLOBS_XY)
    assert card.self_test.score == sorted(card.self_test.score, reverse=True)
