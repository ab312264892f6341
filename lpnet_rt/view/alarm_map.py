"""Where alarms lie: a heat map over the mean frame, with proposed zones."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from lpnet_rt.settings.zones import ZoneSettings
from lpnet_rt.view.zone_marks import ZoneMarks
from lpnet_rt.zones import Zones

__all__ = ["alarm_map"]

_MIN_WIDTH_PX = 640
_SIGMA_PX = 3.0
_OPACITY = 0.75
_FAINTEST = 0.3  # of the strongest place: a single alarm stays visible beside a thousand
_SKIRT = 0.5  # of a single alarm; what lies farther around is not drawn
_BAR_PX = 24
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_TEXT_BGR = (235, 235, 235)


def alarm_map(
    mean: NDArray[np.float32], xy: NDArray[np.float64], zones: Sequence[ZoneSettings], caption: str
) -> NDArray[np.uint8]:
    """Draw the alarms of a recording.

    Args:
        mean: (H, W) mean counts.
        xy: (N, 2) where alarms lie, pixels of the frame.
        zones: To outline.
        caption: A line below the picture.

    Returns:
        (H', W', 3) uint8, BGR; at least 640 pixels wide.
    """
    height, width = mean.shape
    factor = max(1, -(-_MIN_WIDTH_PX // width))
    heat = _heat(xy, (height, width))
    low, high = np.percentile(mean, (0.5, 99.5))
    grey = np.clip((mean - low) / max(float(high - low), 16.0), 0, 1) * 200
    scene = np.repeat(grey.astype(np.uint8)[:, :, None], 3, axis=2)
    colours = np.asarray(cv2.applyColorMap((255 * heat).astype(np.uint8), cv2.COLORMAP_HOT))
    opacity = _OPACITY * heat[:, :, None]
    scene = (scene + (colours.astype(np.float32) - scene) * opacity).round().astype(np.uint8)
    scene = np.asarray(cv2.resize(scene, (width * factor, height * factor), interpolation=cv2.INTER_CUBIC), np.uint8)
    ZoneMarks(Zones(zones, "")).draw(scene, (height, width), 1)
    bar = np.full((_BAR_PX, scene.shape[1], 3), 24, np.uint8)
    cv2.putText(bar, caption, (6, _BAR_PX - 8), _FONT, 0.42, _TEXT_BGR, 1, cv2.LINE_AA)
    return np.vstack((scene, bar))


def _heat(xy: NDArray[np.float64], size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Return (H, W) from 0 to 1: how many alarms lie near each pixel, on a logarithmic scale."""
    count = np.zeros(size_hw, np.float32)
    columns, rows = np.clip(xy.round().astype(int), 0, (size_hw[1] - 1, size_hw[0] - 1)).T
    np.add.at(count, (rows, columns), 1)
    if not len(xy):
        return count
    peak = cv2.GaussianBlur(np.pad(np.ones((1, 1), np.float32), 20), (0, 0), _SIGMA_PX).max()
    near = np.asarray(cv2.GaussianBlur(count, (0, 0), _SIGMA_PX)) / peak  # 1 at a single alarm
    scaled: NDArray[np.float32] = np.log1p(near) / max(float(np.log1p(near.max())), 1e-6)
    shown = np.where(near > _SKIRT, np.maximum(scaled, _FAINTEST), 0)
    return shown.clip(0, 1).astype(np.float32)
