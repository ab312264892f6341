"""Landmarks: places in a picture whose direction is known, from a TOML or a CSV file."""

from __future__ import annotations

import csv
import datetime
import io
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Struct

from lpnet_rt.camera_geometry.sky import body_direction, place_direction
from lpnet_rt.errors import SettingsError
from lpnet_rt.files import read_limited
from lpnet_rt.settings.merging import merge

__all__ = ["Landmark", "Place", "read_landmarks"]

_LIMIT_BYTES = 1_000_000
_MAX_LANDMARKS = 500
_Finite = Annotated[float, msgspec.Meta(ge=-1e7, le=1e7)]
_Time = Annotated[
    datetime.datetime, msgspec.Meta(description="a date and time with its offset, such as 2026-06-01T21:00:00Z")
]
_KINDS = (("azimuth_deg", "elevation_deg"), ("latitude_deg", "longitude_deg", "height_m"), ("body", "time"))


@dataclass(frozen=True, slots=True)
class Place:
    """Where the camera stands: WGS84, degrees; metres over the ellipsoid."""

    latitude_deg: float
    longitude_deg: float
    height_m: float


@dataclass(frozen=True, slots=True)
class Landmark:
    """A place in the picture and its direction.

    Attributes:
        name: For messages.
        xy: Pixel; the centre of the first one is (0, 0).
        azimuth_deg: Clockwise from true north.
        elevation_deg: Over the horizon, as the camera sees it: with refraction for a star or the sun.
        error_deg: Standard error of the direction on either axis.
    """

    name: str
    xy: tuple[float, float]
    azimuth_deg: float
    elevation_deg: float
    error_deg: float = 0.0


class _Row(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    x: _Finite
    y: _Finite
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None
    azimuth_deg: Annotated[float, msgspec.Meta(ge=-360, le=360)] | None = None
    elevation_deg: Annotated[float, msgspec.Meta(ge=-90, le=90)] | None = None
    latitude_deg: Annotated[float, msgspec.Meta(ge=-90, le=90)] | None = None
    longitude_deg: Annotated[float, msgspec.Meta(ge=-180, le=360)] | None = None
    height_m: Annotated[float, msgspec.Meta(ge=-1000, le=100_000)] | None = None
    body: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None
    time: _Time | None = None
    error_deg: Annotated[float, msgspec.Meta(ge=0, le=10)] = 0.0


class _Rows(Struct, frozen=True):
    landmark: _Row


def read_landmarks(path: Path, place: Place | None) -> list[Landmark]:
    """Read ``[[landmark]]`` tables, or a CSV file with the same names in its first line.

    Each has ``x`` and ``y`` (pixels), and one of ``azimuth_deg`` with ``elevation_deg``; ``latitude_deg``,
    ``longitude_deg`` and ``height_m`` (WGS84, over the ellipsoid); ``body`` with ``time`` (a star, a planet or the sun,
    and an ISO time with its offset). ``name`` and ``error_deg`` may be added.

    Args:
        path: A file that ends in .toml or .csv.
        place: Of the camera; needed for all but the first kind.

    Raises:
        SettingsError: The file cannot be read, or a landmark is wrong; the line names it.
        DependencyError: A library for places or for the sky is missing.
    """
    text = read_limited(path, _LIMIT_BYTES, "file of landmarks", SettingsError)
    rows = _csv_rows(path, text) if path.suffix.lower() == ".csv" else _toml_rows(path, text)
    if not 0 < len(rows) <= _MAX_LANDMARKS:
        raise SettingsError(f"{path}: expected 1 to {_MAX_LANDMARKS} landmarks, found {len(rows)}")
    landmarks: list[Landmark] = []
    for number, row in enumerate(rows, start=1):
        name = row.get("name") if isinstance(row, Mapping) else None
        where = f"{path}: landmark {number}" + (f" ({name[:64]})" if isinstance(name, str) and name else "")
        landmarks.append(_landmark(merge(_Rows, {"landmark": row}, {}, where).landmark, number, place, where))
    names = [landmark.name for landmark in landmarks]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SettingsError(f"{path}: expected a name of its own for each landmark, found {twice} twice; rename one")
    return landmarks


def _toml_rows(path: Path, text: bytes) -> list[object]:
    try:
        tables = tomllib.loads(text.decode("utf-8")).get("landmark", [])
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not a TOML file: {error}") from error
    if not isinstance(tables, list):
        raise SettingsError(f"{path}: expected [[landmark]] tables, found another value; double the brackets")
    return tables


def _csv_rows(path: Path, text: bytes) -> list[object]:
    """Rows of a CSV file; empty cells are left out, and what looks like a number is one."""
    try:
        lines = list(csv.reader(io.StringIO(text.decode("utf-8-sig")), strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not a CSV file: {error}") from error
    head, *rest = [line for line in lines if any(cell.strip() for cell in line)] or [[]]
    rows: list[object] = []
    for line in rest:
        if len(line) != len(head):
            raise SettingsError(f"{path}: landmark {len(rows) + 1}: expected {len(head)} columns, found {len(line)}")
        cells = {key.strip(): cell.strip() for key, cell in zip(head, line, strict=True)}
        rows.append({key: _value(key, cell) for key, cell in cells.items() if cell})
    return rows


def _value(key: str, cell: str) -> object:
    if key in ("name", "body", "time"):
        return cell
    try:
        return float(cell)
    except ValueError:
        return cell


def _landmark(row: _Row, number: int, place: Place | None, where: str) -> Landmark:
    values = msgspec.structs.asdict(row)
    given = [kind for kind in _KINDS if any(values[key] is not None for key in kind)]
    if len(given) != 1 or any(values[key] is None for key in given[0]):
        found = ", ".join(key for kind in _KINDS for key in kind if values[key] is not None) or "none"
        ways = "; ".join(" with ".join(kind) for kind in _KINDS)
        raise SettingsError(f"{where}: expected one of {ways}; found {found}")
    if not all(math.isfinite(value) for value in values.values() if isinstance(value, float)):
        raise SettingsError(f"{where}: expected finite numbers, found others")
    if row.azimuth_deg is not None and row.elevation_deg is not None:
        azimuth, elevation = row.azimuth_deg, row.elevation_deg
    elif place is None:
        raise SettingsError(f"{where}: needs the camera's place; give --place LATITUDE,LONGITUDE,HEIGHT")
    else:
        camera = place.latitude_deg, place.longitude_deg, place.height_m
        if row.body is not None and row.time is not None:
            if row.time.tzinfo is None:
                raise SettingsError(f"{where}: time: expected an offset, such as 2026-06-01T21:00:00Z, found none")
            azimuth, elevation = body_direction(row.body, row.time, camera, where)
        else:
            there = row.latitude_deg or 0.0, row.longitude_deg or 0.0, row.height_m or 0.0
            azimuth, elevation = place_direction(there, camera, where)
    return Landmark(row.name or row.body or f"{number}", (row.x, row.y), azimuth, elevation, row.error_deg)
