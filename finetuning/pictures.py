"""Pictures of single mistakes: a miss or a false detection, with what both models found there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lpnet_rt.frames import GreyImage
from lpnet_rt.training.data.recordings import recording_of
from lpnet_rt.training.tasks.judging import FrameFindings, Judgement
from lpnet_rt.view.display_stretch import display_stretch

__all__ = ["Mistake", "Picture", "draw", "png_of_picture", "rows", "worst_false_detections", "worst_misses"]

Picture = NDArray[np.uint8]

_SIDE_PX = 64
_ENLARGED = 3
# Neighbouring frames show the same mistake; where there are few recordings, more of each are shown.
_PER_RECORDING = 2
_MIN_GREY_LEVELS = 32.0
_TARGET_BGR, _FOUND_BGR = (83, 211, 57), (80, 80, 255)


@dataclass(frozen=True, slots=True)
class Mistake:
    """A missed target or a false detection.

    Attributes:
        frame: Number of the frame among those that were judged.
        name: Of the frame.
        centre_xy: Where, in pixels of the frame.
        score: Highest score there: of the detection, or of what was found of the target.
    """

    frame: int
    name: str
    centre_xy: tuple[float, float]
    score: float


def worst_misses(judgement: Judgement, threshold: float, limit: int = 10) -> list[Mistake]:
    """Return the targets that scored lowest, few of each recording."""
    found = []
    for index, one in enumerate(judgement.findings):
        for (x, y, w, h), score in zip(one.target_xywh, one.target_score, strict=True):
            if score < threshold:
                found.append(Mistake(index, one.frame.name, (x + (w - 1) / 2, y + (h - 1) / 2), float(score)))
    return _few(sorted(found, key=lambda mistake: mistake.score), judgement, limit)


def worst_false_detections(judgement: Judgement, threshold: float, limit: int = 10) -> list[Mistake]:
    """Return the false detections that scored highest, few of each recording."""
    found = []
    for index, one in enumerate(judgement.findings):
        for (x, y), score in zip(one.false_xy, one.false_score, strict=True):
            if score >= threshold:
                found.append(Mistake(index, one.frame.name, (float(x), float(y)), float(score)))
    return _few(sorted(found, key=lambda mistake: -mistake.score), judgement, limit)


def draw(mistake: Mistake, findings: FrameFindings, threshold: float) -> Picture:
    """Draw what is around a mistake, three times as large: targets green, what a model found red with its score.

    Args:
        mistake: What is in the middle.
        findings: Of the model, in the mistake's frame.
        threshold: Score of a detection.

    Returns:
        (192, 192, 3) uint8, BGR.
    """
    image = findings.frame.image
    left, top = (_first(centre, side) for centre, side in zip(mistake.centre_xy, image.shape[::-1], strict=True))
    window = image[max(top, 0) : top + _SIDE_PX, max(left, 0) : left + _SIDE_PX]
    picture = _enlarged(window)
    for (x, y, w, h), score in zip(findings.target_xywh, findings.target_score, strict=True):
        corners = [(x - 2.5 - left, y - 2.5 - top), (x + w + 1.5 - left, y + h + 1.5 - top)]
        _rectangle(picture, corners, _TARGET_BGR)
        if score >= threshold:
            _label(picture, (x + w + 3 - left, y + h / 2 - top), score)
    for (x, y), score in zip(findings.false_xy, findings.false_score, strict=True):
        if score >= threshold:
            _rectangle(picture, [(x - 6 - left, y - 6 - top), (x + 6 - left, y + 6 - top)], _FOUND_BGR)
            _label(picture, (x + 8 - left, y - top), score)
    return picture


def rows(*lines: Sequence[Picture]) -> Picture | None:
    """Lay pictures of one size out in rows; None without any.

    Args:
        lines: Pictures of each row; shorter ones are filled up with white.
    """
    width = max((len(line) for line in lines), default=0)
    if not width:
        return None
    blank = np.full((_SIDE_PX * _ENLARGED, _SIDE_PX * _ENLARGED, 3), 255, np.uint8)
    return np.vstack([np.hstack([*line, *[blank] * (width - len(line))]) for line in lines if line])


def png_of_picture(picture: Picture) -> bytes:
    """Return a picture as PNG."""
    return cv2.imencode(".png", picture, (cv2.IMWRITE_PNG_COMPRESSION, 9))[1].tobytes()


def _few(mistakes: Sequence[Mistake], judgement: Judgement, limit: int) -> list[Mistake]:
    """The first of the mistakes, so many of a recording as fill the pictures that are shown."""
    recordings = [found.frame.clip or recording_of(found.frame.name) for found in judgement.findings]
    most = max(_PER_RECORDING, -(-limit // max(len({recordings[mistake.frame] for mistake in mistakes}), 1)))
    taken: list[Mistake] = []
    per_recording: Counter[str] = Counter()
    for mistake in mistakes:
        recording = recordings[mistake.frame]
        if len(taken) < limit and per_recording[recording] < most:
            taken.append(mistake)
            per_recording[recording] += 1
    return taken


def _first(centre_px: float, side_px: int) -> int:
    """First pixel of the window along one axis; it lies in the frame where that is large enough."""
    return int(np.clip(round(centre_px) - _SIDE_PX // 2, 0, max(0, side_px - _SIDE_PX)))


def _enlarged(window: GreyImage) -> Picture:
    """(h, w) counts to (192, 192, 3) BGR; the noise of an empty sky must not look like a scene."""
    grey = display_stretch(window).astype(np.float32)
    low, high = float(grey.min()), float(grey.max())
    shown = np.clip((grey - low) * (255.0 / max(high - low, _MIN_GREY_LEVELS)), 0, 255).astype(np.uint8)
    canvas = np.zeros((_SIDE_PX, _SIDE_PX), np.uint8)
    canvas[: shown.shape[0], : shown.shape[1]] = shown
    size = (_SIDE_PX * _ENLARGED, _SIDE_PX * _ENLARGED)
    return np.asarray(cv2.cvtColor(cv2.resize(canvas, size, interpolation=cv2.INTER_NEAREST), cv2.COLOR_GRAY2BGR))


def _rectangle(picture: Picture, corners: list[tuple[float, float]], colour: tuple[int, int, int]) -> None:
    first, last = (tuple(round((value + 0.5) * _ENLARGED) for value in corner) for corner in corners)
    cv2.rectangle(picture, first, last, colour, 1)


def _label(picture: Picture, place_xy: tuple[float, float], score: float) -> None:
    """Write a score where its detection lies in the picture."""
    x, y = (round((value + 0.5) * _ENLARGED) for value in place_xy)
    height, width = picture.shape[:2]
    if 0 <= x < width + 40 and 0 <= y < height:
        place = (min(x, width - 30), min(max(y, 10), height - 3))
        cv2.putText(picture, f"{score:.2f}", place, cv2.FONT_HERSHEY_PLAIN, 0.8, _FOUND_BGR)
