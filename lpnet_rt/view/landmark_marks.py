"""Draw a calibration: where landmarks were marked, where the calibrated camera sees them, and the horizon."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from lpnet_rt.camera_geometry import CameraGeometry, unit_vectors
from lpnet_rt.camera_geometry.calibration import Calibration
from lpnet_rt.frames import GreyImage
from lpnet_rt.text import printable
from lpnet_rt.view.display_stretch import display_stretch

__all__ = ["draw_landmarks"]

_Picture = NDArray[np.uint8]
_Colour = tuple[int, int, int]

_WIDTH_PX = 1280
_GRID_BGR, _HORIZON_BGR, _TEXT_BGR = (110, 100, 90), (200, 170, 90), (225, 225, 220)
_MARK_BGR, _SEEN_BGR, _OUTLIER_BGR = (90, 255, 120), (70, 240, 255), (80, 90, 255)
_FONT, _SIZE, _LINE = cv2.FONT_HERSHEY_SIMPLEX, 0.45, cv2.LINE_AA
_ENLARGED = 10.0  # residuals are drawn ten times as long
_STEPS_DEG = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0)
_FOOT_PX = 26


def draw_landmarks(image: GreyImage, calibration: Calibration) -> _Picture:
    """Draw landmarks with residuals, ten times as long, over a grid of azimuth and elevation.

    Args:
        image: (H, W) frame of the camera.
        calibration: What its landmarks gave.

    Returns:
        (H', W', 3) uint8, BGR: some 1280 pixels wide.
    """
    height, width = image.shape
    scale = max(1, round(_WIDTH_PX / width)) if width < _WIDTH_PX else 1
    grey = cv2.resize(display_stretch(image), (width * scale, height * scale), interpolation=cv2.INTER_LINEAR)
    picture = np.zeros((height * scale + _FOOT_PX, width * scale, 3), np.uint8)
    scene = picture[: height * scale]
    scene[:] = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR) // 2
    _draw_grid(scene, calibration, scale)
    for each in calibration.residuals:
        marked, seen = (_scaled(np.array(xy), scale) for xy in (each.landmark.xy, each.xy))
        colour = _OUTLIER_BGR if each.is_outlier else _MARK_BGR
        cv2.drawMarker(scene, marked, colour, cv2.MARKER_CROSS, 22, 1, _LINE)
        if math.isfinite(each.error_px):
            off = (np.array(seen) - marked) * (1.0 if each.is_outlier else _ENLARGED)
            tip = np.clip(np.array(marked) + off, -10_000, 10_000).round().astype(int)
            cv2.line(scene, marked, (int(tip[0]), int(tip[1])), _SEEN_BGR, 2, _LINE)
        words = f"{printable(each.landmark.name)[:24]} {each.error_px:.2f} px" + (
            " left out" if each.is_outlier else ""
        )
        _write(scene, words, (marked[0] + 14, marked[1] - 10), colour)
    camera = calibration.camera
    line = (
        f"azimuth {camera.azimuth_deg:.3f}  elevation {camera.elevation_deg:.3f}  roll {camera.roll_deg:.3f}  "
        f"field of view {camera.field_of_view_deg:.3f} deg   residuals (yellow) x {_ENLARGED:.0f}"
    )
    cv2.putText(picture, line, (10, picture.shape[0] - 9), _FONT, _SIZE, _TEXT_BGR, 1, _LINE)
    return picture


def _draw_grid(scene: _Picture, calibration: Calibration, scale: int) -> None:
    """Lines of equal azimuth and elevation with their degrees; the horizon is brighter."""
    geometry = CameraGeometry(calibration.camera, calibration.size_hw)
    camera = calibration.camera
    field = geometry.lens.field_of_view_deg
    step = min(_STEPS_DEG, key=lambda each: abs(each - field / 6))
    reach = 1.2 * field
    # Where azimuths crowd together near the zenith, fewer of them are drawn.
    azimuth_step = min(
        _STEPS_DEG, key=lambda each: abs(each - step / max(math.cos(math.radians(camera.elevation_deg)), 0.1))
    )
    around = min(reach / max(math.cos(math.radians(camera.elevation_deg)), 0.05), 180.0)
    along = np.linspace(-1.0, 1.0, 161)
    first = math.ceil((camera.elevation_deg - reach) / step)
    for number in range(first, math.floor((camera.elevation_deg + reach) / step) + 1):
        elevation = number * step
        if abs(elevation) <= 90:
            vectors = unit_vectors(camera.azimuth_deg + along * around, np.full(161, elevation))
            colour = _HORIZON_BGR if number == 0 else _GRID_BGR
            _draw_curve(scene, geometry.pixels(vectors), scale, f"el {elevation:g}", colour)
    first = math.ceil((camera.azimuth_deg - around) / azimuth_step)
    heights = np.clip(camera.elevation_deg + along * reach, -90, 90)
    for number in range(first, math.floor((camera.azimuth_deg + around) / azimuth_step) + 1):
        azimuth = number * azimuth_step
        pixels = geometry.pixels(unit_vectors(np.full(161, azimuth), heights))
        _draw_curve(scene, pixels, scale, f"az {round(azimuth % 360, 6) % 360:g}", _GRID_BGR)


def _draw_curve(scene: _Picture, pixels: NDArray[np.float64], scale: int, words: str, colour: _Colour) -> None:
    """Draw the part of a curve inside the picture, with its name where it enters."""
    height, width = scene.shape[:2]
    points = (pixels + 0.5) * scale
    inside = ((points >= 0) & (points < (width, height))).all(axis=1)
    rows = np.flatnonzero(inside)
    if len(rows) < 2:
        return
    part = points[max(rows[0] - 1, 0) : rows[-1] + 2]
    part = part[np.isfinite(part).all(axis=1)].clip(-10_000, 10_000)
    cv2.polylines(scene, [(part * 8).round().astype(np.int32)[:, None]], False, colour, 1, _LINE, 3)
    x, y = points[rows[0]]
    _write(scene, words, (int(x) + 4, int(y) - 4), colour)


def _write(scene: _Picture, words: str, at: tuple[int, int], colour: _Colour) -> None:
    """Write inside the picture."""
    (text_w, text_h), _ = cv2.getTextSize(words, _FONT, _SIZE, 1)
    height, width = scene.shape[:2]
    where = min(max(at[0], 4), max(4, width - text_w - 4)), min(max(at[1], text_h + 4), height - 4)
    chip = scene[max(where[1] - text_h - 3, 0) : where[1] + 4, max(where[0] - 3, 0) : where[0] + text_w + 3]
    np.right_shift(chip, 1, out=chip)
    cv2.putText(scene, words, where, _FONT, _SIZE, colour, 1, _LINE)


def _scaled(xy: NDArray[np.float64], scale: int) -> tuple[int, int]:
    """A pixel of the frame in the picture; far outside where it has no place."""
    x, y = np.nan_to_num((xy + 0.5) * scale, nan=-10_000.0).clip(-10_000, 10_000).round().astype(int)
    return int(x), int(y)
