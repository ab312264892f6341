"""From directions to the fields of messages, to a hundred-thousandth of a degree; left out where there are none."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lpnet_rt.angle_messages import CameraMessage, DirectionMessage, RateMessage
from lpnet_rt.camera_geometry import Directions, wrapped
from lpnet_rt.settings import CameraSettings

__all__ = ["DirectionFields", "camera_message"]

_DIGITS = 5
_DIRECTION = DirectionMessage.__struct_fields__
_WITH_RATES = RateMessage.__struct_fields__


class DirectionFields:
    """Directions of a report, row by row, as keyword arguments of messages."""

    def __init__(self, directions: Directions | None) -> None:
        """Round all of them at once; None: no row has any."""
        self._rows: list[list[float]] | None = None
        if directions is not None:
            columns = np.column_stack([getattr(directions, name) for name in _WITH_RATES]).round(_DIGITS)
            columns[:, 0] %= 360.0  # 359.99999 is rounded to 360
            self._rows = columns.tolist()

    def at(self, row: int) -> dict[str, Any]:
        """Azimuth, elevation and their errors of a row; empty where the lens has no direction."""
        return self._fields(row, _DIRECTION)

    def with_rates_at(self, row: int) -> dict[str, Any]:
        """The same with their rates."""
        return self._fields(row, _WITH_RATES)

    def _fields(self, row: int, names: tuple[str, ...]) -> dict[str, Any]:
        if self._rows is None:
            return {}
        values = self._rows[row]
        # A message with a number that is none could not be sent at all.
        return dict(zip(names, values, strict=False)) if all(map(math.isfinite, values)) else {}


def camera_message(camera: CameraSettings) -> CameraMessage:
    """What the welcome says of a camera."""
    values = {name: getattr(camera, name) for name in CameraMessage.__struct_fields__}
    covariance = camera.calibration_covariance
    if covariance is not None:
        names = ("azimuth_error_deg", "elevation_error_deg", "roll_error_deg")
        values |= {name: round(covariance[row][row] ** 0.5, _DIGITS) for row, name in enumerate(names)}
    return CameraMessage(**values | {"azimuth_deg": wrapped(camera.azimuth_deg)})
