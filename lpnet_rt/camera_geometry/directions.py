"""Azimuth, elevation, angular speed and their standard errors of points in a picture.

Errors are propagated to first order: centroid, lens and orientation are taken as independent, unless a calibration
gives the covariance of the last two. Errors are computed in the plane that touches the sphere at the target, so they
hold near the zenith, too; there the azimuth's error grows as 1 / cos(elevation), up to that of an unknown azimuth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lpnet_rt.camera_geometry.lens import Lens
from lpnet_rt.camera_geometry.orientation import Orientation
from lpnet_rt.settings.camera import CameraSettings

__all__ = ["UNKNOWN_AZIMUTH_DEG", "CameraGeometry", "Directions", "Points"]

_Array = NDArray[np.float64]

UNKNOWN_AZIMUTH_DEG = 360.0 / math.sqrt(12.0)
"""Standard deviation of an azimuth of which nothing is known: uniform over the circle."""
_MIN_COSINE = 1e-6  # at the zenith, azimuths and their rates stay finite
_DEFAULT_FIELD_ERROR = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Places in a picture with what is known of their errors and their motion.

    Attributes:
        xy: (N, 2) float64, pixels.
        variance_px2: (N,) variance of the place on either axis.
        velocity_xy: (N, 2) pixels per second.
        velocity_variance: (N,) variance of the velocity on either axis.
    """

    xy: _Array
    variance_px2: _Array
    velocity_xy: _Array
    velocity_variance: _Array


@dataclass(frozen=True, slots=True, eq=False)
class Directions:
    """Columns over N points; NaN where the lens has no direction for a pixel.

    Attributes:
        azimuth_deg: (N,) clockwise from true north, 0 to 360 (exclusive).
        elevation_deg: (N,) over the horizon.
        azimuth_error_deg: (N,) standard error, at most that of an unknown azimuth, 103.9.
        elevation_error_deg: (N,) standard error.
        azimuth_rate_deg_s: (N,) degrees per second, clockwise.
        elevation_rate_deg_s: (N,) degrees per second, up.
        azimuth_rate_error_deg_s: (N,) standard error.
        elevation_rate_error_deg_s: (N,) standard error.
        angular_speed_deg_s: (N,) along the great circle, degrees per second.
    """

    azimuth_deg: _Array
    elevation_deg: _Array
    azimuth_error_deg: _Array
    elevation_error_deg: _Array
    azimuth_rate_deg_s: _Array
    elevation_rate_deg_s: _Array
    azimuth_rate_error_deg_s: _Array
    elevation_rate_error_deg_s: _Array
    angular_speed_deg_s: _Array


class CameraGeometry:
    """A camera that stands still, for frames of one size.

    Attributes:
        lens: How it projects.
        orientation: Where it looks.
    """

    def __init__(self, camera: CameraSettings, size_hw: tuple[int, int]) -> None:
        """Prepare what all frames have in common.

        Args:
            camera: Lens, orientation and their errors.
            size_hw: Height and width of the frames, pixels.
        """
        self.lens = Lens.of(camera, size_hw)
        self.orientation = Orientation(camera.azimuth_deg, camera.elevation_deg, camera.roll_deg)
        self._matrix = self.orientation.matrix()
        roll = math.radians(camera.roll_deg)
        # The level axis, about which elevation turns, in camera coordinates.
        self._level = np.array((math.cos(roll), -math.sin(roll), 0.0))
        self._spread = _spread(camera, self.lens)
        self._centre_variance = camera.principal_point_error_px**2
        self._scale_error = float(np.linalg.norm(self._spread[3]))

    @property
    def is_whole(self) -> bool:
        """Whether every corner of the frame has a direction."""
        height, width = self.lens.size_hw
        corners = np.array(((0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)), np.float64)
        return bool(np.isfinite(self.lens.rays(corners)[0]).all())

    def directions(self, points: Points) -> Directions:
        """Directions of points, with their standard errors and rates."""
        rays, by_pixel, by_k1 = self.lens.rays(points.xy)
        length = np.sqrt(1.0 + rays[:, 0] ** 2 + rays[:, 1] ** 2)
        vectors = np.empty((len(rays), 3))
        vectors[:, :2], vectors[:, 2] = rays, 1.0
        east, north, up = (vectors @ self._matrix.T / length[:, None]).T
        level = np.hypot(east, north)
        axes = self._axes(east, north, up, level)
        # Radians of azimuth (times cos(elevation)) and elevation by pixel: (N, 2, 2).
        scale = axes[:, :, :2] / length[:, None, None] @ by_pixel
        variance = (scale**2).sum(axis=2) * (points.variance_px2 + self._centre_variance)[:, None]
        variance += self._of_orientation(points.xy, axes, scale, by_k1, level)
        speed = (scale @ points.velocity_xy[:, :, None])[:, :, 0]
        speed_variance = (scale**2).sum(axis=2) * points.velocity_variance[:, None] + (speed * self._scale_error) ** 2
        cosine = np.maximum(level, _MIN_COSINE)
        error, rate_error = np.degrees(np.sqrt(variance)), np.degrees(np.sqrt(speed_variance))
        azimuth = np.degrees(np.arctan2(east, north)) % 360.0
        azimuth[azimuth == 360.0] = 0.0
        return Directions(
            azimuth_deg=azimuth,
            elevation_deg=np.degrees(np.arctan2(up, level)),
            azimuth_error_deg=np.minimum(error[:, 0] / cosine, UNKNOWN_AZIMUTH_DEG),
            elevation_error_deg=error[:, 1],
            azimuth_rate_deg_s=np.degrees(speed[:, 0] / cosine),
            elevation_rate_deg_s=np.degrees(speed[:, 1]),
            azimuth_rate_error_deg_s=rate_error[:, 0] / cosine,
            elevation_rate_error_deg_s=rate_error[:, 1],
            angular_speed_deg_s=np.degrees(np.hypot(speed[:, 0], speed[:, 1])),
        )

    def pixels(self, vectors: _Array) -> _Array:
        """(N, 2) pixels of (N, 3) vectors in local coordinates; NaN behind the camera."""
        return self.lens.pixels(vectors @ self._matrix)

    def _axes(self, east: _Array, north: _Array, up: _Array, level: _Array) -> _Array:
        """(N, 2, 3) unit vectors of growing azimuth and of growing elevation, in camera coordinates."""
        axes = np.zeros((len(east), 2, 3))
        cosine = np.maximum(level, 1e-300)
        sin_a, cos_a = east / cosine, north / cosine
        axes[:, 0, 0], axes[:, 0, 1] = cos_a, -sin_a
        axes[:, 1, 0], axes[:, 1, 1], axes[:, 1, 2] = -up * sin_a, -up * cos_a, level
        in_camera: _Array = axes @ self._matrix
        return in_camera

    def _of_orientation(self, xy: _Array, axes: _Array, scale: _Array, by_k1: _Array, level: _Array) -> _Array:
        """(N, 2) variance of direction, radians squared, from azimuth, elevation, roll, field of view and k1."""
        slopes = np.zeros((len(xy), 2, 5))
        slopes[:, 0, 0] = level
        along = axes @ self._level
        slopes[:, 0, 1], slopes[:, 1, 1] = -along[:, 1], along[:, 0]
        slopes[:, 0, 2], slopes[:, 1, 2] = -axes[:, 1, 2], axes[:, 0, 2]
        slopes[:, :, 3] = -(scale @ (xy - self.lens.centre_xy)[:, :, None])[:, :, 0]
        slopes[:, :, 4] = -(scale @ by_k1[:, :, None])[:, :, 0]
        variance: _Array = ((slopes @ self._spread) ** 2).sum(axis=2)
        return variance


def _spread(camera: CameraSettings, lens: Lens) -> _Array:
    """(5, 5) root of the covariance of azimuth, elevation, roll (radians), log of the focal length, and k1.

    A wider field of view is a shorter focal length: d(log f) = -d(field) / sin(field).
    """
    field = lens.field_of_view_deg
    by_field = -math.radians(1.0) / math.sin(math.radians(field))
    units = np.array((*(math.radians(1.0),) * 3, by_field, 1.0))
    if camera.calibration_covariance is not None:
        values, vectors = np.linalg.eigh(np.array(camera.calibration_covariance) * np.outer(units, units))
        return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))
    given = camera.field_of_view_error_deg
    field_error = _DEFAULT_FIELD_ERROR * field if given is None else given
    errors = (camera.azimuth_error_deg, camera.elevation_error_deg, camera.roll_error_deg, field_error, camera.k1_error)
    return np.diag(np.array(errors) * units)
