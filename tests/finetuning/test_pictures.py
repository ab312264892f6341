"""The worst mistakes, and how they are drawn."""

from __future__ import annotations

import cv2
import numpy as np
from lpnet_rt_data import sample

from lpnet_rt.finetuning.pictures import draw, png_of_picture, rows, worst_false_detections, worst_misses
from lpnet_rt.training.data.frames import LabelledFrame, Truth
from lpnet_rt.training.evaluation.field_metrics import FieldAccumulator
from lpnet_rt.training.tasks.judging import FrameFindings, Judgement


def findings(number: int, clip: str | None = "clip") -> FrameFindings:
    """A target that scored 0.2 and more, and a false detection at 0.7 and more."""
    boxes = np.array([[22.0, 22.0, 16.0, 16.0]])
    image = sample(1, (30.0, 30.0)).image
    frame = LabelledFrame(
        name=f"clip:{number}", image=image, truth=Truth.from_boxes(image, boxes), role="video", clip=clip
    )
    return FrameFindings(
        frame, boxes, np.array([0.2 + number / 10]), np.array([[70.0, 70.0]]), np.array([0.7 + number / 10])
    )


def judgement(*clips: str) -> Judgement:
    return Judgement(tuple(findings(i, clip) for i, clip in enumerate(clips)), FieldAccumulator().result())


def test_the_worst_mistakes_few_of_each_recording() -> None:
    one = judgement("east", "east", "east")
    assert [round(mistake.score, 2) for mistake in worst_misses(one, 0.5)] == [0.2, 0.3, 0.4]
    assert [round(mistake.score, 2) for mistake in worst_false_detections(one, 0.5)] == [0.9, 0.8, 0.7]
    assert worst_misses(one, 0.5)[0].centre_xy == (29.5, 29.5)
    assert worst_misses(one, 0.1) == worst_false_detections(one, 0.95) == []
    several = judgement("east", "east", "east", "west")
    assert [mistake.frame for mistake in worst_false_detections(several, 0.5, limit=4)] == [3, 2, 1]
    assert len(worst_misses(several, 0.9, limit=2)) == 2


def test_a_picture_shows_what_was_found_and_what_was_not() -> None:
    one = judgement("east", "west")
    mistake = worst_false_detections(one, 0.5)[0]
    picture, quiet = draw(mistake, one.findings[1], 0.5), draw(mistake, one.findings[1], 0.95)
    assert picture.shape == (192, 192, 3)
    red = np.array([80, 80, 255])
    assert (picture == red).all(axis=2).any()
    assert not (quiet == red).all(axis=2).any()


def test_rows_of_pictures() -> None:
    one = judgement("east", "west")
    tiles = [draw(mistake, one.findings[mistake.frame], 0.5) for mistake in worst_misses(one, 0.5)]
    laid = rows(tiles, tiles[:1])
    assert laid is not None
    assert laid.shape == (384, 384, 3)
    assert (laid[192:, 192:] == 255).all()
    assert rows([], tiles).shape == (192, 384, 3)
    assert rows([], []) is None
    decoded = cv2.imdecode(np.frombuffer(png_of_picture(laid), np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(decoded, laid)
