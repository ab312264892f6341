"""Cold targets: hot ones of the negative, in every path from frames to detections."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from lpnet_rt import Detector
from lpnet_rt.detections import CandidatePixels
from lpnet_rt.engines import Choice
from lpnet_rt.engines.polarity import PolarityScorer, negative, with_polarity
from lpnet_rt.engines.scorer import make_scorer
from lpnet_rt.errors import SettingsError
from lpnet_rt.frames import Frame, GreyImage
from lpnet_rt.models import ModelCard, find_model
from lpnet_rt.preprocessing.rules import prepare
from lpnet_rt.selftest import self_test_frame
from lpnet_rt.settings import DetectorSettings


class Device:
    """An engine with a device: the pixels of a frame that are over half of its range."""

    name, precision, max_batch = "device", "f32", 8

    def __init__(self) -> None:
        self.batches: list[int] = []

    def score(self, batch: np.ndarray) -> np.ndarray:
        raise AssertionError("no frame here is large")

    def find(self, frames: Sequence[GreyImage], min_score: float) -> list[CandidatePixels]:
        self.batches.append(len(frames))
        found = []
        for image in frames:
            scores = image / np.float32(np.iinfo(image.dtype).max)
            rows, columns = np.nonzero(scores >= min_score)
            found.append(CandidatePixels(rows, columns, scores[rows, columns].astype(np.float32), image.shape))
        return found


@pytest.fixture(scope="module")
def card() -> ModelCard:
    return find_model("lpnet-rt").card


@pytest.fixture(scope="module")
def detectors() -> dict[str, Detector]:
    settings = DetectorSettings(engine="onnxruntime", threshold=0.5)
    return {polarity: Detector.load(settings, polarity=polarity) for polarity in ("hot", "cold", "both")}


@pytest.fixture(scope="module")
def mixed() -> np.ndarray:
    """The self-test's sky with its three warm targets and one cold one."""
    picture = self_test_frame().astype(np.float32)
    ys, xs = np.mgrid[0:128, 0:160]
    picture -= 70 * np.exp(-0.5 * ((xs - 30) ** 2 + (ys - 90) ** 2) / 1.5**2)
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_negative_has_the_negated_input(card: ModelCard, dtype: type) -> None:
    image = self_test_frame().astype(dtype) * (1 if dtype == np.uint8 else 60)
    np.testing.assert_allclose(prepare(negative(image), card.input), -prepare(image, card.input), atol=1e-3)
    assert negative(negative(image)).tobytes() == image.tobytes()


def test_cold_finds_in_the_negative_what_hot_finds_in_the_frame(detectors: dict[str, Detector]) -> None:
    image = self_test_frame()
    hot, cold = detectors["hot"].detect(image), detectors["cold"].detect(negative(image))
    assert len(hot) == len(cold) == 3
    np.testing.assert_allclose(cold.score, hot.score, atol=1e-3)
    np.testing.assert_allclose(cold.snr, hot.snr, rtol=1e-5)
    np.testing.assert_array_equal(cold.peak, 255 - hot.peak)
    np.testing.assert_array_equal(cold.box_xyxy, hot.box_xyxy)
    assert len(detectors["cold"].detect(image)) == len(detectors["hot"].detect(negative(image))) == 0


def test_both_finds_each_with_the_contrast_of_its_own_sign(detectors: dict[str, Detector], mixed: np.ndarray) -> None:
    found = {name: detector.detect(mixed) for name, detector in detectors.items()}
    assert [len(found[name]) for name in ("hot", "cold", "both")] == [3, 1, 4]
    both = found["both"]
    nearest = int(np.abs(both.centroid_xy - (30, 90)).sum(axis=1).argmin())
    np.testing.assert_array_equal(both.box_xyxy[nearest], found["cold"].box_xyxy[0])
    assert both.peak[nearest] == found["cold"].peak[0] < 60
    assert (both.snr > 3).all()
    maps = {name: detector.score_map(mixed) for name, detector in detectors.items()}
    np.testing.assert_array_equal(maps["both"], np.maximum(maps["hot"], maps["cold"]))


def test_reports_hold_weak_ones_and_a_map_of_both(mixed: np.ndarray) -> None:
    detector = Detector.load(DetectorSettings(engine="onnxruntime", polarity="both", threshold=0.999))
    detector.weak_threshold = 0.1
    frame = Frame(image=mixed, index=0, source="s", pts_s=None, t_capture_us=1, t_read_ns=0)
    report = detector.report(frame)
    assert len(report.detections) + len(report.weak) == 4
    np.testing.assert_array_equal(report.score_map, detector.score_map(mixed))


def test_a_device_takes_both_in_one_batch(card: ModelCard) -> None:
    device = Device()
    scorer = with_polarity(make_scorer(device, card), "both")
    assert scorer.max_batch == 4
    images = [np.full((16, 16), 128, np.uint8) for _ in range(3)]
    for number, image in enumerate(images):
        image[number, 3], image[8, number] = 250, 10
    found = scorer.find(images, 0.9)
    assert device.batches == [6]
    for number, candidates in enumerate(found):
        assert list(zip(candidates.rows, candidates.columns, strict=True)) == [(number, 3), (8, number)]
        assert candidates.is_cold is not None
        assert candidates.is_cold.tolist() == [False, True]
        np.testing.assert_allclose(candidates.scores, [250 / 255, 245 / 255], rtol=1e-6)


def test_a_pixel_has_the_higher_of_its_scores(card: ModelCard) -> None:
    image = np.full((16, 16), 100, np.uint8)
    (candidates,) = with_polarity(make_scorer(Device(), card), "both").find([image], 0.1)
    assert len(candidates.rows) == 256
    np.testing.assert_allclose(candidates.scores, 155 / 255, rtol=1e-6)


def test_one_bad_pass_fails_the_frame(card: ModelCard) -> None:
    class Broken(Device):
        def find(self, frames: Sequence[GreyImage], min_score: float) -> list[CandidatePixels]:
            good = super().find(frames, min_score)
            return [CandidatePixels.failed(f.shape) if f[0, 0] > 127 else g for f, g in zip(frames, good, strict=True)]

    (candidates,) = with_polarity(make_scorer(Broken(), card), "both").find([np.zeros((16, 16), np.uint8)], 0.5)
    assert not candidates.finite


def test_hot_is_the_scorer_itself_and_others_are_refused(card: ModelCard) -> None:
    scorer = make_scorer(Device(), card)
    assert with_polarity(scorer, "hot") is scorer
    assert isinstance(with_polarity(scorer, "cold"), PolarityScorer)
    with pytest.raises(SettingsError, match="polarity: expected one of hot, cold, both, found 'warm'"):
        Detector(card, Choice(Device(), "test"), 0.5, polarity="warm")


def test_the_polarity_outlasts_a_reopened_engine(card: ModelCard) -> None:
    detector = Detector(card, Choice(Device(), "test"), 0.5, reopen=lambda choice: choice, polarity="cold")
    image = np.full((16, 16), 255, np.uint8)
    image[4, 4] = 0
    before = detector.detect(image)
    detector.reopen()
    assert len(detector.detect(image)) == len(before) == 1
