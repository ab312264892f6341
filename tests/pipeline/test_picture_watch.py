from __future__ import annotations

import logging
import threading

import numpy as np
import pytest

from lpnet_rt.errors import EngineError
from lpnet_rt.frames import Frame
from lpnet_rt.pipeline.picture_watch import PictureWatch
from lpnet_rt.reports import Report
from lpnet_rt.sources.states import StateLog
from tests.made_reports import make


def report(second: float, *, upside: bool = True, found: float = 0.0, **frame: object) -> Report:
    """A frame whose upper half is brighter, or darker, and in which the highest score is ``found``."""
    made = make(round(second * 30), pts_s=second, **frame)
    image = np.full((48, 64), 60, np.uint8)
    image[: 24 if upside else 48] = 120
    if not upside:
        image[:24] = 10
    values = {name: getattr(made.frame, name) for name in Frame.__slots__} | {"image": image}
    score_map = np.full((48, 64), found, np.float32)
    return Report(Frame(**values), made.detections, made.latency, score_map)


def watched(peaks: dict[int, float] | float, reports: list[Report]) -> tuple[StateLog, list[int]]:
    """The notes after all reports, and the means of the frames whose negatives were scored."""
    log, scored = StateLog(), []

    def negative_peak(image: np.ndarray) -> float:
        scored.append(round(float(image.mean())))
        return peaks if isinstance(peaks, float) else peaks[len(scored)]

    watch = PictureWatch("clip", log, negative_peak, start=lambda work: work())
    for one in reports:
        assert watch.check(one) is one
    return log, scored


def test_a_negative_that_keeps_showing_targets_is_noticed_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        log, scored = watched(0.9, [report(second) for second in range(12)])
    assert log.notes == ("black-hot",)
    assert len(scored) == 4, "nothing more is scored after the notice"
    (line,) = caplog.messages
    assert line == "clip: the picture looks black-hot (warm is dark): try --polarity cold; nothing was changed"


def test_one_frame_a_second_is_sampled_at_first_and_one_a_minute_later() -> None:
    _, scored = watched(0.0, [report(index / 10) for index in range(2_000)])
    assert len(scored) == 30 + 2  # the thirtieth at 29 s, then at 89 s and at 149 s


@pytest.mark.parametrize(
    "reports",
    [
        [report(second, found=0.6) for second in range(9)],
        [report(second, upside=False) for second in range(9)],
        [report(second, damage="a slice is missing") for second in range(9)],
    ],
    ids=["targets in the frame", "the sky is dark", "damaged"],
)
def test_what_speaks_for_the_picture_costs_no_second_pass(reports: list[Report]) -> None:
    log, scored = watched(0.9, reports)
    assert log.notes == ()
    assert scored == []


def test_votes_for_the_picture_outweigh_a_few_against_it() -> None:
    seconds = [report(second, found=0.9 if second % 2 else 0.0) for second in range(20)]
    assert watched(0.9, seconds)[0].notes == ()


def test_a_weak_negative_says_nothing() -> None:
    assert watched(0.69, [report(second) for second in range(12)])[0].notes == ()


def test_times_that_start_again_are_sampled() -> None:
    _, scored = watched(0.0, [report(50.0), report(0.0), report(0.5)])
    assert len(scored) == 2


def test_an_engine_that_fails_on_a_negative_ends_nothing() -> None:
    log = StateLog()

    def fail(image: np.ndarray) -> float:
        raise EngineError("out of memory")

    watch = PictureWatch("clip", log, fail, start=lambda work: work())
    for second in range(6):
        watch.check(report(second))
    assert log.notes == ()


def test_colours_are_noticed_after_three_pictures_in_a_row(caplog: pytest.LogCaptureFixture) -> None:
    log = StateLog()
    watch = PictureWatch("clip", log, None)
    for colour in (0.4, 0.4, 0.0, 0.4, None, 0.4):
        watch.check(report(0, colour=colour))
    assert log.notes == ()
    watch.check(report(1, colour=0.4))
    watch.check(report(2, colour=0.4))
    assert log.notes == ("false-colour",)
    assert len(caplog.messages) == 1
    assert "the picture is coloured" in caplog.messages[0]


def test_one_coloured_image_file_is_enough() -> None:
    log = StateLog()
    PictureWatch("folder", log, None).check(report(0, colour=0.4, file="a.png"))
    assert log.notes == ("false-colour",)


def test_negatives_are_scored_beside_the_pipeline() -> None:
    scoring, scored = threading.Event(), threading.Event()
    threads = []

    def negative_peak(image: np.ndarray) -> float:
        threads.append(threading.current_thread())
        scoring.wait(10)
        scored.set()
        return 0.9

    watch = PictureWatch("clip", StateLog(), negative_peak)
    for second in range(3):
        watch.check(report(second))  # returns while the first is being scored, and starts no second one
    scoring.set()
    assert scored.wait(10)
    assert len(threads) == 1
    assert threads[0] is not threading.current_thread()
