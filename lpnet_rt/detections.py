"""Detections: one frame's detections as columns, and their extraction from a score map or candidate pixels."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from lpnet_rt.errors import DependencyError
from lpnet_rt.frames import GreyImage

if TYPE_CHECKING:
    import supervision

__all__ = [
    "BODY_SCORE",
    "MAX_DETECTIONS",
    "CandidatePixels",
    "Detections",
    "body_mask",
    "candidate_pixels",
    "candidate_score",
    "detect",
    "detect_candidates",
    "joined",
]

# Scores are trained so that one half outlines a blob. A higher threshold requires a higher peak; it does not shrink or
# split the blob.
BODY_SCORE = np.float32(0.5)
# A frame of pure noise at a low threshold has thousands of components; this bounds the output.
MAX_DETECTIONS = 500
_SNR_MARGIN_PX = 6
_SNR_GUARD_PX = 2
_MAX_COUNT = 65535

_Value = TypeVar("_Value", np.float32, np.int32)


@dataclass(frozen=True, slots=True)
class Detections:
    """Columns over the N detections of one frame, strongest score first.

    Coordinates are pixels of the original frame; the centre of the first pixel is (0, 0).

    Attributes:
        centroid_xy: (N, 2) float32, score-weighted centroid.
        box_xyxy: (N, 4) int32, pixel indices; x2 and y2 are exclusive.
        score: (N,) float32 in 0..1, the highest score of the component.
        area_px: (N,) int32, pixels of the component.
        peak: (N,) int32, highest raw count of the component; of a cold one, the lowest.
        snr: (N,) float32, (peak - local mean) / local standard deviation of the surrounding frame, at most 999; of a
            cold one, (local mean - peak) / local standard deviation.
    """

    centroid_xy: NDArray[np.float32]
    box_xyxy: NDArray[np.int32]
    score: NDArray[np.float32]
    area_px: NDArray[np.int32]
    peak: NDArray[np.int32]
    snr: NDArray[np.float32]

    def __post_init__(self) -> None:
        n = len(self.score)
        expected = {
            "centroid_xy": ((n, 2), np.float32),
            "box_xyxy": ((n, 4), np.int32),
            "score": ((n,), np.float32),
            "area_px": ((n,), np.int32),
            "peak": ((n,), np.int32),
            "snr": ((n,), np.float32),
        }
        for name, (shape, dtype) in expected.items():
            column = getattr(self, name)
            if column.shape != shape or column.dtype != dtype:
                found = f"{column.shape} {column.dtype}"
                raise ValueError(f"Detections.{name}: expected {shape} {np.dtype(dtype)}, found {found}")

    def __len__(self) -> int:
        return len(self.score)

    def rows(self, which: slice | NDArray[np.bool_] | NDArray[np.intp]) -> Detections:
        """Return some of the detections.

        Args:
            which: A slice, (N,) bool, or indices.
        """
        return Detections(**{column.name: getattr(self, column.name)[which] for column in fields(self)})

    def to_supervision(self, tracker_id: NDArray[np.int64] | None = None) -> supervision.Detections:
        """The same detections for the package supervision, which is imported now: xyxy, confidence, class 0.

        Args:
            tracker_id: (N,) integers, the track of each, or None.

        Raises:
            DependencyError: supervision is not installed.
            ValueError: There is not one ``tracker_id`` per detection.
        """
        if tracker_id is not None and np.shape(tracker_id) != (len(self),):
            raise ValueError(f"tracker_id: expected shape ({len(self)},), found {np.shape(tracker_id)}")
        try:
            import supervision
        except ImportError as error:
            raise DependencyError(f"supervision cannot be imported ({error}); pip install supervision") from error
        return supervision.Detections(
            xyxy=self.box_xyxy.astype(np.float32),
            confidence=self.score.copy(),
            class_id=np.zeros(len(self), np.int64),
            tracker_id=None if tracker_id is None else np.array(tracker_id),
        )

    @classmethod
    def empty(cls) -> Detections:
        """Return no detections."""
        return cls(
            centroid_xy=np.zeros((0, 2), np.float32),
            box_xyxy=np.zeros((0, 4), np.int32),
            score=np.zeros(0, np.float32),
            area_px=np.zeros(0, np.int32),
            peak=np.zeros(0, np.int32),
            snr=np.zeros(0, np.float32),
        )


@dataclass(frozen=True, slots=True)
class CandidatePixels:
    """The candidate pixels of a frame, which may be part of a detection, row by row.

    Attributes:
        rows: (N,) int64, pixel indices.
        columns: (N,) int64, pixel indices.
        scores: (N,) float32 in 0..1.
        size_hw: Height and width of the frame, in pixels.
        finite: Whether every score of the frame is finite; if not, the pixels are meaningless.
        is_cold: (N,) bool, whether a pixel has its score as part of a target colder than its surroundings; None: none.
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    scores: NDArray[np.float32]
    size_hw: tuple[int, int]
    finite: bool = True
    is_cold: NDArray[np.bool_] | None = None

    @classmethod
    def failed(cls, size_hw: tuple[int, int]) -> CandidatePixels:
        """Return the result for a frame whose scores are not all finite."""
        none = np.zeros(0, np.int64)
        return cls(none, none, np.zeros(0, np.float32), size_hw, finite=False)

    def at_least(self, score: float) -> CandidatePixels:
        """Return the pixels that reach a score."""
        which = self.scores >= np.float32(score)
        is_cold = None if self.is_cold is None else self.is_cold[which]
        rows, columns, scores = self.rows[which], self.columns[which], self.scores[which]
        return CandidatePixels(rows, columns, scores, self.size_hw, self.finite, is_cold)

    def score_map(self) -> NDArray[np.float32]:
        """Return (H, W) float32: scores at the candidate pixels, 0 elsewhere."""
        score_map = np.zeros(self.size_hw, np.float32)
        score_map[self.rows, self.columns] = self.scores
        return score_map


def joined(first: Detections, second: Detections) -> Detections:
    """Concatenate two sets of detections of one frame."""
    if not len(second):
        return first
    columns = {
        column.name: np.concatenate((getattr(first, column.name), getattr(second, column.name)))
        for column in fields(first)
    }
    return Detections(**columns)


def candidate_score(threshold: float) -> float:
    """Return the lowest score of a candidate pixel: one half, or the threshold if it is lower."""
    return float(min(np.float32(threshold), BODY_SCORE))


def candidate_pixels(score_map: NDArray[np.float32], threshold: float) -> CandidatePixels:
    """Extract the candidate pixels of a score map; empty if no pixel reaches the threshold.

    Args:
        score_map: (H, W) float32 in 0..1, finite.
        threshold: Score from 0 (exclusive) to 1.
    """
    height, width = score_map.shape
    if score_map.max(initial=0.0) < np.float32(threshold):
        indices = np.zeros(0, np.int64)
    else:
        indices = np.flatnonzero(score_map >= candidate_score(threshold))
    rows, columns = np.divmod(indices, width)
    return CandidatePixels(rows, columns, score_map[rows, columns], (height, width))


def detect(score_map: NDArray[np.float32], image: GreyImage, threshold: float) -> Detections:
    """Turn a score map into detections: 8-connected components with a peak at or over the threshold.

    A component consists of pixels that score at least one half, or at least the threshold if it is lower.

    Args:
        score_map: (H, W) float32 in 0..1, finite.
        image: (H, W) raw counts of the same frame, for peak and SNR.
        threshold: Score from 0 (exclusive) to 1.

    Returns:
        One detection per component, strongest score first; at most the strongest 500.

    Raises:
        ValueError: If the two sizes differ.
    """
    if score_map.shape != image.shape:
        raise ValueError(f"score_map: expected the image's size {image.shape}, found {score_map.shape}")
    return detect_candidates(candidate_pixels(score_map, threshold), image, threshold)


def detect_candidates(candidates: CandidatePixels, image: GreyImage, threshold: float) -> Detections:
    """Turn candidate pixels into detections; see :func:`detect`.

    Args:
        candidates: Pixels of the same frame that score at least :func:`candidate_score` of the threshold.
        image: (H, W) raw counts.
        threshold: Score from 0 (exclusive) to 1.

    Raises:
        ValueError: If the two sizes differ.
    """
    if candidates.size_hw != image.shape:
        raise ValueError(f"candidate pixels: expected the image's size {image.shape}, found {candidates.size_hw}")
    if candidates.scores.max(initial=0.0) < np.float32(threshold):
        return Detections.empty()
    ys, xs = candidates.rows, candidates.columns
    component, score = _label(candidates)
    n = len(score)
    order = _published(score, threshold)
    # Sum offsets into the window instead of coordinates, for precision.
    x0, y0 = int(xs.min()), int(ys[0])
    weights = candidates.scores.astype(np.float64)
    total = np.bincount(component, weights, n)
    centroid = np.empty((n, 2), np.float32)
    centroid[:, 0] = np.bincount(component, weights * (xs - x0), n) / total + x0
    centroid[:, 1] = np.bincount(component, weights * (ys - y0), n) / total + y0
    counts = image[ys, xs].astype(np.int32)
    peak, is_cold = _highest(component, counts, n), _cold_components(candidates, component, score)
    if is_cold.any():
        peak = np.where(is_cold, -_highest(component, -counts, n, -_MAX_COUNT), peak)
    boxes = _boxes(component, xs.astype(np.int32), ys.astype(np.int32), n)
    return Detections(
        centroid_xy=centroid[order],
        box_xyxy=boxes[order],
        score=score[order],
        area_px=np.bincount(component, minlength=n).astype(np.int32)[order],
        peak=peak[order],
        snr=np.array([_local_snr(image, boxes[i], int(peak[i]), bool(is_cold[i])) for i in order], np.float32),
    )


def body_mask(score_map: NDArray[np.float32], threshold: float) -> NDArray[np.bool_]:
    """Return the mask of what :func:`detect` finds: the union of the detections, at most the strongest 500.

    Its 8-connected components are the detections, one each.

    Args:
        score_map: (H, W) float32 in 0..1, finite.
        threshold: Score from 0 (exclusive) to 1.

    Returns:
        (H, W) bool.
    """
    mask = np.zeros(score_map.shape, np.bool_)
    candidates = candidate_pixels(score_map, threshold)
    if not len(candidates.rows):
        return mask
    component, score = _label(candidates)
    published = np.zeros(len(score), np.bool_)
    published[_published(score, threshold)] = True
    inside = published[component]
    mask[candidates.rows[inside], candidates.columns[inside]] = True
    return mask


def _label(candidates: CandidatePixels) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return each pixel's 8-connected component, from 0, and each component's score; needs at least one pixel."""
    ys, xs = candidates.rows, candidates.columns
    # Search only the bounding box of the candidate pixels for components.
    x0, y0 = int(xs.min()), int(ys[0])
    window = np.zeros((int(ys[-1]) + 1 - y0, int(xs.max()) + 1 - x0), np.uint8)
    window[ys - y0, xs - x0] = 1
    count, labels = cv2.connectedComponents(window, connectivity=8)
    component: NDArray[np.intp] = labels[ys - y0, xs - x0].astype(np.intp) - 1
    return component, _highest(component, candidates.scores, count - 1)


def _published(score: NDArray[np.float32], threshold: float) -> NDArray[np.intp]:
    """Return the components to publish, strongest first."""
    reached = int((score >= np.float32(threshold)).sum())
    return np.argsort(-score, kind="stable")[: min(MAX_DETECTIONS, reached)]


def _highest(component: NDArray[np.intp], values: NDArray[_Value], n: int, lowest: int = 0) -> NDArray[_Value]:
    """Return the maximum, at least ``lowest``, of each of n components."""
    highest = np.full(n, lowest, values.dtype)
    np.maximum.at(highest, component, values)
    return highest


def _cold_components(
    candidates: CandidatePixels, component: NDArray[np.intp], score: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Return whether the pixel with the highest score of each component is cold."""
    if candidates.is_cold is None:
        return np.zeros(len(score), np.bool_)
    hot = _highest(component, np.where(candidates.is_cold, np.float32(0), candidates.scores), len(score))
    is_cold: NDArray[np.bool_] = hot < score
    return is_cold


def _boxes(component: NDArray[np.intp], xs: NDArray[np.int32], ys: NDArray[np.int32], n: int) -> NDArray[np.int32]:
    """Return (n, 4) int32 boxes: first column and row of each component, and one past its last."""
    boxes = np.empty((n, 4), np.int32)
    for column, values in enumerate((xs, ys)):
        lowest = np.full(n, values.max(), np.int32)
        np.minimum.at(lowest, component, values)
        boxes[:, column], boxes[:, column + 2] = lowest, _highest(component, values, n) + 1
    return boxes


def _local_snr(image: GreyImage, box_xyxy: NDArray[np.int32], peak: int, is_cold: bool) -> float:
    """Return (peak - mean) / std of the frame around the box, outside a guard ring of two pixels; 0..999.

    Of a cold target, (mean - peak) / std.
    """
    height, width = image.shape
    x1, y1, x2, y2 = (int(v) for v in box_xyxy)
    outer_x, outer_y = max(0, x1 - _SNR_MARGIN_PX), max(0, y1 - _SNR_MARGIN_PX)
    window = image[outer_y : min(height, y2 + _SNR_MARGIN_PX), outer_x : min(width, x2 + _SNR_MARGIN_PX)]
    ring = np.ones(window.shape, bool)
    guard_y, guard_x = max(0, y1 - _SNR_GUARD_PX) - outer_y, max(0, x1 - _SNR_GUARD_PX) - outer_x
    ring[guard_y : y2 + _SNR_GUARD_PX - outer_y, guard_x : x2 + _SNR_GUARD_PX - outer_x] = False
    if not ring.any():
        return 0.0
    around = window[ring].astype(np.float64)
    # Quantised, noiseless surroundings have no spread; half a count is the smallest meaningful difference.
    spread = max(float(around.std()), 0.5)
    contrast = around.mean() - peak if is_cold else peak - around.mean()
    return float(np.clip(contrast / spread, 0.0, 999.0))
