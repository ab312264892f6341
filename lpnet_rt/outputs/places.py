"""Where a target is, only where that can be known: at a given range, or on given ground below the horizon."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

from lpnet_rt.errors import DependencyError
from lpnet_rt.settings import CameraSettings
from lpnet_rt.settings.outputs import PlaceSettings

__all__ = ["Direction", "Place", "camera_place", "place_at", "require_places"]

_EARTH_M = 6_371_009.0
_MAX_RANGE_ERROR = 0.3
_UNKNOWN_M = 9_999_999.0


@dataclass(frozen=True, slots=True)
class Direction:
    """A direction with its standard errors, degrees; azimuth clockwise from true north, elevation over the horizon."""

    azimuth_deg: float
    elevation_deg: float
    azimuth_error_deg: float
    elevation_error_deg: float


@dataclass(frozen=True, slots=True)
class Place:
    """A place on WGS84.

    Attributes:
        latitude_deg: Degrees.
        longitude_deg: Degrees.
        height_m: Metres over the ellipsoid.
        circular_error_m: Standard error in the plane, the larger of along and across the line of sight; 9999999 if
            unknown.
        height_error_m: Standard error of the height; 9999999 if unknown.
        range_m: Range from the camera, metres.
    """

    latitude_deg: float
    longitude_deg: float
    height_m: float
    circular_error_m: float
    height_error_m: float
    range_m: float = 0.0


def require_places() -> None:
    """Check for the library that computes places.

    Raises:
        DependencyError: It is missing.
    """
    try:
        import pymap3d  # noqa: F401
    except ImportError as error:
        raise DependencyError(
            "cot.place: pymap3d is not installed; pip install '.[cot]' in a checkout of lpnet-rt"
        ) from error


def camera_place(camera: CameraSettings) -> Place:
    """Where the camera stands; its place must be known."""
    assert camera.latitude_deg is not None
    assert camera.longitude_deg is not None
    assert camera.height_m is not None
    longitude = (camera.longitude_deg + 180.0) % 360.0 - 180.0
    ce, le = camera.position_error_m, camera.height_error_m
    return Place(
        camera.latitude_deg,
        longitude,
        camera.height_m,
        _UNKNOWN_M if ce is None else ce,
        _UNKNOWN_M if le is None else le,
    )


def place_at(camera: CameraSettings, direction: Direction, settings: PlaceSettings) -> Place | None:
    """The place of a target, or None if there is none to be known.

    Errors are propagated to first order, those of camera, direction and range taken as independent.

    Args:
        camera: With its place.
        direction: To the target.
        settings: Its range, or the height of the ground it stands on.
    """
    here = camera_place(camera)
    elevation, elevation_error = math.radians(direction.elevation_deg), math.radians(direction.elevation_error_deg)
    height_error = camera.height_error_m or 0.0
    if settings.range_m is not None:
        range_m, range_error = settings.range_m, settings.range_error_m or 0.0
        vertical = math.hypot(range_error * math.sin(elevation), range_m * math.cos(elevation) * elevation_error)
        vertical = math.hypot(vertical, height_error)
    else:
        assert settings.ground_height_m is not None
        drop_m, drop_error = here.height_m - settings.ground_height_m, math.hypot(height_error, settings.ground_error_m)
        found = _range_to_ground(elevation, drop_m, elevation_error, drop_error)
        if found is None:
            return None
        (range_m, range_error), vertical = found, settings.ground_error_m
    level_m = range_m * math.cos(elevation)
    across = level_m * math.radians(direction.azimuth_error_deg)
    in_plane = max(range_error * math.cos(elevation), across)
    latitude, longitude, height = (
        float(value)
        for value in _pymap3d().aer2geodetic(
            direction.azimuth_deg,
            direction.elevation_deg,
            range_m,
            here.latitude_deg,
            here.longitude_deg,
            here.height_m,
        )
    )
    return Place(
        latitude,
        longitude,
        height,
        _UNKNOWN_M if camera.position_error_m is None else math.hypot(in_plane, camera.position_error_m),
        _UNKNOWN_M if camera.height_error_m is None else vertical,
        range_m,
    )


def _range_to_ground(
    elevation: float, drop_m: float, elevation_error: float, drop_error_m: float
) -> tuple[float, float] | None:
    """Range to ground that follows the earth's curve, and its error, metres; None at or over the horizon.

    At range s the line of sight is at h + s sin(e) + (s cos(e))^2 / 2R; the ground is where that is the ground's
    height. Its error is the larger of the changes for one standard error up, where the range grows faster than
    linearly, and down.
    """

    def at(elevation: float, drop_m: float) -> float | None:
        slope, bend = math.sin(elevation), math.cos(elevation) ** 2 / (2.0 * _EARTH_M)
        root = slope**2 - 4.0 * bend * drop_m
        if drop_m <= 0.0 or slope >= 0.0 or root < 0.0:
            return None
        return 2.0 * drop_m / (math.sqrt(root) - slope)

    range_m = at(elevation, drop_m)
    by_elevation = at(elevation + elevation_error, drop_m)
    by_drop = at(elevation, drop_m + drop_error_m)
    if range_m is None or by_elevation is None or by_drop is None:
        return None
    error_m = math.hypot(by_elevation - range_m, by_drop - range_m)
    return (range_m, error_m) if error_m <= _MAX_RANGE_ERROR * range_m else None


@cache
def _pymap3d() -> Any:
    import pymap3d

    return pymap3d
