"""Random cameras and targets with known directions, projected without the code that is judged.

The projection here is written from the definitions: rotations by SciPy's Euler angles, lenses by the polynomial of
Brown and Conrady (Brown, 'Close-Range Camera Calibration', 1971), with no call of OpenCV.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from lpnet_rt.settings.camera import CameraSettings

__all__ = ["Errors", "angle_deg", "perturbed", "random_camera", "seen_at", "to_vectors"]

_Array = NDArray[np.float64]
_MAX_BEND = 0.15  # displacement by distortion at the corner, as a share of its distance from the centre


@dataclass(frozen=True, slots=True)
class Errors:
    """Standard errors of a camera that is known about as well as by compass and level."""

    azimuth_deg: float = 0.5
    elevation_deg: float = 0.3
    roll_deg: float = 0.5
    field_share: float = 0.01
    centre_px: float = 1.0


def random_camera(rng: Generator, size_hw: tuple[int, int], *, distorted: bool) -> CameraSettings:
    """A camera with 2 to 100 degrees of field of view that looks anywhere from -30 to 90 degrees.

    Args:
        rng: Where chance comes from.
        size_hw: Height and width of the picture, pixels.
        distorted: Whether its corners are displaced by up to 15 %.
    """
    field = math.exp(rng.uniform(math.log(2.0), math.log(100.0)))
    corner = math.hypot(*size_hw) / size_hw[1] * math.tan(math.radians(field) / 2)
    k1 = rng.uniform(-_MAX_BEND, _MAX_BEND) / corner**2 if distorted else 0.0
    tangential = 0.002 / corner if distorted else 0.0
    return CameraSettings(
        azimuth_deg=rng.uniform(0, 360),
        elevation_deg=rng.uniform(-30, 90),
        roll_deg=rng.uniform(-180, 180),
        field_of_view_deg=field,
        k1=k1,
        k2=rng.uniform(-0.02, 0.02) / corner**4 if distorted else 0.0,
        p1=rng.uniform(-tangential, tangential),
        p2=rng.uniform(-tangential, tangential),
    )


def perturbed(camera: CameraSettings, errors: Errors, rng: Generator) -> tuple[CameraSettings, tuple[float, float]]:
    """A camera as it may really be where another was stated, and the offset of its principal point, pixels."""
    field = camera.field_of_view_deg or 0.0
    real = msgspec.structs.replace(
        camera,
        azimuth_deg=camera.azimuth_deg + rng.normal(0, errors.azimuth_deg),
        elevation_deg=camera.elevation_deg + rng.normal(0, errors.elevation_deg),
        roll_deg=camera.roll_deg + rng.normal(0, errors.roll_deg),
        field_of_view_deg=field + rng.normal(0, errors.field_share * field),
    )
    return real, (rng.normal(0, errors.centre_px), rng.normal(0, errors.centre_px))


def to_vectors(camera: CameraSettings, rays: _Array) -> _Array:
    """(N, 3) unit vectors, east, north, up, of (N, 2) x and y at z = 1 in camera coordinates."""
    unit = np.column_stack((rays, np.ones(len(rays))))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    level = unit[:, [0, 2, 1]] * (1, 1, -1)  # x east, z north, y down: a camera that looks north
    angles = (camera.roll_deg, camera.elevation_deg, -camera.azimuth_deg)
    turned: _Array = Rotation.from_euler("yxz", angles, degrees=True).apply(level)
    return turned


def seen_at(camera: CameraSettings, rays: _Array, size_hw: tuple[int, int], off_xy: tuple[float, float]) -> _Array:
    """(N, 2) pixels at which a camera sees (N, 2) x and y at z = 1.

    Args:
        camera: With ``field_of_view_deg``.
        rays: In camera coordinates.
        size_hw: Height and width of the picture, pixels.
        off_xy: Offset of the principal point from the picture's centre, pixels.
    """
    height, width = size_hw
    focal = width / 2 / math.tan(math.radians(camera.field_of_view_deg or 0.0) / 2)
    x, y = rays.T
    squared = x**2 + y**2
    radial = 1 + camera.k1 * squared + camera.k2 * squared**2 + camera.k3 * squared**3
    bent_x = x * radial + 2 * camera.p1 * x * y + camera.p2 * (squared + 2 * x**2)
    bent_y = y * radial + camera.p1 * (squared + 2 * y**2) + 2 * camera.p2 * x * y
    centre = np.array(((width - 1) / 2, (height - 1) / 2)) + off_xy
    pixels: _Array = np.column_stack((bent_x, bent_y)) * focal + centre
    return pixels


def angle_deg(first: _Array, second: _Array) -> _Array:
    """(N,) angles between (N, 3) unit vectors, degrees; exact for small ones, too."""
    chord = np.linalg.norm(first - second, axis=1)
    angles: _Array = 2 * np.degrees(np.arcsin(np.clip(chord / 2, 0, 1)))
    return angles
