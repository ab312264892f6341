"""Directions of places on the ground, of stars, planets and the sun, as a camera sees them."""

from __future__ import annotations

import datetime
import difflib
import math

from lpnet_rt.errors import DependencyError, SettingsError
from lpnet_rt.text import printable

__all__ = ["body_direction", "place_direction"]

_BODIES = ("Sun", "Moon", "Mercury", "Venus", "Mars", "Jupiter", "Saturn")
_MIN_DISTANCE_M = 1.0
_STANDARD_HPA, _STANDARD_C = 1013.25, 15.0
_YEARS = (1900, 2100)
_Position = tuple[float, float, float]


def place_direction(there: _Position, camera: _Position, where: str) -> tuple[float, float]:
    """Azimuth and elevation of a place, degrees, geometric: refraction near the ground is not known.

    Args:
        there: Latitude and longitude, degrees, and height over the ellipsoid, metres: WGS84.
        camera: Likewise.
        where: For messages.

    Raises:
        SettingsError: Both are the same place.
        DependencyError: pymap3d is not installed.
    """
    try:
        import pymap3d
    except ImportError as error:
        raise _missing("pymap3d", where) from error
    azimuth, elevation, distance_m = (float(value) for value in pymap3d.geodetic2aer(*there, *camera))
    if not distance_m >= _MIN_DISTANCE_M:
        raise SettingsError(f"{where}: expected a place of at least 1 m from the camera, found {distance_m:.1f} m")
    return azimuth, elevation


def body_direction(body: str, time: datetime.datetime, camera: _Position, where: str) -> tuple[float, float]:
    """Apparent azimuth and elevation of a body, degrees, with refraction by a standard atmosphere.

    Args:
        body: ``Sun``, ``Moon``, a planet that the eye sees, or a bright star; in any case of letters.
        time: With its offset from UTC.
        camera: Latitude and longitude, degrees, and height, metres.
        where: For messages.

    Raises:
        SettingsError: The body is not known, it is under the horizon, or the year is not 1900 to 2100.
        DependencyError: ephem is not installed.
    """
    try:
        import ephem
        import ephem.stars
    except ImportError as error:
        raise _missing("ephem", where) from error
    names = {name.casefold(): name for name in (*_BODIES, *ephem.stars.stars)}
    name = names.get(body.strip().casefold())
    if name is None:
        near = difflib.get_close_matches(body.casefold(), names, n=1)
        hint = f"did you mean {names[near[0]]}?" if near else "expected Sun, Moon, a planet or a bright star's name"
        raise SettingsError(f"{where}: body: {hint}; found {printable(body)!r}")
    utc = time.astimezone(datetime.UTC)
    if not _YEARS[0] <= utc.year <= _YEARS[1]:
        raise SettingsError(f"{where}: time: expected a year from {_YEARS[0]} to {_YEARS[1]}, found {utc.year}")
    observer = ephem.Observer()
    observer.lat, observer.lon = math.radians(camera[0]), math.radians(camera[1])
    observer.elevation, observer.temp = camera[2], _STANDARD_C
    # The pressure of the standard atmosphere at this height (ICAO, 1993), which bends light.
    observer.pressure = _STANDARD_HPA * max(1 - 2.25577e-5 * camera[2], 0.0) ** 5.25588
    observer.date = utc.replace(tzinfo=None)
    seen = getattr(ephem, name)() if name in _BODIES else ephem.star(name)
    seen.compute(observer)
    elevation = math.degrees(seen.alt)
    if elevation < 0:
        raise SettingsError(
            f"{where}: expected {name} over the horizon, found it at {elevation:.1f} degrees; check time"
        )
    return math.degrees(seen.az), elevation


def _missing(package: str, where: str) -> DependencyError:
    return DependencyError(f"{where}: needs {package}; pip install '.[angles]' in a checkout of lpnet-rt brings it")
