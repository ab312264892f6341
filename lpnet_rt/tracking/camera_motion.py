"""How the background moves from frame to frame: sparse optical flow from a key frame, and the median of it.

Points are tracked from one key frame over many frames, not from each frame to the next, so that errors do not add up
while the key frame lasts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from lpnet_rt.frames import GreyImage
from lpnet_rt.preprocessing.frame_and_local import STD_FLOOR_8BIT, STD_FLOOR_RAW

__all__ = ["NO_MOTION", "CameraMotion", "CameraMotionEstimator", "MotionEstimator", "StillCamera"]

_REDUCED_WIDTH_PX = 320
_GRID_ROWS, _GRID_COLUMNS = 7, 9
_MIN_POINTS = 4
_GOOD_POINTS = 12
_INLIER_PX = 1.0
_MIN_CONFIDENCE = 0.3
_KEY_FRAMES = 60
# A shift this small since the key frame is noise of a camera that stands still.
_STILL_PX = 0.2
_WINDOW_PX = 15
_LEVELS = 2
_RELATIVE_CORNER = 0.01
_STRENGTH_POWER = 0.5


@dataclass(frozen=True, slots=True)
class CameraMotion:
    """How far the background moved since the frame before.

    Attributes:
        dx: Pixels to the right.
        dy: Pixels down.
        confidence: 0..1, the share of background points that agree; 0 where nothing could be told, and then both shifts
            are 0.
    """

    dx: float
    dy: float
    confidence: float


NO_MOTION = CameraMotion(0.0, 0.0, 0.0)


class MotionEstimator(Protocol):
    """Where a tracker has the motion of the background from."""

    def update(self, image: GreyImage, targets_xy: NDArray[np.floating] | None = None) -> CameraMotion:
        """The motion since the frame before; see :meth:`CameraMotionEstimator.update`."""
        ...

    def reset(self) -> None:
        """Forget all frames."""
        ...


class StillCamera:
    """A camera that never moves, for certain."""

    def update(self, image: GreyImage, targets_xy: NDArray[np.floating] | None = None) -> CameraMotion:
        """No motion, whatever the picture."""
        return CameraMotion(0.0, 0.0, 1.0)

    def reset(self) -> None:
        """Nothing to forget."""


class CameraMotionEstimator:
    """Translation of the background, from corners spread over the frame (Lucas and Kanade, IJCAI 1981).

    Works on a reduced image some 320 pixels wide. Points near targets are left out. Strong corners weigh more, so that
    a sensor's fixed noise in the sky does not outvote the ground. The weighted median of the points' shifts is taken,
    then the mean of those within a pixel of it; where too few agree, as under an empty sky, there is no motion.
    """

    def __init__(self) -> None:
        self._key: NDArray[np.uint8] | None = None
        self._key_points: NDArray[np.float32] = np.zeros((0, 2), np.float32)
        self._points: NDArray[np.float32] = self._key_points
        self._weights: NDArray[np.float32] = np.zeros(0, np.float32)
        self._shift: NDArray[np.float64] = np.zeros(2)
        self._key_age = 0

    def reset(self) -> None:
        """Forget the key frame; the next frame is the first one."""
        self._key = None

    def update(self, image: GreyImage, targets_xy: NDArray[np.floating] | None = None) -> CameraMotion:
        """Estimate the motion since the frame before.

        Args:
            image: (H, W) uint8 or uint16, raw counts, all of one size until :meth:`reset`.
            targets_xy: (N, 2) pixels: places to take no background point from.

        Returns:
            The motion, in pixels of the image; none on the first frame.
        """
        factor, reduced = _reduce(image)
        if self._key is None or self._key.shape != reduced.shape:
            self._start_key(reduced, targets_xy, factor)
            return NO_MOTION
        shift, confidence, agreeing = self._track(reduced)
        if confidence < _MIN_CONFIDENCE:
            self._start_key(reduced, targets_xy, factor)
            return CameraMotion(0.0, 0.0, 0.0)
        step = (shift - self._shift) * factor
        self._shift = shift
        self._key_age += 1
        moved_px = float(np.abs(shift).max())
        worn = agreeing < 0.6 * len(self._key_points) or moved_px > reduced.shape[1] / 5
        if worn or self._key_age >= _KEY_FRAMES:
            self._start_key(reduced, targets_xy, factor)
        return CameraMotion(float(step[0]), float(step[1]), confidence)

    def _track(self, reduced: NDArray[np.uint8]) -> tuple[NDArray[np.float64], float, int]:
        """Shift since the key frame in reduced pixels, confidence, and how many points agree."""
        count = len(self._key_points)
        if self._key is None or count < _MIN_POINTS:
            return self._shift, 0.0, 0
        guess = self._key_points + self._shift.astype(np.float32)
        points, status, _ = cv2.calcOpticalFlowPyrLK(
            self._key,
            reduced,
            self._key_points[:, None],
            guess[:, None].copy(),
            winSize=(_WINDOW_PX, _WINDOW_PX),
            maxLevel=_LEVELS,
            criteria=(3, 10, 0.03),
            flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
        )
        found = status.ravel() > 0
        moved, weight = (points[:, 0] - self._key_points)[found], self._weights[found]
        if len(moved) < _MIN_POINTS:
            return self._shift, 0.0, 0
        middle = (_weighted_median(moved[:, 0], weight), _weighted_median(moved[:, 1], weight))
        agree = np.abs(moved - middle).max(axis=1) < _INLIER_PX
        agreeing = int(agree.sum())
        if agreeing < _MIN_POINTS:
            return self._shift, 0.0, agreeing
        share = float(weight[agree].sum() / self._weights.sum())
        shift = (moved[agree] * weight[agree, None]).sum(axis=0, dtype=np.float64) / weight[agree].sum()
        if np.abs(shift).max() < _STILL_PX:
            shift = np.zeros(2)
        return shift, share * min(1.0, agreeing / _GOOD_POINTS), agreeing

    def _start_key(self, reduced: NDArray[np.uint8], targets_xy: NDArray[np.floating] | None, factor: float) -> None:
        avoid = None if targets_xy is None else np.asarray(targets_xy, np.float64) / factor
        self._key = reduced
        self._key_points, strength = _corners(reduced, avoid)
        self._weights = strength**_STRENGTH_POWER
        self._shift = np.zeros(2)
        self._key_age = 0


def _reduce(image: GreyImage) -> tuple[float, NDArray[np.uint8]]:
    """The factor and the image, a power of two smaller, as 8 bits around its own mean."""
    halvings = 0
    reduced = image
    while reduced.shape[1] > _REDUCED_WIDTH_PX * 1.25 and min(reduced.shape) >= 64:
        half_wh = (reduced.shape[1] // 2, reduced.shape[0] // 2)
        reduced = cv2.resize(reduced, half_wh, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        halvings += 1
    mean, std = cv2.meanStdDev(reduced)
    # The gain is kept coarse: it must be the same in the key frame and now, whatever little the contrast changes.
    spread = max(float(std[0, 0]), STD_FLOOR_8BIT if image.dtype == np.uint8 else STD_FLOOR_RAW)
    gain = 32.0 / spread
    scaled = cv2.convertScaleAbs(reduced, alpha=gain, beta=128.0 - gain * float(mean[0, 0]))
    return float(2**halvings), scaled  # type: ignore[return-value]


def _corners(
    reduced: NDArray[np.uint8], avoid_xy: NDArray[np.float64] | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(N, 2) the strongest corner of each cell of a grid, where there is one, and (N,) how strong each is."""
    height, width = reduced.shape
    strength = cv2.cornerMinEigenVal(reduced, 5)
    margin = 8
    strength[:margin] = strength[-margin:] = 0
    strength[:, :margin] = strength[:, -margin:] = 0
    if avoid_xy is not None:
        for x, y in avoid_xy.astype(np.intp):
            strength[max(y - 10, 0) : y + 11, max(x - 10, 0) : x + 11] = 0
    cell_h, cell_w = height // _GRID_ROWS, width // _GRID_COLUMNS
    if cell_h < 8 or cell_w < 8:
        return np.zeros((0, 2), np.float32), np.zeros(0, np.float32)
    cells = strength[: cell_h * _GRID_ROWS, : cell_w * _GRID_COLUMNS]
    cells = cells.reshape(_GRID_ROWS, cell_h, _GRID_COLUMNS, cell_w).swapaxes(1, 2).reshape(-1, cell_h * cell_w)
    best = cells.argmax(axis=1)
    value = cells[np.arange(len(cells)), best]
    row, column = np.divmod(np.arange(len(cells)), _GRID_COLUMNS)
    in_row, in_column = np.divmod(best, cell_w)
    points = np.stack((column * cell_w + in_column, row * cell_h + in_row), axis=1).astype(np.float32)
    strong = value > max(float(value.max()) * _RELATIVE_CORNER, 1e-6)
    return points[strong], value[strong]


def _weighted_median(values: NDArray[np.float32], weights: NDArray[np.float32]) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(total, total[-1] / 2)]])
