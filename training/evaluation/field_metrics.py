"""The field's and the operator's metrics, as accumulators that see one frame at a time.

Every measure is defined with its formula and source in docs/metrics.md. Rates are fractions of 1 unless a name says
otherwise; a rate whose denominator is zero is None, never a number that looks like a result. What is predicted is what
the deployed detector reports: see :func:`lpnet_rt.training.evaluation.components.detected`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

from lpnet_rt.errors import DataError
from lpnet_rt.training.evaluation.components import (
    IGNORED_RADIUS_PX,
    BoolMask,
    Prediction,
    components,
    detected,
    match,
    truth_mask,
)

__all__ = [
    "BoxAccumulator",
    "BoxMetrics",
    "EmptyFrameAccumulator",
    "EmptyFrameMetrics",
    "FieldAccumulator",
    "FieldMetrics",
    "FrameOutcome",
    "box_metrics",
    "empty_frame_measures",
    "field_metrics",
    "frame_outcome",
    "rate_bound",
    "ratio",
]

MATCH_LIMIT_PX = 3.0
BOX_MARGIN_PX = 4.0
Truth = NDArray[np.bool_] | NDArray[np.uint8]


def ratio(part: float, whole: float) -> float | None:
    """Return ``part / whole``, or None where the whole is zero."""
    return part / whole if whole else None


def rate_bound(count: int, frames: int) -> float | None:
    """Return what a rate is under with 95 % confidence, after ``count`` events on ``frames`` frames.

    One-sided and exact for events that are independent of each other (Poisson); after none it is 3 / frames, the rule
    of three. Neighbouring frames of one video are not independent and bear less.
    """
    return ratio(float(gammaincinv(count + 1, 0.95)), frames)


@dataclass(frozen=True, slots=True)
class FrameOutcome:
    """Counts of one frame at one threshold; the metrics are sums of these.

    Attributes:
        pixels: Pixels of the frame.
        both_px: Pixels that are predicted and true.
        predicted_px: Pixels that are predicted.
        true_px: Pixels that are true.
        targets: True components.
        matched: True components with a predicted partner.
        false_components: Predicted components without a true partner.
        false_px: Their pixels.
    """

    pixels: int
    both_px: int
    predicted_px: int
    true_px: int
    targets: int
    matched: int
    false_components: int
    false_px: int


def frame_outcome(predicted: BoolMask, true: BoolMask, limit_px: float = MATCH_LIMIT_PX) -> FrameOutcome:
    """Count one frame.

    Args:
        predicted: (H, W) bool.
        true: (H, W) bool.
        limit_px: A predicted and a true component are partners when their centroids are closer than this.
    """
    found, wanted = components(predicted), components(true)
    partners, matched = match(found.centroid_xy, wanted.centroid_xy, limit_px)
    unmatched = np.ones(len(found), np.bool_)
    unmatched[partners] = False
    return FrameOutcome(
        pixels=predicted.size,
        both_px=int(np.count_nonzero(predicted & true)),
        predicted_px=int(np.count_nonzero(predicted)),
        true_px=int(np.count_nonzero(true)),
        targets=len(wanted),
        matched=len(matched),
        false_components=int(np.count_nonzero(unmatched)),
        false_px=int(found.area_px[unmatched].sum()),
    )


@dataclass(frozen=True, slots=True)
class FieldMetrics:
    """The field's metrics over a set of frames.

    Attributes:
        threshold: Score that a detection's peak reaches.
        images: Frames seen.
        images_without_target: Those whose truth is empty.
        miou: Pooled IoU: intersection over union, each summed over all frames.
        niou: Mean over frames of the frame's own IoU; frames with neither truth nor prediction are left out.
        niou_images: Frames that entered ``niou``.
        targets: True components.
        matched: True components that were found.
        pd: matched / targets.
        fa_per_million: Pixels of unmatched predicted components per million pixels.
        false_components: Unmatched predicted components.
        pixel_precision: Pooled over all frames.
        pixel_recall: Pooled over all frames.
        pixel_f1: Of these two.
    """

    threshold: float
    images: int
    images_without_target: int
    miou: float | None
    niou: float | None
    niou_images: int
    targets: int
    matched: int
    pd: float | None
    fa_per_million: float | None
    false_components: int
    pixel_precision: float | None
    pixel_recall: float | None
    pixel_f1: float | None


class FieldAccumulator:
    """Adds frames up to mIoU, nIoU, Pd and Fa."""

    def __init__(self, threshold: float = 0.5, limit_px: float = MATCH_LIMIT_PX) -> None:
        self.threshold = threshold
        self.limit_px = limit_px
        self._images = 0
        self._without_target = 0
        self._niou_sum = 0.0
        self._niou_images = 0
        self._sums = dict.fromkeys(FrameOutcome.__slots__, 0)

    def add(self, prediction: Prediction, truth: Truth) -> FrameOutcome:
        """Take one frame.

        Args:
            prediction: (H, W) mask or score map, see :func:`lpnet_rt.training.evaluation.components.score_map`.
            truth: (H, W) bool or uint8; anything but 0 is target.

        Returns:
            The frame's own counts.

        Raises:
            DataError: The sizes differ or the prediction cannot be read as scores.
        """
        true = truth_mask(truth, prediction.shape)
        outcome = frame_outcome(detected(prediction, self.threshold), true, self.limit_px)
        self.add_outcome(outcome)
        return outcome

    def add_outcome(self, outcome: FrameOutcome) -> None:
        """Take one frame that is counted already."""
        self._images += 1
        self._without_target += outcome.targets == 0
        for name in self._sums:
            self._sums[name] += getattr(outcome, name)
        union_px = outcome.predicted_px + outcome.true_px - outcome.both_px
        if union_px:
            self._niou_sum += outcome.both_px / union_px
            self._niou_images += 1

    def result(self) -> FieldMetrics:
        """Return the metrics of what was added so far."""
        total = FrameOutcome(**self._sums)
        false_share = ratio(total.false_px, total.pixels)
        return FieldMetrics(
            threshold=self.threshold,
            images=self._images,
            images_without_target=self._without_target,
            miou=ratio(total.both_px, total.predicted_px + total.true_px - total.both_px),
            niou=ratio(self._niou_sum, self._niou_images),
            niou_images=self._niou_images,
            targets=total.targets,
            matched=total.matched,
            pd=ratio(total.matched, total.targets),
            fa_per_million=None if false_share is None else false_share * 1e6,
            false_components=total.false_components,
            pixel_precision=ratio(total.both_px, total.predicted_px),
            pixel_recall=ratio(total.both_px, total.true_px),
            pixel_f1=ratio(2 * total.both_px, total.predicted_px + total.true_px),
        )


@dataclass(frozen=True, slots=True)
class EmptyFrameMetrics:
    """What a detector says on frames that hold no target.

    Attributes:
        frames: Frames seen.
        false_detections: Detections on them, all of them false.
        false_per_frame: false_detections / frames.
        false_per_frame_bound: What the true rate is under with 95 % confidence, see :func:`rate_bound`.
        frames_with_false: Share of the frames with at least one.
    """

    frames: int
    false_detections: int
    false_per_frame: float | None
    false_per_frame_bound: float | None
    frames_with_false: float | None

    def false_per_hour(self, rate_hz: float) -> float | None:
        """Return false detections per hour for a camera of ``rate_hz`` frames per second."""
        return None if self.false_per_frame is None else self.false_per_frame * rate_hz * 3600.0


class EmptyFrameAccumulator:
    """Adds target-free frames up to false detections per frame."""

    def __init__(self, threshold: float = 0.5) -> None:
        self.threshold = threshold
        self._frames = 0
        self._false = 0
        self._frames_with_false = 0

    def add(self, prediction: Prediction) -> int:
        """Take the prediction, (H, W) mask or score map, for a frame known to hold no target; return its detections.

        Raises:
            DataError: The prediction cannot be read as scores.
        """
        count = len(components(detected(prediction, self.threshold)))
        self.add_count(count)
        return count

    def add_count(self, detections: int) -> None:
        """Take a target-free frame whose detections are counted already."""
        self._frames += 1
        self._false += detections
        self._frames_with_false += detections > 0

    def result(self) -> EmptyFrameMetrics:
        """Return the metrics of what was added so far."""
        return EmptyFrameMetrics(
            frames=self._frames,
            false_detections=self._false,
            false_per_frame=ratio(self._false, self._frames),
            false_per_frame_bound=rate_bound(self._false, self._frames),
            frames_with_false=ratio(self._frames_with_false, self._frames),
        )


@dataclass(frozen=True, slots=True)
class BoxMetrics:
    """Detections against hand-drawn boxes, over the labelled frames of video.

    Attributes:
        labelled_frames: Frames with at least one box.
        hit_frames: Those with a detection inside a grown box.
        hit_rate: hit_frames / labelled_frames.
        false_detections: Detections on labelled frames that lie outside every grown box and at no ignored place.
        false_per_frame: false_detections / labelled_frames.
        boxes: Boxes on those frames.
        hit_boxes: Boxes with a detection inside once grown.
        unlabelled_frames: Frames without a box; nothing is concluded from them.
        unlabelled_detections: Detections on them.
    """

    labelled_frames: int
    hit_frames: int
    hit_rate: float | None
    false_detections: int
    false_per_frame: float | None
    boxes: int
    hit_boxes: int
    unlabelled_frames: int
    unlabelled_detections: int


class BoxAccumulator:
    """Adds video frames with boxes up to hit rate and false detections per labelled frame."""

    def __init__(self, margin_px: float = BOX_MARGIN_PX) -> None:
        self.margin_px = margin_px
        self._sums = dict.fromkeys(
            ("labelled", "hit_frames", "false", "boxes", "hit_boxes", "unlabelled", "unlabelled_detections"), 0
        )

    def add(
        self,
        centroid_xy: NDArray[np.floating],
        boxes_xywh: NDArray[np.floating],
        ignored_xy: NDArray[np.floating] | None = None,
    ) -> bool:
        """Take one frame.

        Args:
            centroid_xy: (N, 2) centroids of the detections, pixels of the frame.
            boxes_xywh: (M, 4) x and y of the top-left corner, width, height, pixels; (0, 4) where none is labelled.
            ignored_xy: (K, 2) places of real targets without a box, or None: what is detected within 10 pixels of one
                is not false.

        Returns:
            Whether a detection lies in a grown box; its borders belong to it.

        Raises:
            DataError: An array has another shape.
        """
        for name, array, columns in (("centroid_xy", centroid_xy, 2), ("boxes_xywh", boxes_xywh, 4)):
            if array.ndim != 2 or array.shape[1] != columns:
                raise DataError(f"{name}: expected shape (N, {columns}), found {array.shape}")
        if ignored_xy is not None and len(ignored_xy):
            gap = centroid_xy[:, None] - ignored_xy[None]
            ignored = (np.hypot(gap[..., 0], gap[..., 1]) <= IGNORED_RADIUS_PX).any(axis=1)
        else:
            ignored = np.zeros(len(centroid_xy), np.bool_)
        if not len(boxes_xywh):
            self._sums["unlabelled"] += 1
            self._sums["unlabelled_detections"] += len(centroid_xy)
            return False
        low = boxes_xywh[None, :, :2] - self.margin_px
        high = boxes_xywh[None, :, :2] + boxes_xywh[None, :, 2:] + self.margin_px
        point = centroid_xy[:, None, :]
        inside: NDArray[np.bool_] = np.all((point >= low) & (point <= high), axis=2)
        hit = bool(inside.any())
        self._sums["labelled"] += 1
        self._sums["hit_frames"] += hit
        self._sums["false"] += int(np.count_nonzero(~inside.any(axis=1) & ~ignored))
        self._sums["boxes"] += len(boxes_xywh)
        self._sums["hit_boxes"] += int(np.count_nonzero(inside.any(axis=0)))
        return hit

    def result(self) -> BoxMetrics:
        """Return the metrics of what was added so far."""
        sums = self._sums
        return BoxMetrics(
            labelled_frames=sums["labelled"],
            hit_frames=sums["hit_frames"],
            hit_rate=ratio(sums["hit_frames"], sums["labelled"]),
            false_detections=sums["false"],
            false_per_frame=ratio(sums["false"], sums["labelled"]),
            boxes=sums["boxes"],
            hit_boxes=sums["hit_boxes"],
            unlabelled_frames=sums["unlabelled"],
            unlabelled_detections=sums["unlabelled_detections"],
        )


def field_metrics(pairs: Iterable[tuple[Prediction, Truth]], threshold: float = 0.5) -> FieldMetrics:
    """Return the field's metrics of (prediction, truth) pairs.

    Raises:
        DataError: The sizes of a pair differ or a prediction cannot be read as scores.
    """
    accumulator = FieldAccumulator(threshold)
    for prediction, truth in pairs:
        accumulator.add(prediction, truth)
    return accumulator.result()


def empty_frame_measures(predictions: Iterable[Prediction], threshold: float = 0.5) -> EmptyFrameMetrics:
    """Return false detections over the predictions for target-free frames.

    Raises:
        DataError: A prediction cannot be read as scores.
    """
    accumulator = EmptyFrameAccumulator(threshold)
    for prediction in predictions:
        accumulator.add(prediction)
    return accumulator.result()


def box_metrics(
    frames: Iterable[tuple[NDArray[np.floating], NDArray[np.floating]]], margin_px: float = BOX_MARGIN_PX
) -> BoxMetrics:
    """Return hits and false detections of (centroid_xy, boxes_xywh) frames.

    Raises:
        DataError: An array has the wrong shape.
    """
    accumulator = BoxAccumulator(margin_px)
    for centroid_xy, boxes_xywh in frames:
        accumulator.add(centroid_xy, boxes_xywh)
    return accumulator.result()
