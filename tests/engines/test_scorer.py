from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from lpnet_rt.detections import CandidatePixels
from lpnet_rt.detector import Detector
from lpnet_rt.engines import Choice
from lpnet_rt.engines.scorer import DeviceScorer, HostScorer, make_scorer
from lpnet_rt.frames import Frame, GreyImage
from lpnet_rt.models import ModelCard, find_model
from lpnet_rt.selftest import self_test_frame
from lpnet_rt.settings import DetectorSettings


class Counting:
    """A clock that moves one millisecond whenever it is asked."""

    now_ns = 0

    def monotonic_ns(self) -> int:
        self.now_ns += 1_000_000
        return self.now_ns

    def unix_us(self) -> int:
        return 0

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing should wait")


class Host:
    """An engine whose every score is the same; it remembers the inputs it was given."""

    name, precision = "host", "f32"

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def score(self, batch: np.ndarray) -> np.ndarray:
        self.shapes.append(batch.shape)
        return np.full((len(batch), 1, *batch.shape[2:]), 0.25, np.float32)


class Device(Host):
    """An engine with a device: one pixel of every frame, in the row that is the frame's first count."""

    max_batch = 8

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[tuple[int, ...]]] = []

    def find(self, frames: Sequence[GreyImage], min_score: float) -> list[CandidatePixels]:
        self.batches.append([frame.shape for frame in frames])
        return [
            CandidatePixels(np.array([int(f[0, 0])]), np.array([3]), np.array([0.9], np.float32), f.shape)
            for f in frames
        ]


@pytest.fixture(scope="module")
def card() -> ModelCard:
    return find_model("lpnet-rt").card


def frame(image: GreyImage, index: int) -> Frame:
    return Frame(image=image, index=index, source="s", pts_s=None, t_capture_us=1, t_read_ns=0)


def test_a_scorer_is_what_its_engine_can_do(card: ModelCard) -> None:
    host, device = make_scorer(Host(), card), make_scorer(Device(), card)
    assert isinstance(host, HostScorer)
    assert isinstance(device, DeviceScorer)
    assert (host.max_batch, device.max_batch) == (1, 8)


def test_the_host_keeps_every_score_and_the_device_what_is_enough(card: ModelCard) -> None:
    image = np.full((64, 80), 7, np.uint8)
    ((_, scored),) = make_scorer(Host(), card).score_each([image], 0.5)
    assert len(scored.candidates.rows) == 0
    assert (scored.score_map() == np.float32(0.25)).all()
    ((_, scored),) = make_scorer(Device(), card).score_each([image], 0.5)
    assert np.argwhere(scored.score_map()).tolist() == [[7, 3]]


def test_a_device_gets_frames_that_are_alike_together_and_large_ones_not(card: ModelCard) -> None:
    device = Device()
    sizes_hw = [(64, 64), (32, 48), (4100, 4100), (64, 64), (32, 48)]
    images = [np.full(size_hw, place, np.uint8) for place, size_hw in enumerate(sizes_hw)]
    images.append(np.full((64, 64), 5, np.uint16))
    found = make_scorer(device, card).find(images, 0.5)
    assert device.batches == [[(64, 64)] * 2, [(32, 48)] * 2, [(64, 64)]]
    assert len(device.shapes) > 1, "the large frame is tiled"
    assert [candidates.rows.tolist() for candidates in found] == [[0], [1], [], [3], [4], [5]]
    assert [candidates.size_hw for candidates in found] == [*sizes_hw, (64, 64)]


def test_a_later_frame_of_a_batch_is_not_charged_for_those_before_it(card: ModelCard) -> None:
    clock = Counting()
    detector = Detector(card, Choice(Device(), "test"), 0.5, clock)
    images = [np.full((64, 64), 9, np.uint8)] * 3 + [np.full((32, 32), 9, np.uint8)]
    reports = detector.reports([frame(image, index) for index, image in enumerate(images)])
    # Looks at the clock: begun 1, scored 2, reports ready 3, 4 and 5; the other size begun 6, scored 7, ready 8.
    assert [report.latency.detect_ms for report in reports] == [1.0, 1.0, 1.0, 1.0]
    assert [report.latency.infer_ms for report in reports] == [1.0, 1.0, 1.0, 1.0]
    assert [report.latency.queue_ms for report in reports] == [1.0, 2.0, 3.0, 6.0]
    assert [report.latency.total_ms for report in reports] == [3.0, 4.0, 5.0, 8.0]
    assert [len(report.detections) for report in reports] == [1, 1, 1, 1]


def test_a_frame_of_the_host_is_detected_before_the_next_is_scored(card: ModelCard) -> None:
    detector = Detector(card, Choice(Host(), "test"), 0.5, Counting())
    reports = detector.reports([frame(np.zeros((64, 64), np.uint8), index) for index in range(3)])
    assert [report.latency.total_ms for report in reports] == [4.0, 8.0, 12.0]
    assert all(report.latency.detect_ms == 1.0 for report in reports)


def test_a_peak_between_one_half_and_the_threshold_is_no_detection() -> None:
    strict = Detector.load(DetectorSettings(engine="onnxruntime", threshold=1.0))
    assert strict.score_map(self_test_frame()).max() > 0.5
    assert len(strict.detect(self_test_frame())) == 0
