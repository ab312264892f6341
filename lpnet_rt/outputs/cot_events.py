"""Cursor on Target: events as XML.

The base schema 2.0 is public (MITRE, "Cursor on Target Message Router User's Guide", MP 090284): an ``event`` with
``version``, ``uid``, ``type``, ``time``, ``start``, ``stale`` and ``how``, with one ``point`` (degrees and metres on
WGS84, ``ce`` and ``le`` as one standard error) and one ``detail``. A line of bearing is what ATAK draws for the type
``u-rb-a``: range, bearing and inclination from the event's point.
"""

from __future__ import annotations

from datetime import UTC, datetime
from xml.etree import ElementTree

from msgspec import UNSET

from lpnet_rt.messages import DirectionMessage
from lpnet_rt.outputs.places import Direction, Place, camera_place, place_at
from lpnet_rt.outputs.sightings import Sighting
from lpnet_rt.settings import CameraSettings
from lpnet_rt.settings.outputs import CotSettings, place_of

__all__ = ["CotWriter"]

_METRES, _DEGREES, _TRUE_NORTH = "1", "0", "0"
_RED = "-65536"  # 0xffff0000 as a signed number of 32 bits


class CotWriter:
    """Writes a sighting as one event, from the camera of its source."""

    def __init__(self, settings: CotSettings, cameras: dict[str, CameraSettings]) -> None:
        """Write for these cameras.

        Args:
            settings: Names, ranges and times.
            cameras: By source; each with its place.
        """
        self._settings, self._cameras = settings, cameras

    def event(self, sighting: Sighting) -> bytes | None:
        """The event as XML, UTF-8, without a declaration; None where the lens has no direction."""
        if sighting.direction.azimuth_deg is UNSET:
            return None
        camera = self._cameras[sighting.source]
        direction = _direction(sighting.direction)
        wanted = place_of(self._settings.place, sighting.source)
        place = None if wanted is None else place_at(camera, direction, wanted)
        if place is None or wanted is None:
            kind, how, point = "u-rb-a", "m-c", camera_place(camera)
        else:
            kind = wanted.type or ("a-u-G" if wanted.range_m is None else "a-u-A")
            how, point = "m-i", place
        event = self._base(sighting, kind, how, point)
        detail = ElementTree.SubElement(event, "detail")
        name = self._settings.callsign or sighting.source
        ElementTree.SubElement(detail, "contact", callsign=f"{name} {sighting.track}")
        if place is None:
            self._add_line(detail, direction)
        ElementTree.SubElement(detail, "remarks").text = _remarks(sighting, direction, place)
        payload: bytes = ElementTree.tostring(event, "utf-8", xml_declaration=False)
        return payload

    def _base(self, sighting: Sighting, kind: str, how: str, point: Place) -> ElementTree.Element:
        stale_us = sighting.t_us + (0 if sighting.is_last else round(self._settings.stale_s * 1e6))
        event = ElementTree.Element(
            "event",
            version="2.0",
            uid=f"lpnet-rt.{sighting.session}.{sighting.source}.{sighting.track}",
            type=kind,
            how=how,
            time=_time(sighting.t_us),
            start=_time(sighting.t_us),
            stale=_time(stale_us),
        )
        ElementTree.SubElement(
            event,
            "point",
            lat=f"{point.latitude_deg:.7f}",
            lon=f"{point.longitude_deg:.7f}",
            hae=f"{point.height_m:.1f}",
            ce=f"{point.circular_error_m:.1f}",
            le=f"{point.height_error_m:.1f}",
        )
        return event

    def _add_line(self, detail: ElementTree.Element, direction: Direction) -> None:
        values = {
            "range": f"{self._settings.line_m:.1f}",
            "bearing": f"{direction.azimuth_deg:.5f}",
            "inclination": f"{direction.elevation_deg:.5f}",
            "rangeUnits": _METRES,
            "bearingUnits": _DEGREES,
            "northRef": _TRUE_NORTH,
            "strokeColor": _RED,
            "strokeWeight": "3.0",
        }
        for name, value in values.items():
            ElementTree.SubElement(detail, name, value=value)


def _direction(message: DirectionMessage) -> Direction:
    values = [getattr(message, name) for name in DirectionMessage.__struct_fields__]
    return Direction(*(float(value) for value in values))


def _remarks(sighting: Sighting, direction: Direction, place: Place | None) -> str:
    text = (
        f"Infrared target, probability {sighting.probability:.2f}. "
        f"Azimuth {direction.azimuth_deg:.2f} +/- {direction.azimuth_error_deg:.2f} deg, "
        f"elevation {direction.elevation_deg:.2f} +/- {direction.elevation_error_deg:.2f} deg. "
    )
    if place is None:
        return text + "Line of bearing from the camera: range not known, the line's length is for display only."
    return text + f"Range {place.range_m:.0f} m by the camera's settings, not measured."


def _time(unix_us: int) -> str:
    """ISO 8601 in UTC with milliseconds, as the schema's examples have it."""
    moment = datetime.fromtimestamp(unix_us / 1e6, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
