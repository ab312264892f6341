"""Where a camera looks: azimuth, elevation and roll as a rotation, and directions as angles."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Orientation", "azimuth_elevation", "unit_vectors", "wrapped"]

_Vectors = NDArray[np.float64]
_ZENITH = 1e-9  # length of the horizontal part of a boresight that points up or down


@dataclass(frozen=True, slots=True)
class Orientation:
    """Azimuth, elevation and roll of a boresight, degrees.

    Attributes:
        azimuth_deg: Clockwise from true north.
        elevation_deg: Over the horizon, -90 to 90.
        roll_deg: Positive: the camera is turned clockwise, seen from behind it. 0: its x axis is level.
    """

    azimuth_deg: float
    elevation_deg: float
    roll_deg: float = 0.0

    def matrix(self) -> _Vectors:
        """(3, 3) rotation from camera to local coordinates; its columns are right, down and the boresight."""
        azimuth, elevation, roll = map(math.radians, (self.azimuth_deg, self.elevation_deg, self.roll_deg))
        sin_a, cos_a, sin_e, cos_e = math.sin(azimuth), math.cos(azimuth), math.sin(elevation), math.cos(elevation)
        level = np.array((cos_a, -sin_a, 0.0))
        below = np.array((sin_e * sin_a, sin_e * cos_a, -cos_e))
        boresight = (cos_e * sin_a, cos_e * cos_a, sin_e)
        right = math.cos(roll) * level + math.sin(roll) * below
        down = math.cos(roll) * below - math.sin(roll) * level
        return np.column_stack((right, down, boresight))

    @classmethod
    def of_matrix(cls, matrix: _Vectors) -> Orientation:
        """The orientation of a rotation; at the zenith and the nadir, where only a sum is defined, roll is 0."""
        right, down, boresight = matrix.T
        elevation = math.atan2(boresight[2], math.hypot(boresight[0], boresight[1]))
        if math.hypot(boresight[0], boresight[1]) < _ZENITH:
            azimuth, roll = math.atan2(-right[1], right[0]), 0.0
        else:
            azimuth, roll = math.atan2(boresight[0], boresight[1]), math.atan2(-right[2], -down[2])
        return cls(float(wrapped(math.degrees(azimuth))), math.degrees(elevation), math.degrees(roll))


def wrapped(azimuth_deg: float) -> float:
    """An azimuth in 0 (inclusive) to 360 (exclusive), degrees."""
    azimuth = azimuth_deg % 360.0
    return 0.0 if azimuth == 360.0 else azimuth  # -1e-20 % 360 is 360


def unit_vectors(azimuth_deg: NDArray[np.float64], elevation_deg: NDArray[np.float64]) -> _Vectors:
    """(N, 3) unit vectors in local coordinates of N azimuths and elevations, degrees."""
    azimuth, elevation = np.radians(azimuth_deg), np.radians(elevation_deg)
    level = np.cos(elevation)
    return np.column_stack((level * np.sin(azimuth), level * np.cos(azimuth), np.sin(elevation)))


def azimuth_elevation(vectors: _Vectors) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(N,) azimuths, 0 to 360, and (N,) elevations, degrees, of (N, 3) vectors in local coordinates."""
    east, north, up = vectors.T
    azimuth = np.degrees(np.arctan2(east, north)) % 360.0
    azimuth[azimuth == 360.0] = 0.0
    return azimuth, np.degrees(np.arctan2(up, np.hypot(east, north)))
