"""Settings of a source's camera: how it sees and where it looks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Struct

from lpnet_rt.errors import SettingsError
from lpnet_rt.settings.merging import merge, shown
from lpnet_rt.settings.zones import SourceName

__all__ = ["CALIBRATED", "CameraSettings", "camera_of", "camera_table", "cameras"]

CALIBRATED = ("azimuth", "elevation", "roll", "field of view", "k1")
"""Rows and columns of ``calibration_covariance``; the first four in degrees, k1 without a unit."""

_FieldOfView = Annotated[float, msgspec.Meta(ge=0.05, le=170)]
_Positive = Annotated[float, msgspec.Meta(gt=0, le=1e6)]
_Error = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
_Side = Annotated[int, msgspec.Meta(ge=16, le=65_536)]
_Distortion = Annotated[float, msgspec.Meta(ge=-1e12, le=1e12)]  # of a narrow field of view, k1 alone is hundreds
_Covariance = Annotated[
    tuple[tuple[float, float, float, float, float], ...],
    msgspec.Meta(min_length=5, max_length=5, description="a list of 5 lists of 5 numbers"),
]


class CameraSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a source's camera sees and where it looks, for angles; ``[[camera]]`` each, docs/angles.md explains them.

    Exactly one of ``field_of_view_deg``, ``focal_length_mm`` with ``pixel_pitch_um``, and ``fx`` to ``cy`` with
    ``width`` and ``height`` is required. Errors are standard errors, one sigma.

    Attributes:
        source: Name of the source that it belongs to; None: every source without a table of its own.
        azimuth_deg: Azimuth of the boresight, degrees clockwise from true north.
        elevation_deg: Elevation of the boresight over the horizon, degrees.
        roll_deg: Roll about the boresight, degrees; positive: the camera is turned clockwise, seen from behind it.
        azimuth_error_deg: Error of the azimuth, degrees.
        elevation_error_deg: Error of the elevation, degrees.
        roll_error_deg: Error of the roll, degrees.
        field_of_view_deg: Horizontal field of view of the whole picture, degrees, lens distortion left out.
        vertical_field_of_view_deg: Likewise vertical; None: pixels are square.
        field_of_view_error_deg: Error of the horizontal field of view, degrees, however that is stated; None: 1 % of
            it.
        focal_length_mm: Focal length of the lens, millimetres.
        pixel_pitch_um: Distance between pixels of the detector, micrometres.
        binning: Pixels of the detector, per side, for one of the picture.
        fx: OpenCV's horizontal focal length, pixels.
        fy: Likewise vertical.
        cx: OpenCV's principal point, pixels to the right from the centre of the first pixel.
        cy: Likewise down.
        width: Width of the picture for which ``fx`` to ``cy`` hold, pixels; they are scaled to the size of the frames.
        height: Likewise the height.
        principal_point_error_px: Error of the principal point on either axis, pixels of the frame.
        k1: OpenCV's radial distortion, second order.
        k2: OpenCV's radial distortion, fourth order.
        p1: OpenCV's tangential distortion.
        p2: OpenCV's tangential distortion.
        k3: OpenCV's radial distortion, sixth order.
        k1_error: Error of ``k1``.
        calibration_covariance: Covariance of azimuth, elevation, roll, field of view (degrees) and k1, as
            ``calibrate-camera`` writes it; it replaces their five errors.
        latitude_deg: Latitude of the camera, degrees, WGS84.
        longitude_deg: Longitude of the camera, degrees, WGS84.
        height_m: Height of the camera over the WGS84 ellipsoid, metres (not over mean sea level).
        position_error_m: Error of the position on either horizontal axis, metres.
        height_error_m: Error of the height, metres.
    """

    source: SourceName | None = None
    azimuth_deg: Annotated[float, msgspec.Meta(ge=-360, le=360)]
    elevation_deg: Annotated[float, msgspec.Meta(ge=-90, le=90)]
    roll_deg: Annotated[float, msgspec.Meta(ge=-180, le=180)] = 0.0
    azimuth_error_deg: _Error = 1.0
    elevation_error_deg: _Error = 1.0
    roll_error_deg: _Error = 1.0
    field_of_view_deg: _FieldOfView | None = None
    vertical_field_of_view_deg: _FieldOfView | None = None
    field_of_view_error_deg: _Error | None = None
    focal_length_mm: _Positive | None = None
    pixel_pitch_um: _Positive | None = None
    binning: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    fx: _Positive | None = None
    fy: _Positive | None = None
    cx: float | None = None
    cy: float | None = None
    width: _Side | None = None
    height: _Side | None = None
    principal_point_error_px: _Error = 0.5
    k1: _Distortion = 0.0
    k2: _Distortion = 0.0
    p1: _Distortion = 0.0
    p2: _Distortion = 0.0
    k3: _Distortion = 0.0
    k1_error: _Error = 0.0
    calibration_covariance: _Covariance | None = None
    latitude_deg: Annotated[float, msgspec.Meta(ge=-90, le=90)] | None = None
    longitude_deg: Annotated[float, msgspec.Meta(ge=-180, le=360)] | None = None
    height_m: Annotated[float, msgspec.Meta(ge=-1000, le=100_000)] | None = None
    position_error_m: _Error | None = None
    height_error_m: _Error | None = None


class _OneCamera(Struct, frozen=True, forbid_unknown_fields=True):
    camera: CameraSettings


def cameras(tables: object, origin: str) -> tuple[CameraSettings, ...]:
    """Validate the ``[[camera]]`` tables of a configuration file.

    Args:
        tables: What the file has under ``camera``.
        origin: The file, for messages.

    Raises:
        SettingsError: A key or a value is wrong, or a source has two tables; the line names the camera.
    """
    if not isinstance(tables, list):
        raise SettingsError(f"{origin}: camera: expected [[camera]] tables, found {shown(tables)}; double the brackets")
    found: dict[str | None, CameraSettings] = {}
    for number, table in enumerate(tables, start=1):
        source = table.get("source") if isinstance(table, Mapping) else None
        where = f"{origin}: camera {number}" + (f" ({source[:64]})" if isinstance(source, str) else "")
        camera = merge(_OneCamera, {"camera": table}, {}, where).camera
        _refuse_values(camera, where)
        if camera.source in found:
            whose = "for every source" if camera.source is None else f"of {camera.source}"
            raise SettingsError(f"{where}: expected one camera {whose}, found two; leave one out or name its source")
        found[camera.source] = camera
    return tuple(found.values())


def camera_of(cameras: tuple[CameraSettings, ...], source: str) -> CameraSettings | None:
    """The camera of a source: its own table, else the one without a source, else None."""
    by_source = {camera.source: camera for camera in cameras}
    return by_source.get(source, by_source.get(None))


def camera_table(camera: CameraSettings) -> str:
    """Write a camera as a ``[[camera]]`` table of a configuration file, TOML; what has its default is left out."""
    lines = ["[[camera]]"]
    for field in msgspec.structs.fields(camera):
        value = getattr(camera, field.name)
        if value is None or (value == field.default and field.default is not msgspec.NODEFAULT):
            continue
        if isinstance(value, tuple):
            rows = ",\n".join("    [" + ", ".join(f"{number:.9e}" for number in row) + "]" for row in value)
            lines.append(f"{field.name} = [\n{rows},\n]")
        elif isinstance(value, str):
            lines.append(f'{field.name} = "{value}"')  # a source's name: nothing in it needs an escape
        else:
            lines.append(f"{field.name} = {value!r}")
    return "\n".join([*lines, ""])


def _refuse_values(camera: CameraSettings, where: str) -> None:
    """Refuse what no type says: numbers that are none, and intrinsics that are missing or given twice."""
    numbers = msgspec.structs.asdict(camera)
    for key, value in numbers.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise SettingsError(f"{where}: camera.{key}: expected a finite number, found {value}")
    groups = (
        (("field_of_view_deg",), ("vertical_field_of_view_deg",)),
        (("focal_length_mm", "pixel_pitch_um"), ()),
        (("fx", "fy", "cx", "cy", "width", "height"), ()),
    )
    given = [group for group in groups if any(numbers[key] is not None for key in (*group[0], *group[1]))]
    if len(given) != 1:
        found = " and ".join(next(key for key in (*g[0], *g[1]) if numbers[key] is not None) for g in given) or "none"
        raise SettingsError(
            f"{where}: expected one of field_of_view_deg, focal_length_mm with pixel_pitch_um, and fx, fy, cx, cy with "
            f"width, height; found {found}"
        )
    missing = [key for key in given[0][0] if numbers[key] is None]
    if missing:
        raise SettingsError(f"{where}: camera.{missing[0]}: expected it beside {_given(given[0], numbers)}, found none")
    if camera.binning != 1 and camera.focal_length_mm is None:
        raise SettingsError(f"{where}: camera.binning: expected it with pixel_pitch_um only; leave it out")
    place = ("latitude_deg", "longitude_deg", "height_m")
    absent = [key for key in place if numbers[key] is None]
    if 0 < len(absent) < len(place):
        raise SettingsError(f"{where}: camera.{absent[0]}: expected {', '.join(place)} together, found it missing")
    if camera.calibration_covariance is not None:
        _refuse_covariance(camera.calibration_covariance, where)


def _given(group: tuple[tuple[str, ...], tuple[str, ...]], numbers: Mapping[str, object]) -> str:
    return ", ".join(key for key in (*group[0], *group[1]) if numbers[key] is not None)


def _refuse_covariance(rows: _Covariance, where: str) -> None:
    """Refuse what is no covariance, without a library for matrices: the Cauchy-Schwarz inequality must hold."""
    size = range(len(rows))
    if not all(
        math.isfinite(rows[i][j])
        and math.isclose(rows[i][j], rows[j][i], rel_tol=1e-6, abs_tol=1e-12)
        and rows[i][i] >= 0
        and rows[i][j] ** 2 <= rows[i][i] * rows[j][j] * (1 + 1e-4) + 1e-30
        for i in size
        for j in size
    ):
        names = ", ".join(CALIBRATED)
        raise SettingsError(
            f"{where}: camera.calibration_covariance: expected a symmetric covariance of {names}; found another matrix"
        )
