from __future__ import annotations

import hashlib

import numpy as np

from lpnet_rt.detector import Detector
from lpnet_rt.selftest import SELF_TEST_THRESHOLD, self_test_frame
from lpnet_rt.settings import DetectorSettings

BLOBS_XY = [(40.3, 30.6), (120.0, 64.5), (77.7, 101.2)]


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
