"""Connected components of a mask and their one-to-one matching: what every target measure stands on."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from lpnet_rt.detections import body_mask
from lpnet_rt.errors import DataError

__all__ = [
    "IGNORED_RADIUS_PX",
    "BoolMask",
    "Components",
    "Prediction",
    "binarise",
    "components",
    "detected",
    "match",
    "score_map",
    "truth_mask",
]

IGNORED_RADIUS_PX = 10.0
"""What is found so near to an ignored place counts neither way."""

BoolMask = NDArray[np.bool_]
Prediction = NDArray[np.bool_] | NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32] | NDArray[np.float64]

# Dearer than any sum of distances between pixels of real frames: such a pair is taken only where nothing else is left.
_FORBIDDEN = 1e9


@dataclass(frozen=True, slots=True)
class Components:
    """The 8-connected components of one mask, in the order of OpenCV's labels.

    Coordinates are pixels; the centre of the first pixel is (0, 0).

    Attributes:
        labels: (H, W) int32, 0 for background, i + 1 for component i.
        centroid_xy: (N, 2) float64, mean of the component's pixel coordinates.
        box_xywh: (N, 4) int32, x and y of the first pixel, width and height in pixels.
        area_px: (N,) int64.
    """

    labels: NDArray[np.int32]
    centroid_xy: NDArray[np.float64]
    box_xywh: NDArray[np.int32]
    area_px: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.area_px)

    @property
    def box_centre_xy(self) -> NDArray[np.float64]:
        """(N, 2) float64, middle of each component's bounding box (x + w/2, y + h/2)."""
        boxes = self.box_xywh.astype(np.float64)
        return boxes[:, :2] + boxes[:, 2:] / 2


def score_map(prediction: Prediction) -> NDArray[np.float32]:
    """Return a prediction as scores.

    Args:
        prediction: (H, W); bool becomes 0 and 1; uint8 is divided by 255, uint16 by 65535; float is taken as a score.

    Returns:
        (H, W) float32 in 0..1; the prediction itself where it is float32.

    Raises:
        DataError: The prediction is not (H, W), of another dtype, or holds values that are not finite.
    """
    _check(prediction)
    full = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}.get(prediction.dtype)
    if full is None:
        return np.asarray(prediction, np.float32)
    # In double precision first: a level that is a threshold, such as 153 / 255, has to round to the same number.
    levels: NDArray[np.float32] = (np.arange(full + 1) / full).astype(np.float32)
    return levels[prediction]


def detected(prediction: Prediction, threshold: float) -> BoolMask:
    """Return the pixels of what the deployed detector would report of a prediction, one component a detection.

    That is :func:`lpnet_rt.detections.body_mask`: components of pixels that score at least one half (or at least the
    threshold, where that is lower) with a peak at or over the threshold, at most the strongest 500.

    Args:
        prediction: (H, W), see :func:`score_map`.
        threshold: Score from 0 (exclusive) to 1.

    Returns:
        (H, W) bool.

    Raises:
        DataError: As :func:`score_map`.
    """
    return body_mask(score_map(prediction), threshold)


def binarise(prediction: Prediction, threshold: float) -> BoolMask:
    """Return which pixels of a prediction reach the threshold: what the paper's metrics judge.

    Args:
        prediction: (H, W); bool is taken as it is; uint8 is divided by 255, uint16 by 65535; float is taken as a score.
        threshold: Score; a pixel at or over it is predicted.

    Returns:
        (H, W) bool.

    Raises:
        DataError: The prediction is not (H, W), of another dtype, or holds values that are not finite.
    """
    _check(prediction)
    if prediction.dtype == np.bool_:
        return prediction.view(np.bool_)
    if prediction.dtype in (np.uint8, np.uint16):
        full = 255 if prediction.dtype == np.uint8 else 65535
        first = int(np.searchsorted(np.arange(full + 1) / full, threshold, side="left"))
        return np.asarray(prediction >= first) if first <= full else np.zeros(prediction.shape, np.bool_)
    return np.asarray(prediction >= prediction.dtype.type(threshold))


def _check(prediction: Prediction) -> None:
    if prediction.ndim != 2:
        raise DataError(f"prediction: expected (height, width), found shape {prediction.shape}")
    if prediction.dtype in (np.bool_, np.uint8, np.uint16):
        return
    if not np.issubdtype(prediction.dtype, np.floating):
        raise DataError(
            f"prediction: expected bool, uint8, uint16 or float, found {prediction.dtype}; convert it first"
        )
    if not np.isfinite(prediction).all():
        raise DataError("prediction: expected finite scores, found NaN or infinity; the frame cannot be judged")


def truth_mask(truth: NDArray[np.bool_] | NDArray[np.uint8], shape_hw: tuple[int, ...]) -> BoolMask:
    """Return the truth as bool, after checking that it fits the prediction.

    Args:
        truth: (H, W); every value other than 0 is target.
        shape_hw: Shape of the prediction.

    Raises:
        DataError: The shapes differ.
    """
    if truth.shape != shape_hw:
        raise DataError(
            f"truth: expected the prediction's size {shape_hw}, found {truth.shape}; resize neither: pair them"
        )
    return np.asarray(truth != 0)


def components(mask: BoolMask) -> Components:
    """Find the 8-connected components of a mask.

    Args:
        mask: (H, W) bool.
    """
    binary = np.ascontiguousarray(mask).view(np.uint8)
    labels = np.zeros(mask.shape, np.int32)
    if not cv2.countNonZero(binary):
        return Components(labels, np.zeros((0, 2)), np.zeros((0, 4), np.int32), np.zeros(0, np.int64))
    # Most of a frame is background: labelling the window that holds everything costs a fraction of the whole.
    x, y, width, height = cv2.boundingRect(binary)
    window = (slice(y, y + height), slice(x, x + width))
    _, labelled, stats, centroids = cv2.connectedComponentsWithStats(binary[window], connectivity=8, ltype=cv2.CV_32S)
    labels[window] = labelled
    return Components(
        labels=labels,
        centroid_xy=np.asarray(centroids[1:], np.float64) + np.array([x, y]),
        box_xywh=np.asarray(stats[1:, :4] + np.array([x, y, 0, 0]), np.int32),
        area_px=np.asarray(stats[1:, cv2.CC_STAT_AREA], np.int64),
    )


def match(
    predicted_xy: NDArray[np.float64], true_xy: NDArray[np.float64], limit_px: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Match points one to one: as many pairs as possible, and of those the least sum of distances.

    Args:
        predicted_xy: (P, 2) pixels.
        true_xy: (T, 2) pixels.
        limit_px: Only pairs closer than this count.

    Returns:
        Two (M,) index arrays, into the predicted and into the true points.
    """
    gap_xy = predicted_xy[:, None, :] - true_xy[None, :, :]
    distance_px = np.hypot(gap_xy[..., 0], gap_xy[..., 1])
    near = distance_px < limit_px
    rows, columns = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
    cost = np.where(near, distance_px, _FORBIDDEN)[np.ix_(rows, columns)]
    row, column = linear_sum_assignment(cost)
    predicted, true = rows[row], columns[column]
    kept = near[predicted, true]
    return predicted[kept], true[kept]
