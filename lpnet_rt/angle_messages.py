"""The parts of messages that say where a target is as seen from the camera; left out without a ``[[camera]]``.

Directions are geometric, without refraction, in the local frame of the camera: the horizon is perpendicular to the
normal of the WGS84 ellipsoid. Errors are standard errors, one sigma.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

__all__ = ["CameraMessage", "DirectionMessage", "RateMessage"]

_Azimuth = Annotated[float, Meta(ge=0, lt=360, description="degrees clockwise from true north")]
_Elevation = Annotated[float, Meta(ge=-90, le=90, description="degrees over the horizon, without refraction")]
_Roll = Annotated[float, Meta(description="degrees about the boresight, clockwise as seen from behind the camera")]
_Error = Annotated[float, Meta(ge=0, description="standard error, degrees")]
_Rate = Annotated[float, Meta(description="degrees per second, the camera's motion taken out")]
_Speed = Annotated[float, Meta(ge=0, description="degrees per second along the great circle")]
_RateError = Annotated[float, Meta(ge=0, description="standard error, degrees per second")]
_Latitude = Annotated[float, Meta(ge=-90, le=90, description="degrees, WGS84")]
_Longitude = Annotated[float, Meta(ge=-180, le=360, description="degrees, WGS84")]
_Height = Annotated[float, Meta(description="metres over the WGS84 ellipsoid, not over mean sea level")]
_Metres = Annotated[float, Meta(ge=0, description="standard error, metres")]


class DirectionMessage(Struct, frozen=True, kw_only=True):
    """The direction of a place in the picture.

    Attributes:
        azimuth_deg: Degrees clockwise from true north, 0 to 360 (exclusive).
        elevation_deg: Degrees over the horizon.
        azimuth_error_deg: Standard error, degrees; 103.9 (any azimuth) at the zenith.
        elevation_error_deg: Standard error, degrees.
    """

    azimuth_deg: _Azimuth | UnsetType = UNSET
    elevation_deg: _Elevation | UnsetType = UNSET
    azimuth_error_deg: _Error | UnsetType = UNSET
    elevation_error_deg: _Error | UnsetType = UNSET


class RateMessage(DirectionMessage, frozen=True, kw_only=True):
    """A direction and how it changes, the camera's motion taken out.

    Attributes:
        azimuth_rate_deg_s: Change of azimuth, degrees per second.
        elevation_rate_deg_s: Change of elevation, degrees per second.
        azimuth_rate_error_deg_s: Standard error, degrees per second.
        elevation_rate_error_deg_s: Standard error, degrees per second.
        angular_speed_deg_s: Speed along the great circle, degrees per second.
    """

    azimuth_rate_deg_s: _Rate | UnsetType = UNSET
    elevation_rate_deg_s: _Rate | UnsetType = UNSET
    azimuth_rate_error_deg_s: _RateError | UnsetType = UNSET
    elevation_rate_error_deg_s: _RateError | UnsetType = UNSET
    angular_speed_deg_s: _Speed | UnsetType = UNSET


class CameraMessage(Struct, frozen=True, kw_only=True):
    """Where the camera stands and looks, from the ``[[camera]]`` of the settings.

    Attributes:
        azimuth_deg: Azimuth of the boresight, degrees clockwise from true north.
        elevation_deg: Its elevation over the horizon, degrees.
        roll_deg: Roll about the boresight, degrees clockwise, seen from behind the camera.
        azimuth_error_deg: Standard error, degrees.
        elevation_error_deg: Standard error, degrees.
        roll_error_deg: Standard error, degrees.
        latitude_deg: WGS84, degrees, or null if the place is not known.
        longitude_deg: WGS84, degrees, or null.
        height_m: Metres over the WGS84 ellipsoid (not over mean sea level), or null.
        position_error_m: On either horizontal axis, metres, or null.
        height_error_m: Metres, or null.
    """

    azimuth_deg: _Azimuth
    elevation_deg: _Elevation
    roll_deg: _Roll
    azimuth_error_deg: _Error
    elevation_error_deg: _Error
    roll_error_deg: _Error
    latitude_deg: _Latitude | None
    longitude_deg: _Longitude | None
    height_m: _Height | None
    position_error_m: _Metres | None
    height_error_m: _Metres | None
