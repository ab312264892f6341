"""How a camera projects: focal lengths, principal point and distortion, by OpenCV's model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from lpnet_rt.settings.camera import CameraSettings

__all__ = ["Lens"]

_Array = NDArray[np.float64]
_ORIGIN = np.zeros(3)
_MAX_STEPS = 20
_CLOSE_PX = 1e-6
_ACCURATE_PX = 1e-3
_TO_X, _TO_Y, _K1 = 3, 4, 10  # columns of the derivatives that cv2.projectPoints returns


@dataclass(frozen=True)
class Lens:
    """Intrinsics of a camera for frames of one size.

    Attributes:
        focal_xy_px: Focal lengths, horizontal and vertical, pixels.
        centre_xy: Principal point, pixels.
        distortion: OpenCV's k1, k2, p1, p2, k3.
        size_hw: Height and width of the frame, pixels.
    """

    focal_xy_px: tuple[float, float]
    centre_xy: tuple[float, float]
    distortion: tuple[float, float, float, float, float]
    size_hw: tuple[int, int]

    @classmethod
    def of(cls, camera: CameraSettings, size_hw: tuple[int, int]) -> Lens:
        """The lens of a camera for frames of a size, however the settings state it."""
        height, width = size_hw
        distortion = camera.k1, camera.k2, camera.p1, camera.p2, camera.k3
        centre = (width - 1) / 2, (height - 1) / 2
        if camera.field_of_view_deg is not None:
            fx = fy = width / 2 / math.tan(math.radians(camera.field_of_view_deg) / 2)
            if camera.vertical_field_of_view_deg is not None:
                fy = height / 2 / math.tan(math.radians(camera.vertical_field_of_view_deg) / 2)
        elif camera.focal_length_mm is not None and camera.pixel_pitch_um is not None:
            fx = fy = 1000.0 * camera.focal_length_mm / (camera.pixel_pitch_um * camera.binning)
        else:
            known = (camera.fx, camera.fy, camera.cx, camera.cy, camera.width, camera.height)
            fx, fy, cx, cy, of_width, of_height = (float(value) for value in known if value is not None)
            scale_x, scale_y = width / of_width, height / of_height
            fx, fy = fx * scale_x, fy * scale_y
            centre = (cx + 0.5) * scale_x - 0.5, (cy + 0.5) * scale_y - 0.5
        return cls((fx, fy), centre, distortion, size_hw)

    @property
    def field_of_view_deg(self) -> float:
        """Horizontal field of view without distortion, degrees."""
        return math.degrees(2 * math.atan(self.size_hw[1] / 2 / self.focal_xy_px[0]))

    @cached_property
    def matrix(self) -> _Array:
        """OpenCV's (3, 3) camera matrix."""
        (fx, fy), (cx, cy) = self.focal_xy_px, self.centre_xy
        return np.array(((fx, 0.0, cx), (0.0, fy, cy), (0.0, 0.0, 1.0)))

    @cached_property
    def _coefficients(self) -> _Array:
        return np.array(self.distortion)

    def rays(self, xy: _Array) -> tuple[_Array, _Array, _Array]:
        """Directions of pixels in camera coordinates.

        OpenCV's iterative inverse is off by half a pixel for strong distortion, so Newton's method continues it.

        Args:
            xy: (N, 2) pixels.

        Returns:
            (N, 2) x and y of the direction at z = 1, NaN where the model of distortion has no inverse;
            (N, 2, 2) their derivatives by x and y of the pixel;
            (N, 2) derivatives of the pixel by k1, at the same direction.
        """
        count = len(xy)
        offset = (xy - self.centre_xy) / self.focal_xy_px
        if not any(self.distortion):
            by_pixel = np.zeros((count, 2, 2))
            by_pixel[:, 0, 0], by_pixel[:, 1, 1] = 1 / self.focal_xy_px[0], 1 / self.focal_xy_px[1]
            squared = offset[:, 0] ** 2 + offset[:, 1] ** 2
            return offset, by_pixel, offset * squared[:, None] * self.focal_xy_px
        # Where the model has no inverse, the steps may go anywhere.
        with np.errstate(all="ignore"):
            return self._undistorted(xy)

    def pixels(self, vectors: _Array) -> _Array:
        """Pixels of directions: the inverse of :meth:`rays`.

        Args:
            vectors: (N, 3) in camera coordinates, of any length.

        Returns:
            (N, 2), in the frame or out of it; NaN for directions behind the camera.
        """
        ahead = vectors[:, 2] > 0
        if not len(vectors):
            return np.zeros((0, 2))
        seen = np.where(ahead[:, None], vectors, (0.0, 0.0, 1.0))
        projected, _ = cv2.projectPoints(seen, _ORIGIN, _ORIGIN, self.matrix, self._coefficients)
        return np.where(ahead[:, None], projected[:, 0], np.nan)

    def _undistorted(self, xy: _Array) -> tuple[_Array, _Array, _Array]:
        count = len(xy)
        points = np.ones((count, 3))
        points[:, :2] = cv2.undistortPoints(xy[:, None], self.matrix, self._coefficients)[:, 0]
        for _ in range(_MAX_STEPS):
            projected, slopes = cv2.projectPoints(points, _ORIGIN, _ORIGIN, self.matrix, self._coefficients)
            error = xy - projected[:, 0]
            (a, c), (b, d) = (slopes[:, column].reshape(count, 2).T for column in (_TO_X, _TO_Y))
            determinant = a * d - b * c
            by_pixel = np.array(((d, -b), (-c, a))).transpose(2, 0, 1) / determinant[:, None, None]
            if not (np.abs(error) > _CLOSE_PX).any():  # so written, a point that went astray holds up no other
                break
            points[:, :2] += (by_pixel @ error[:, :, None])[:, :, 0]
        # Past its fold, the model maps other directions to the same pixel, and turns the picture over.
        bad = ~((np.abs(error).max(axis=1) < _ACCURATE_PX) & (determinant > 0) & (a + d > 0))
        points[bad] = np.nan
        return points[:, :2], by_pixel, np.asarray(slopes[:, _K1].reshape(count, 2), np.float64)
