"""Zones in the picture for the eye: a thin translucent outline with the zone's name."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from lpnet_rt.text import one_line
from lpnet_rt.zones import Zones, corners_px

__all__ = ["ZONE_BGR", "ZoneMarks"]

_Picture = NDArray[np.uint8]

ZONE_BGR = {"ignore": (80, 110, 255), "watch": (255, 200, 80)}
_OPACITY = 0.6
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_SCALE = 0.36
_EDGE_PX = 3


class ZoneMarks:
    """The marks of a source's zones, made once for each size of picture."""

    def __init__(self, zones: Zones) -> None:
        """Nothing is drawn yet."""
        self._zones = zones
        self._made_for: tuple[tuple[int, ...], ...] = ()
        self._rows, self._columns = np.zeros(0, np.intp), np.zeros(0, np.intp)
        self._colours = np.zeros((0, 3), np.float32)

    def draw(self, scene: _Picture, frame_hw: tuple[int, int], unit: int) -> None:
        """Draw the zones.

        Args:
            scene: (H, W, 3) uint8, BGR, the frame at the size it is shown at; drawn upon.
            frame_hw: Height and width of the frame, pixels.
            unit: Thickness of a line, pixels.
        """
        if not self._zones:
            return
        if self._made_for != (scene.shape, frame_hw):
            layer = self._layer((scene.shape[0], scene.shape[1]), frame_hw, unit)
            self._rows, self._columns = np.nonzero(layer.any(axis=2))
            self._colours = layer[self._rows, self._columns].astype(np.float32) * _OPACITY
            self._made_for = scene.shape, frame_hw
        below = scene[self._rows, self._columns]
        scene[self._rows, self._columns] = (below * (1 - _OPACITY) + self._colours).astype(np.uint8)

    def _layer(self, scene_hw: tuple[int, int], frame_hw: tuple[int, int], unit: int) -> _Picture:
        """The marks on black."""
        layer = np.zeros((*scene_hw, 3), np.uint8)
        scale = np.array((scene_hw[1] / frame_hw[1], scene_hw[0] / frame_hw[0]))
        last = np.array((scene_hw[1] - 1, scene_hw[0] - 1))
        for zone in self._zones.zones:
            # An outline on the edge of the frame, or beyond it, is drawn on its last pixels.
            corners = np.clip((corners_px(zone, frame_hw) + 0.5) * scale - 0.5, 0, last).round().astype(np.int32)
            colour = ZONE_BGR[zone.kind]
            cv2.polylines(layer, [corners], True, colour, unit)
            label = one_line(zone.name).encode("ascii", "replace").decode()
            (width, height), _ = cv2.getTextSize(label, _FONT, _FONT_SCALE * unit, unit)
            x, y = corners[:, 0].min() + _EDGE_PX * unit, corners[:, 1].min() - _EDGE_PX * unit
            if y < height + _EDGE_PX:  # no room above
                y = corners[:, 1].min() + height + _EDGE_PX * unit
            place = int(max(0, min(x, scene_hw[1] - width - _EDGE_PX))), int(y)
            cv2.putText(layer, label, place, _FONT, _FONT_SCALE * unit, colour, unit)
        return layer
