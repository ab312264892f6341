"""What a model finds on the validation part, at any threshold: targets found, targets missed, false detections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lpnet_rt.detections import Detections, detect
from lpnet_rt.training.data.frames import IGNORE, Boxes, LabelledFrame, Points
from lpnet_rt.training.evaluation.components import components
from lpnet_rt.training.evaluation.field_metrics import BOX_MARGIN_PX, FieldAccumulator, FieldMetrics, rate_bound
from lpnet_rt.training.progress import watched
from lpnet_rt.training.tasks.validate import Scorer

__all__ = ["RATES", "THRESHOLDS", "Figures", "FrameFindings", "Judgement", "choose_threshold", "judge"]

MASK_SCORE = 0.5
"""Score of a mask's pixels, whatever the threshold of detections."""

THRESHOLDS: tuple[float, ...] = (*(i / 100 for i in range(50, 100)), 0.995, 0.998, 0.999)
"""Scores that may become a threshold. Under one half a few frames show no false detection where there would be many."""

RATES: tuple[float, ...] = (0.1, 0.03, 0.01)
"""False detections per frame at which a model is compared with itself before it was trained on."""

_OUTLINES = 0.2
_UNDER_HALF = float(np.nextafter(np.float32(MASK_SCORE), np.float32(0)))


@dataclass(frozen=True, slots=True)
class FrameFindings:
    """What was found in one frame.

    Coordinates are pixels; the centre of the first pixel is (0, 0).

    Attributes:
        frame: With its truth.
        target_xywh: (N, 4) boxes of the targets: as they were drawn, or around the components of the mask.
        target_score: (N,) highest score of a detection of at least one half whose centroid lies in the box, grown by 4
            pixels; where there is none, the highest score in the box, under one half.
        false_xy: (M, 2) centroids of the other detections of at least one half, but for those where nothing counts.
        false_score: (M,) their scores.
    """

    frame: LabelledFrame
    target_xywh: Boxes
    target_score: NDArray[np.float64]
    false_xy: Points
    false_score: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Figures:
    """What a model finds at one threshold.

    Attributes:
        threshold: Score of a detection.
        targets: In all frames.
        found: Of them.
        frames: All frames.
        false: Detections that are no target, in all frames.
        empty_frames: Frames without a target.
        empty_false: Detections in them.
    """

    threshold: float
    targets: int
    found: int
    frames: int
    false: int
    empty_frames: int
    empty_false: int

    @property
    def found_share(self) -> float:
        """Share of the targets that were found, 0 to 1."""
        return self.found / max(self.targets, 1)

    @property
    def false_per_frame(self) -> float:
        """False detections per frame, over all frames."""
        return self.false / max(self.frames, 1)

    @property
    def false_per_frame_bound(self) -> float:
        """What that rate is under with 95 % confidence, if frames were independent."""
        return rate_bound(self.false, self.frames) or 0.0


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a model finds on a set of frames.

    Attributes:
        findings: By frame.
        masks: mIoU and nIoU on the images with masks, at a score of one half.
    """

    findings: tuple[FrameFindings, ...]
    masks: FieldMetrics

    def at(self, threshold: float) -> Figures:
        """Return the figures at a threshold."""
        hits = [int((found.target_score >= threshold).sum()) for found in self.findings]
        false = [int((found.false_score >= threshold).sum()) for found in self.findings]
        is_empty = [not len(found.target_xywh) for found in self.findings]
        return Figures(
            threshold=threshold,
            targets=sum(len(found.target_xywh) for found in self.findings),
            found=sum(hits),
            frames=len(self.findings),
            false=sum(false),
            empty_frames=sum(is_empty),
            empty_false=sum(count for count, empty in zip(false, is_empty, strict=True) if empty),
        )

    def quiet(self, rate: float) -> Figures | None:
        """Return the figures at the lowest threshold with at most so many false detections per frame, or None."""
        figures = (self.at(threshold) for threshold in THRESHOLDS)
        return next((found for found in figures if found.false_per_frame <= rate), None)

    @property
    def fitness(self) -> float:
        """One number to choose by, whatever the threshold: targets found at a few false detections a frame, percent.

        The mean over ``RATES``, and a fifth of the mean of mIoU and nIoU.
        """
        quiet = [self.quiet(rate) for rate in RATES]
        found = 100 * sum(figures.found_share for figures in quiet if figures is not None) / len(RATES)
        return found + _OUTLINES * 50 * ((self.masks.miou or 0.0) + (self.masks.niou or 0.0))


def judge(score: Scorer, frames: Sequence[LabelledFrame], title: str) -> Judgement:
    """Judge a model on frames with masks, frames of clips with boxes and frames without targets.

    Args:
        score: From a frame to its score map.
        frames: What it is judged on.
        title: Of the progress.
    """
    masks, findings = FieldAccumulator(MASK_SCORE), []
    for frame in watched(frames, title):
        scores = score(frame.image)
        if frame.role != "video" and frame.truth.has_target:
            masks.add(scores, frame.truth.mask)
        findings.append(_findings(scores, frame))
    return Judgement(tuple(findings), masks.result())


def choose_threshold(judgement: Judgement) -> float:
    """Return the threshold with the fewest mistakes, a missed target and a false detection counting the same.

    Of thresholds that are as good, it is the middle one of the longest row: as far as can be from either mistake.
    """
    figures = [judgement.at(threshold) for threshold in THRESHOLDS]
    mistakes = [found.targets - found.found + found.false for found in figures]
    best = [i for i, count in enumerate(mistakes) if count == min(mistakes)]
    rows = np.split(np.array(best), np.flatnonzero(np.diff(best) > 1) + 1)
    row = max(rows, key=len)
    return THRESHOLDS[int(row[len(row) // 2])]


def _findings(scores: NDArray[np.float32], frame: LabelledFrame) -> FrameFindings:
    boxes, found = _boxes(frame), detect(scores, frame.image, MASK_SCORE)
    inside = _inside(found, boxes)
    hit = (inside * found.score[:, None]).max(axis=0, initial=0.0).astype(np.float64)
    false = _counts(found, frame) & ~inside.any(axis=1)
    return FrameFindings(
        frame=frame,
        target_xywh=boxes,
        target_score=np.maximum(hit, [_faint(scores, box) for box in boxes]) if len(boxes) else hit,
        false_xy=found.centroid_xy[false].astype(np.float64),
        false_score=found.score[false].astype(np.float64),
    )


def _faint(scores: NDArray[np.float32], box_xywh: NDArray[np.float64]) -> float:
    """Highest score in a box, as far as it is under one half."""
    x, y, w, h = box_xywh
    window = scores[max(int(y), 0) : int(y + h) + 1, max(int(x), 0) : int(x + w) + 1]
    return min(float(window.max(initial=0.0)), _UNDER_HALF)


def _boxes(frame: LabelledFrame) -> Boxes:
    """The boxes that were drawn, or those around the components of the mask."""
    if frame.role == "video":
        return frame.truth.boxes_xywh
    return components(frame.truth.mask == 255).box_xywh.astype(np.float64)


def _inside(found: Detections, boxes_xywh: Boxes) -> NDArray[np.bool_]:
    """(M, N) whether the centroid of each detection lies in each box, grown."""
    low = boxes_xywh[None, :, :2] - BOX_MARGIN_PX
    high = boxes_xywh[None, :, :2] + boxes_xywh[None, :, 2:] + BOX_MARGIN_PX
    point = found.centroid_xy[:, None, :]
    return np.asarray(np.all((point >= low) & (point <= high), axis=2), np.bool_)


def _counts(found: Detections, frame: LabelledFrame) -> NDArray[np.bool_]:
    """(M,) whether each detection lies where the truth is known."""
    mask = frame.truth.mask
    columns, rows = (np.clip(np.rint(found.centroid_xy[:, i]).astype(int), 0, mask.shape[1 - i] - 1) for i in (0, 1))
    return np.asarray(mask[rows, columns] != IGNORE, np.bool_)
