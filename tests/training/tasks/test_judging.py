"""What counts as found and what as false, and the threshold that follows."""

from __future__ import annotations

import numpy as np
import pytest
from lpnet_rt_data import SIZE, blob, sample

from lpnet_rt.training.data.frames import LabelledFrame, Truth
from lpnet_rt.training.tasks.judging import Judgement, choose_threshold, judge


def scores(*blobs: tuple[float, float, float]) -> np.ndarray:
    """(SIZE, SIZE) of blobs (x, y, peak)."""
    total = sum((peak * blob(x, y, 2.0) for x, y, peak in blobs), np.zeros((SIZE, SIZE)))
    return np.clip(total, 0, 1).astype(np.float32)


def judged(*pairs: tuple[LabelledFrame, np.ndarray]) -> Judgement:
    maps = iter([score for _, score in pairs])
    return judge(lambda _image: next(maps), [frame for frame, _ in pairs], "test")


def video(boxes: list[tuple[float, ...]], ignored: list[tuple[float, float]] | None = None) -> LabelledFrame:
    image = sample(1, (30.0, 30.0)).image
    truth = Truth.from_boxes(image, np.array(boxes), None if ignored is None else np.array(ignored))
    return LabelledFrame(name="clip:1", image=image, truth=truth, role="video", clip="clip", index=1)


@pytest.fixture(scope="module")
def mixed() -> Judgement:
    """One target found at 0.9 and a false detection at 0.7; one found at 0.4 only; an empty frame with 0.6."""
    return judged(
        (sample(1, (30.0, 30.0)), scores((30, 30, 0.9), (70, 70, 0.7))),
        (sample(2, (50.0, 50.0)), scores((50, 50, 0.4))),
        (sample(3, None), scores((20, 60, 0.6))),
    )


def test_figures_at_thresholds(mixed: Judgement) -> None:
    found = {t: (f.found, f.false, f.empty_false) for t in (0.5, 0.65, 0.8) for f in (mixed.at(t),)}
    assert found == {0.5: (1, 2, 1), 0.65: (1, 1, 0), 0.8: (1, 0, 0)}
    at = mixed.at(0.65)
    assert (at.targets, at.frames, at.empty_frames) == (2, 3, 1)
    assert (at.found_share, at.false_per_frame) == (0.5, pytest.approx(1 / 3))
    assert at.false_per_frame_bound == pytest.approx(4.74 / 3, abs=0.01)
    assert mixed.masks.images == 2


def test_the_threshold_with_the_fewest_mistakes_in_the_middle_of_its_row(mixed: Judgement) -> None:
    assert mixed.findings[1].target_score[0] == pytest.approx(0.4, abs=0.01)
    # From over 0.7 to 0.9, one target is missed and nothing is false.
    assert choose_threshold(mixed) == pytest.approx(0.81, abs=0.011)
    perfect = judged((sample(1, (30.0, 30.0)), scores((30, 30, 0.95))), (sample(2, None), scores()))
    assert choose_threshold(perfect) == pytest.approx(0.73, abs=0.011)


def test_boxes_and_places_that_do_not_count() -> None:
    frame = video([(22.0, 22.0, 16.0, 16.0)], ignored=[(70.0, 70.0)])
    inside, outside, ignored = (30, 30, 0.9), (30, 70, 0.8), (70, 70, 0.99)
    at = judged((frame, scores(inside, outside, ignored))).at(0.5)
    assert (at.targets, at.found, at.false, at.empty_frames) == (1, 1, 1, 0)
    missed = judged((frame, scores(outside))).at(0.5)
    assert (missed.found, missed.false) == (0, 1)


def test_fitness_does_not_depend_on_where_scores_lie() -> None:
    """The same order of scores, once high and once low, is as good; a false detection over a target is not."""
    frames = (sample(1, (30.0, 30.0)), sample(2, None))

    def of(hit: float, false: float) -> Judgement:
        return judged((frames[0], scores((30, 30, hit))), (frames[1], scores((20, 60, false))))

    high, low, mixed = of(0.98, 0.9), of(0.7, 0.6), of(0.7, 0.8)
    assert (high.quiet(0.1).found, low.quiet(0.1).found, mixed.quiet(0.1).found) == (1, 1, 0)
    assert high.quiet(0.1).threshold > low.quiet(0.1).threshold
    assert high.fitness > 100 < low.fitness
    assert mixed.fitness <= 20
    assert of(0.7, 1.0).quiet(0.1) is None
