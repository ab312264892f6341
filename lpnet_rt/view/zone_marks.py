"""Zones in the picture for the eye: a thin translucent outline with the zone's name."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from lpnet_rt.settings.zones import ZoneSettings
from lpnet_rt.text import one_line
from lpnet_rt.zones import Zones, corners_px

__all__ = ["ZONE_BGR", "ZoneMarks"]

_Picture = NDArray[np.uint8]

ZONE_BGR = {"ignore": (80, 110, 255), "watch": (255, 200, 80)}
_OUTLINE_OPACITY, _NAME_OPACITY = 0.6, 0.9
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_SCALE = 0.4
_EDGE_PX = 3


class ZoneMarks:
    """The marks of a source's zones, made once for each size of picture."""

    def __init__(self, zones: Zones) -> None:
        """Nothing is drawn yet."""
        self._zones = zones
        self._made_for: tuple[tuple[int, ...], ...] = ()
        self._rows, self._columns = np.zeros(0, np.intp), np.zeros(0, np.intp)
        self._paint, self._opacity = np.zeros((0, 3), np.float32), np.zeros((0, 1), np.float32)

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
            self._make((scene.shape[0], scene.shape[1]), frame_hw, unit)
            self._made_for = scene.shape, frame_hw
        below = scene[self._rows, self._columns]
        mixed = below + (self._paint - below) * self._opacity
        scene[self._rows, self._columns] = mixed.round().astype(np.uint8)

    def _make(self, scene_hw: tuple[int, int], frame_hw: tuple[int, int], unit: int) -> None:
        """Keep the pixels of every mark: where, in which colour, how opaque."""
        colours = np.zeros((*scene_hw, 3), np.float32)
        opacity = np.zeros(scene_hw, np.float32)
        for zone in self._zones.zones:
            mask = _mask(zone, scene_hw, frame_hw, unit)
            colours[mask > 0] = ZONE_BGR[zone.kind]
            opacity = np.maximum(opacity, mask.astype(np.float32) / 255)
        self._rows, self._columns = np.nonzero(opacity)
        self._paint = colours[self._rows, self._columns]
        self._opacity = opacity[self._rows, self._columns, None]


def _mask(zone: ZoneSettings, scene_hw: tuple[int, int], frame_hw: tuple[int, int], unit: int) -> NDArray[np.uint8]:
    """The opacity of one zone's outline and name in a scene: (H, W) uint8."""
    mask = np.zeros(scene_hw, np.uint8)
    scale = np.array((scene_hw[1] / frame_hw[1], scene_hw[0] / frame_hw[0]))
    last = np.array((scene_hw[1] - 1, scene_hw[0] - 1))
    # An outline on the edge of the frame, or beyond it, is drawn on its last pixels.
    corners = np.clip((corners_px(zone, frame_hw) + 0.5) * scale - 0.5, 0, last).round().astype(np.int32)
    cv2.polylines(mask, [corners], True, round(255 * _OUTLINE_OPACITY), unit)
    label = one_line(zone.name).encode("ascii", "replace").decode()
    (width, height), _ = cv2.getTextSize(label, _FONT, _FONT_SCALE * unit, unit)
    edge = _EDGE_PX * unit
    x, y = int(corners[:, 0].min()) + edge, int(corners[:, 1].min()) - edge
    if y < height + edge:  # no room above
        y += height + 2 * edge
    x = max(0, min(x, scene_hw[1] - width - edge))
    cv2.putText(mask, label, (x, y), _FONT, _FONT_SCALE * unit, round(255 * _NAME_OPACITY), unit, cv2.LINE_AA)
    return mask
