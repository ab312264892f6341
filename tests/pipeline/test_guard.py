from __future__ import annotations

import numpy as np
import pytest

from lpnet_rt.clock import SYSTEM_CLOCK
from lpnet_rt.detections import Detections
from lpnet_rt.frames import Frame
from lpnet_rt.pipeline.guard import PictureGuard
from lpnet_rt.reports import Latency, Report
from lpnet_rt.settings import SourceSettings
from lpnet_rt.sources.demo import DemoSource
from lpnet_rt.sources.states import StateLog


def report(image: np.ndarray, index: int, **frame: object) -> Report:
    values = {"source": "clip", "pts_s": index / 30, "t_capture_us": 1, "t_read_ns": 1, "index": index}
    made = Frame(image=image.copy(), **(values | frame))  # type: ignore[arg-type]
    return Report(made, Detections.empty(), Latency(0, 0, 0, 0, 0), np.zeros(image.shape, np.float32))


@pytest.fixture
def guard() -> PictureGuard:
    return PictureGuard(DemoSource(SourceSettings()), StateLog(), 2.5, SYSTEM_CLOCK)


def scene(index: int) -> np.ndarray:
    return np.random.default_rng(index).normal(90, 9, (64, 80)).astype(np.uint8)


def states(guard: PictureGuard) -> list[str]:
    return [state.state for state in guard._log.take_changes()]


def test_a_calibration_is_said_when_it_begins_and_when_the_pictures_agree_again(guard: PictureGuard) -> None:
    for index in range(60):
        picture = report(scene(min(index, 10)) if index < 40 else scene(index), index)
        assert guard.check(picture) is picture
    assert states(guard) == ["calibrating", "live"]


def test_a_picture_that_stands_still_for_longer_is_frozen(guard: PictureGuard) -> None:
    for index in range(100):
        guard.check(report(scene(0), index))
    assert states(guard) == ["calibrating", "frozen"]
    assert guard.verdict == "frozen"


def test_images_of_a_folder_and_damaged_pictures_are_passed_over(guard: PictureGuard) -> None:
    for index in range(100):
        guard.check(report(scene(0), index, file="a.png"))
        guard.check(report(scene(0), index, damage="a slice is missing"))
    assert states(guard) == []
