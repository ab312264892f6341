"""The motion of tracks: a Kalman filter with constant velocity, on all tracks at once.

Noise is the same on both axes and independent between them, so position and velocity of either axis share one 2x2
covariance: variance of the position, of the velocity, and their covariance. The filter is Kalman's (1960), the process
noise that of white acceleration (Bar-Shalom, Li, Kirubarajan, 'Estimation with Applications to Tracking and
Navigation', 2001, section 6.2).
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from lpnet_rt.tracking.camera_motion import CameraMotion
from lpnet_rt.tracking.table import TrackTable

__all__ = ["MotionModel", "correct", "measurement_variance", "predict"]


class MotionModel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How targets move and how exactly they are measured.

    Attributes:
        acceleration: Spectral density of the white acceleration, px^2/s^3.
        start_speed_px_s: Standard deviation of a new track's velocity on either axis.
        centroid_px: Standard deviation of a point target's centroid.
        centroid_per_size: What that grows by with each pixel of the target's size (root of its box's area).
        camera_px: Standard deviation of a step of the camera motion that is fully trusted.
        unknown_camera_px: And of one that is not known.
    """

    acceleration: float = 400.0
    start_speed_px_s: float = 75.0
    centroid_px: float = 0.6
    centroid_per_size: float = 0.08
    camera_px: float = 0.05
    unknown_camera_px: float = 1.0


def predict(tracks: TrackTable, dt_s: float, camera: CameraMotion, model: MotionModel) -> None:
    """Move every track on by a time step and by the motion of the background.

    Args:
        tracks: Changed in place.
        dt_s: Seconds since the last frame, over 0.
        camera: Motion of the background in that time.
        model: Process noise.
    """
    tracks["xy"] += tracks["velocity_xy"] * dt_s + (camera.dx, camera.dy)
    var_v, cov_pv = tracks["var_v"], tracks["cov_pv"]
    camera_px = model.camera_px * camera.confidence + model.unknown_camera_px * (1.0 - camera.confidence)
    noise = model.acceleration * dt_s
    tracks["var_p"] += (2.0 * cov_pv + var_v * dt_s) * dt_s + noise * dt_s**2 / 3.0 + camera_px**2
    tracks["cov_pv"] = cov_pv + var_v * dt_s + noise * dt_s / 2.0
    tracks["var_v"] = var_v + noise


def measurement_variance(box_xyxy: NDArray[np.int32], model: MotionModel) -> NDArray[np.float64]:
    """(D,) variance of each detection's centroid on either axis, px^2."""
    sides = (box_xyxy[:, 2:] - box_xyxy[:, :2]).astype(np.float64)
    size_px = np.sqrt(sides[:, 0] * sides[:, 1])
    variance: NDArray[np.float64] = (model.centroid_px + model.centroid_per_size * size_px) ** 2
    return variance


def correct(
    tracks: TrackTable, rows: NDArray[np.intp], xy: NDArray[np.float64], variance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Take in one measurement for each of some tracks.

    Args:
        tracks: Changed in place.
        rows: (M,) which tracks.
        xy: (M, 2) measured positions, px.
        variance: (M,) their variance on either axis.

    Returns:
        (M,) normalised innovation squared (two degrees of freedom), before the correction.
    """
    var_p, cov_pv = tracks["var_p"][rows], tracks["cov_pv"][rows]
    total = var_p + variance
    off_xy = xy - tracks["xy"][rows]
    gain_p, gain_v = var_p / total, cov_pv / total
    tracks["xy"][rows] += gain_p[:, None] * off_xy
    tracks["velocity_xy"][rows] += gain_v[:, None] * off_xy
    tracks["var_p"][rows] = var_p * (1.0 - gain_p)
    tracks["cov_pv"][rows] = cov_pv * (1.0 - gain_p)
    tracks["var_v"][rows] -= gain_v * cov_pv
    surprise: NDArray[np.float64] = (off_xy[:, 0] ** 2 + off_xy[:, 1] ** 2) / total
    return surprise
