from __future__ import annotations

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from lpnet_rt import Detections, Detector, Frame
from lpnet_rt.engines import Choice, list_candidates
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


@pytest.mark.parametrize("shape", [(0, 320), (256, 0), (0, 0), (7, 320), (256, 7, 3), (0, 5, 3)])
def test_images_too_small_to_hold_anything_are_refused(detector: Detector, shape: tuple[int, ...]) -> None:
    """Padding a frame without a pixel never ended."""
    for judge in (detector.detect, detector.score_map):
        with pytest.raises(ValueError, match=f"expected at least 8x8 pixels, found {shape[1]}x{shape[0]} "):
            judge(np.zeros(shape, np.uint8))


def test_what_is_no_image_is_refused(detector: Detector) -> None:
    for thing, name in (("x.png", "str"), (None, "NoneType"), ([[1, 2]], "list")):
        with pytest.raises(TypeError, match=f"expected a numpy array, found {name}; read a file with cv2.imread"):
            detector.detect(thing)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"expected \(H, W\), .* found \(64,\)"):
        detector.detect(np.zeros(64, np.uint8))


def test_parts_of_images_and_read_only_ones_are_as_good(detector: Detector) -> None:
    image = self_test_frame()
    expected = detector.detect(image)
    wide = np.zeros((128, 320), np.uint8)
    wide[:, ::2] = image
    turned = np.ascontiguousarray(image[::-1, ::-1])
    fixed = image.copy()
    fixed.flags.writeable = False
    for same in (wide[:, ::2], turned[::-1, ::-1], np.asfortranarray(image), fixed):
        np.testing.assert_array_equal(detector.detect(same).centroid_xy, expected.centroid_xy)


def test_a_batch_is_what_its_images_are(detector: Detector) -> None:
    images = [self_test_frame(), self_test_frame()[:64], np.full((96, 96), 100, np.uint16)]
    for found, image in zip(detector.detect_batch(images), images, strict=True):
        np.testing.assert_array_equal(found.centroid_xy, detector.detect(image).centroid_xy)
    assert detector.detect_batch([]) == []


def test_threads_may_share_a_detector(detector: Detector) -> None:
    """OpenVINO's request was busy, and scores of one size lie in one buffer."""
    images = [np.roll(self_test_frame(), shift, axis=1) for shift in (0, 3, 7, 13)]
    expected = [detector.detect(image).centroid_xy for image in images]
    with ThreadPoolExecutor(4) as threads:
        for _ in range(5):
            for found, wanted in zip(threads.map(detector.detect, images), expected, strict=True):
                np.testing.assert_array_equal(found.centroid_xy, wanted)


def test_a_damaged_frame_is_not_judged(detector: Detector) -> None:
    engine = Fixed(0.0, 0.9)
    whole = frame(np.zeros((64, 64), np.uint8), 3)
    damaged = dataclasses.replace(whole, damage="cut off", index=4)
    tiny = frame(np.zeros((4, 6), np.uint8), 5)
    reports = with_engine(detector, engine).reports([whole, damaged, tiny])
    assert [report.error for report in reports] == [
        None,
        "frame 4: damaged: cut off",
        "frame 5: expected at least 8x8 pixels, found 6x4 (width x height)",
    ]
    assert [len(report.detections) for report in reports] == [1, 0, 0]
    assert len(engine.shapes) == 1


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_run_can_be_stopped(engine: str) -> None:
    if any(c.engine == engine and c.precision == "f32" and c.missing for c in list_candidates()):
        pytest.skip(f"{engine} is not here")
    detector = Detector.load(DetectorSettings(engine=engine, precision="f32", threads=1))
    detector.stop()  # nothing runs: harmless
    assert len(detector.detect(self_test_frame())) >= 1
    done = threading.Event()

    def stop_until_done() -> None:
        while not done.wait(0.01):
            detector.stop()

    stopper = threading.Thread(target=stop_until_done)
    stopper.start()
    try:
        with pytest.raises(EngineError, match=f"^{engine}: "):
            detector.score_map(np.zeros((2048, 2048), np.uint8))
    finally:
        done.set()
        stopper.join()
    assert len(detector.detect(self_test_frame())) >= 1
