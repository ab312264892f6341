"""Settings of zones: polygons in a source's picture."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec
from msgspec import Struct

from lpnet_rt.errors import SettingsError

__all__ = ["SourceName", "ZoneSettings", "refuse_points", "zone_tables"]

SourceName = Annotated[
    str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z", description="1 to 64 letters, digits, - or _")
]
_COORDINATE_LIMIT = 100_000.0  # a polygon may leave the frame
_Points = Annotated[
    tuple[tuple[float, float], ...],
    msgspec.Meta(min_length=3, max_length=1_000, description="a list of 3 to 1,000 points [x, y]"),
]


class ZoneSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of the picture in which nothing counts, or the only part in which something counts; ``[[zone]]`` each.

    Attributes:
        points: Corners of a polygon, closed by itself; x to the right, y down, from the centre of the first pixel.
        kind: ``ignore``: what lies in it is dropped. ``watch``: where a source has such zones, what lies in none of
            them is dropped.
        name: For the picture and for messages about the zone.
        source: Name of the source that it belongs to; None is every source.
        unit: ``px``: pixels of the frame; ``share``: shares of its width and height, 0 to 1.
    """

    points: _Points
    kind: Literal["ignore", "watch"] = "ignore"
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=64, description="text of 1 to 64 characters")] = "zone"
    source: SourceName | None = None
    unit: Literal["px", "share"] = "px"


def refuse_points(zone: ZoneSettings, where: str) -> None:
    """Refuse what no type says: numbers that are none, shares over 1, and polygons without an inside.

    Args:
        zone: Of the right types.
        where: The file and the zone's number and name, for the message.

    Raises:
        SettingsError: A point is out of range, or all lie on one line.
    """
    highest = 1.0 if zone.unit == "share" else _COORDINATE_LIMIT
    lowest = 0.0 if zone.unit == "share" else -_COORDINATE_LIMIT
    for x, y in zone.points:
        if not (lowest <= x <= highest and lowest <= y <= highest):  # so written, it refuses NaN
            raise SettingsError(
                f"{where}: zone.points: expected numbers from {lowest:,.0f} to {highest:,.0f} (unit {zone.unit!r}), "
                f"found [{x}, {y}]"
            )
    (x0, y0), *others = zone.points
    x1, y1 = max(others, key=lambda point: math.dist(point, (x0, y0)))
    if all(abs((x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)) < 1e-9 for x, y in others):
        raise SettingsError(f"{where}: zone.points: expected corners of a polygon, found points on one line")


def zone_tables(zones: Iterable[ZoneSettings]) -> str:
    """Write zones as ``[[zone]]`` tables of a configuration file, TOML; empty for no zones."""
    return "\n".join(_table(zone) for zone in zones)


def _table(zone: ZoneSettings) -> str:
    rows = {"source": zone.source, "kind": zone.kind, "name": zone.name, "unit": zone.unit}
    # A JSON string is a TOML string, but for the delete character, which TOML wants escaped.
    lines = [
        f"{key} = {json.dumps(value, ensure_ascii=False)}".replace("\x7f", "\\u007f")
        for key, value in rows.items()
        if value is not None
    ]
    corners = ", ".join(f"[{_number(x)}, {_number(y)}]" for x, y in zone.points)
    return "\n".join(["[[zone]]", *lines, f"points = [{corners}]", ""])


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
