from __future__ import annotations

import numpy as np
import pytest

from lpnet_rt import Detections, Detector, Frame
from lpnet_rt.engines import Choice
from lpnet_rt.errors import EngineError, ModelError
from lpnet_rt.selftest import self_test_frame
from lpnet_rt.settings import DetectorSettings
from lpnet_rt.sources.demo import DemoScene


class Fixed:
    """An engine that gives every pixel the same score, but for one."""

    name, precision = "fixed", "f32"

    def __init__(self, background: float, pixel: float) -> None:
        self._background, self._pixel = background, pixel
        self.shapes: list[tuple[int, ...]] = []

    def score(self, batch: np.ndarray) -> np.ndarray:
        self.shapes.append(batch.shape)
        assert batch.dtype == np.float32
        out = np.full((len(batch), 1, *batch.shape[2:]), self._background, np.float32)
        out[:, :, 10, 20] = self._pixel
        return out


class Ticking:
    """A clock that moves one millisecond whenever it is asked."""

    def __init__(self) -> None:
        self.now_ns = 50_000_000

    def monotonic_ns(self) -> int:
        self.now_ns += 1_000_000
        return self.now_ns

    def unix_us(self) -> int:
        return 0

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing should wait")


def frame(image: np.ndarray, index: int = 0) -> Frame:
    return Frame(image=image, index=index, source="s", pts_s=None, t_capture_us=1, t_read_ns=41_000_000)


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector.load(DetectorSettings(threshold=0.5))


def with_engine(detector: Detector, engine: Fixed, threshold: float = 0.5) -> Detector:
    return Detector(detector.card, Choice(engine, "test"), threshold, Ticking())


def test_the_api_in_three_lines(detector: Detector) -> None:
    detections = detector.detect(self_test_frame())
    assert isinstance(detections, Detections)
    assert len(detections) == 3
    assert detector.threshold == 0.5


def test_the_cards_threshold_unless_told_otherwise() -> None:
    plain = Detector.load(DetectorSettings(engine="onnxruntime"))
    assert plain.threshold == plain.card.threshold
    assert plain.choice.engine.name == "onnxruntime"
    assert plain.choice.why == "asked for"


def test_a_colour_image_is_as_good_as_a_grey_one(detector: Detector) -> None:
    grey = self_test_frame()
    for channels in (1, 3, 4):
        found = detector.detect(np.repeat(grey[:, :, None], channels, axis=2))
        np.testing.assert_array_equal(found.centroid_xy, detector.detect(grey).centroid_xy)


def test_16_bit_counts_are_as_good_as_8(detector: Detector) -> None:
    grey = self_test_frame()
    found = detector.detect(grey.astype(np.uint16) * 150 + 7000)
    expected = detector.detect(grey)
    assert len(found) == len(expected)
    np.testing.assert_allclose(found.centroid_xy, expected.centroid_xy, atol=0.3)
    np.testing.assert_array_equal(found.peak, expected.peak * 150 + 7000)


def test_strong_targets_of_the_demo_scene_are_found(detector: Detector) -> None:
    scene = DemoScene(seed=0)
    strong = found = 0
    for index in range(0, 60, 12):
        truth = scene.truth(index)
        detections = detector.detect(scene.frame(index))
        for centre, peak in zip(truth.centroid_xy, truth.peak, strict=True):
            inside = (centre > 12).all() and (centre < np.array([640, 512]) - 12).all()
            if peak < 60 or not inside:
                continue
            strong += 1
            distance_px = np.hypot(*(detections.centroid_xy - centre).T)
            found += bool(len(detections) and distance_px.min() < 3)
    assert strong >= 5, "the scene has too few strong targets for this test"
    assert found / strong >= 0.6


def test_nothing_in_a_flat_frame(detector: Detector) -> None:
    assert len(detector.detect(np.full((96, 96), 100, np.uint8))) == 0


@pytest.mark.parametrize("size_hw", [(77, 101), (8, 8), (128, 160)])
def test_score_maps_have_the_images_size(detector: Detector, size_hw: tuple[int, int]) -> None:
    image = np.random.default_rng(0).normal(90, 5, size_hw).astype(np.uint8)
    scores = detector.score_map(image)
    assert scores.shape == size_hw
    assert scores.dtype == np.float32
    assert scores.min() >= 0
    assert scores.max() <= 1


def test_the_engine_is_given_padded_frames_and_its_padding_is_cut_away(detector: Detector) -> None:
    engine = Fixed(0.0, 0.9)
    found = with_engine(detector, engine).detect(np.zeros((77, 101), np.uint8))
    assert engine.shapes[0][2:] == (80, 112)
    np.testing.assert_array_equal(found.centroid_xy, [[20, 10]])
    assert len(with_engine(detector, engine).detect(np.zeros((10, 101), np.uint8))) == 0  # row 10 is padding


def test_a_report_counts_the_time_of_each_stage(detector: Detector) -> None:
    report = with_engine(detector, Fixed(0.0, 0.9)).report(frame(np.zeros((64, 64), np.uint8), 4))
    latency = report.latency
    # The clock starts at 50 ms and moves by one at each of four looks; the frame was there at 41 ms.
    assert (latency.queue_ms, latency.prepare_ms, latency.infer_ms, latency.detect_ms) == (10.0, 1.0, 1.0, 1.0)
    assert latency.total_ms == 13.0
    assert report.error is None
    assert report.frame.index == 4
    assert len(report.detections) == 1


def test_the_report_keeps_its_scores_when_the_engine_goes_on(detector: Detector) -> None:
    class Reusing(Fixed):
        buffer = np.zeros((1, 1, 64, 64), np.float32)

        def score(self, batch: np.ndarray) -> np.ndarray:
            self.buffer += 0.1
            return self.buffer

    reusing = with_engine(detector, Reusing(0, 0))
    first = reusing.report(frame(np.zeros((64, 64), np.uint8)))
    reusing.report(frame(np.zeros((64, 64), np.uint8)))
    assert first.score_map[0, 0] == pytest.approx(0.1)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_scores_that_are_no_numbers_make_a_failed_report(detector: Detector, bad: float) -> None:
    broken = with_engine(detector, Fixed(0.9, bad))
    report = broken.report(frame(np.zeros((64, 64), np.uint8), 7))
    assert report.error == "frame 7: expected finite scores, found NaN or infinity"
    assert len(report.detections) == 0
    with pytest.raises(EngineError, match="fixed: expected finite scores, found NaN or infinity"):
        broken.detect(np.zeros((64, 64), np.uint8))


def test_other_types_are_refused(detector: Detector) -> None:
    with pytest.raises(ValueError, match="expected uint8 or uint16, found float32"):
        detector.detect(np.zeros((64, 64), np.float32))
    with pytest.raises(ModelError, match="no-such-model: expected a model file or a packaged model"):
        Detector.load(DetectorSettings(model="no-such-model"))
