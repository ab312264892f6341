"""Zones: polygons in which nothing counts, and polygons outside of which nothing counts.

A detection lies where its centroid lies. Coordinates are pixels of the frame; the centre of the first pixel is (0, 0),
so that the frame reaches from -0.5 to its width less 0.5, and the share ``s`` of its width is at ``s * width - 0.5``.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from lpnet_rt.detections import Detections
from lpnet_rt.settings.zones import ZoneSettings

__all__ = ["Zones", "corners_px", "filled"]

_FRACTION_BITS = 4
# Coarser than what a share loses in floating point: a zone in shares is the same zone in pixels.
_ROUNDED_DIGITS = 6


class Zones:
    """The zones of one source.

    Attributes:
        zones: As they were given, those of other sources left out.
    """

    def __init__(self, zones: Iterable[ZoneSettings], source: str) -> None:
        """Take those of a source; nothing is drawn yet.

        Args:
            zones: Of any sources.
            source: Name of the source.
        """
        self.zones = tuple(zone for zone in zones if zone.source in (None, source))
        self._size_hw = (0, 0)
        self._counting = np.zeros(self._size_hw, np.bool_)

    def __bool__(self) -> bool:
        return bool(self.zones)

    def counting(self, size_hw: tuple[int, int]) -> NDArray[np.bool_]:
        """Tell where something counts: (H, W) bool, read-only; kept until a frame has another size.

        Args:
            size_hw: Height and width of the frame, pixels.
        """
        if size_hw != self._size_hw:
            watched = [filled(zone, size_hw) for zone in self.zones if zone.kind == "watch"]
            ignored = [filled(zone, size_hw) for zone in self.zones if zone.kind == "ignore"]
            counting = np.logical_or.reduce(watched) if watched else np.ones(size_hw, np.bool_)
            for mask in ignored:
                counting &= ~mask
            counting.flags.writeable = False
            self._size_hw, self._counting = size_hw, counting
        return self._counting

    def select(self, detections: Detections, size_hw: tuple[int, int]) -> NDArray[np.bool_]:
        """Tell which detections of a frame count.

        Args:
            detections: N of them, in pixels of the frame.
            size_hw: Height and width of the frame, pixels.

        Returns:
            (N,) bool.
        """
        height, width = size_hw
        columns, rows = np.rint(detections.centroid_xy).astype(np.int64).T
        counts: NDArray[np.bool_] = self.counting(size_hw)[rows.clip(0, height - 1), columns.clip(0, width - 1)]
        return counts


def corners_px(zone: ZoneSettings, size_hw: tuple[int, int]) -> NDArray[np.float64]:
    """Corners of a zone in a frame of a size, pixels: (N, 2) float64, x and y."""
    corners = np.array(zone.points, np.float64)
    if zone.unit == "share":
        corners = corners * (size_hw[1], size_hw[0]) - 0.5
    return corners


def filled(zone: ZoneSettings, size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Tell which pixels of a frame a zone covers, those on its outline included: (H, W) bool."""
    mask = np.zeros(size_hw, np.uint8)
    fixed_point = np.rint(np.round(corners_px(zone, size_hw), _ROUNDED_DIGITS) * 2**_FRACTION_BITS).astype(np.int32)
    cv2.fillPoly(mask, [fixed_point], 1, shift=_FRACTION_BITS)
    covered: NDArray[np.bool_] = mask.view(np.bool_)
    return covered
