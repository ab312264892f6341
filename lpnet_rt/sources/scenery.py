"""Scenery of the demo scene: sky, drifting clouds, ground and the sensor's faults, all from one seed."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["HORIZON", "NOISE_COUNTS", "Clouds", "Scenery", "Sensor", "make_clouds", "make_scenery", "make_sensor"]

Floats = NDArray[np.float32]

HORIZON = 0.84
"""Height of the horizon, as a share of the picture from its top."""
NOISE_COUNTS = 4.0
"""Standard deviation of the sensor's temporal noise, counts."""

_ZENITH_COUNTS, _SKY_RISE_COUNTS = 7150.0, 170.0
_TREES_COUNTS, _FIELD_COUNTS = 7520.0, 7430.0
_FIXED_COUNTS, _COLUMN_COUNTS = 1.2, 0.8
_DEAD_SHARE = 2.5e-5
_STUCK_HIGH_COUNTS, _STUCK_LOW_COUNTS = 8000, 6700
_NOISE_FIELDS, _NOISE_MARGIN_PX = 3, 64


@dataclass(frozen=True, slots=True)
class Scenery:
    """The static part of the scene.

    Attributes:
        counts: (H, W) float32, sky and ground without clouds.
        sky: (H, W) float32 in 0..1, how much of a pixel is sky.
    """

    counts: Floats
    sky: Floats


@dataclass(frozen=True, slots=True)
class Clouds:
    """One layer of clouds, periodic in x.

    Attributes:
        counts: (H, P + W + 1) float32, P the period in pixels.
        drift_px: Drift to the left, pixels per frame.
    """

    counts: Floats
    drift_px: float

    def at(self, index: int, width: int) -> Floats:
        """Return the (H, W) layer of a frame, moved by fractions of a pixel."""
        period = self.counts.shape[1] - width - 1
        offset_px = (index * self.drift_px) % period
        whole = int(offset_px)
        part = offset_px - whole
        left = self.counts[:, whole : whole + width]
        right = self.counts[:, whole + 1 : whole + 1 + width]
        return cv2.addWeighted(left, 1.0 - part, right, part, 0.0)  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class Sensor:
    """The sensor's faults.

    Attributes:
        fixed: (H, W) float32, fixed-pattern noise, counts.
        noise: (F, H + M, W + M) float32, fields of temporal noise from which each frame takes a crop.
        dead_xy: (D, 2) int32, stuck pixels, none of them at the border.
        dead_counts: (D,) uint16, their constant values.
    """

    fixed: Floats
    noise: Floats
    dead_xy: NDArray[np.int32]
    dead_counts: NDArray[np.uint16]

    def noise_of(self, rng: np.random.Generator) -> Floats:
        """Return (H, W) of temporal noise, a different crop per frame."""
        field, top, left = (int(value) for value in rng.integers((len(self.noise), _NOISE_MARGIN_PX, _NOISE_MARGIN_PX)))
        height, width = self.fixed.shape
        cut: Floats = self.noise[field, top : top + height, left : left + width]
        return cut


def make_scenery(rng: np.random.Generator, size_hw: tuple[int, int]) -> Scenery:
    """Make sky and ground: colder at the zenith, a treeline, a field before it."""
    height, width = size_hw
    rows = np.arange(height, dtype=np.float32)[:, None]
    horizon_px = HORIZON * height
    depth = np.clip(rows / horizon_px, 0.0, 1.0)
    haze = _fractal(rng, size_hw, slope=2.4, stretch=5.0) * 5.0
    sky_counts = _ZENITH_COUNTS + _SKY_RISE_COUNTS * depth**3 + haze
    hills = _fractal(rng, (8, width), slope=1.9)[4] * 0.008 * height
    crowns = np.abs(_fractal(rng, (8, width), slope=0.9)[4]) * 0.014 * height
    treeline_px = horizon_px - 0.03 * height + hills - crowns
    foot_px = horizon_px + 0.04 * height + 0.5 * hills
    ground = np.clip(rows - treeline_px + 0.5, 0.0, 1.0)
    field = np.clip((rows - foot_px) / 3.0 + 0.5, 0.0, 1.0)
    trunks = _fractal(rng, size_hw, slope=1.0, stretch=0.2) * 38.0
    near = np.clip((rows - horizon_px) / (height - horizon_px), 0.0, 1.0)
    furrows = _fractal(rng, size_hw, slope=1.3, stretch=6.0) * (10.0 + 22.0 * near)
    ground_counts = (_TREES_COUNTS + trunks) * (1.0 - field) + (_FIELD_COUNTS - 60.0 * near + furrows) * field
    blurred = cv2.GaussianBlur((sky_counts * (1.0 - ground) + ground_counts * ground).astype(np.float32), (0, 0), 0.7)
    sky = cv2.GaussianBlur((1.0 - ground).astype(np.float32), (0, 0), 0.7)
    return Scenery(blurred.astype(np.float32), sky.astype(np.float32))


def make_clouds(rng: np.random.Generator, size_hw: tuple[int, int]) -> tuple[Clouds, Clouds]:
    """Make two layers: heaped clouds, and streaks behind them that drift more slowly."""
    heaps = _cloud_layer(rng, size_hw, slope=1.75, stretch=2.2, cover=0.35)
    streaks = _cloud_layer(rng, size_hw, slope=1.9, stretch=7.0, cover=0.5)
    return Clouds(heaps * 110.0, 0.23), Clouds(streaks * 45.0, 0.11)


def make_sensor(rng: np.random.Generator, size_hw: tuple[int, int]) -> Sensor:
    """Make fixed-pattern noise, fields of temporal noise and dead pixels."""
    height, width = size_hw
    fixed = rng.standard_normal(size_hw, np.float32) * _FIXED_COUNTS
    fixed += rng.standard_normal((1, width), np.float32) * _COLUMN_COUNTS
    margin = _NOISE_MARGIN_PX
    noise = rng.standard_normal((_NOISE_FIELDS, height + margin, width + margin), np.float32) * np.float32(NOISE_COUNTS)
    dead = max(2, round(_DEAD_SHARE * height * width))
    dead_xy = np.stack((rng.integers(1, width - 1, dead), rng.integers(1, height - 1, dead)), axis=1)
    stuck_high = np.arange(dead) % 3 < 2
    counts = np.where(stuck_high, _STUCK_HIGH_COUNTS, _STUCK_LOW_COUNTS) + rng.integers(-200, 200, dead)
    return Sensor(fixed.astype(np.float32), noise, dead_xy.astype(np.int32), counts.astype(np.uint16))


def _cloud_layer(
    rng: np.random.Generator, size_hw: tuple[int, int], slope: float, stretch: float, cover: float
) -> Floats:
    """Return (H, P + W + 1) float32 in about 0..1, periodic in x, flatter and denser towards the horizon."""
    height, width = size_hw
    period = 2 * width
    field = _fractal(rng, (height, period), slope, stretch)
    rows = np.linspace(0.0, 1.0, height, dtype=np.float32)[:, None]
    seen_from_below = np.broadcast_to((0.55 + 0.45 * rows) * rows * (height - 1), field.shape).astype(np.float32)
    columns = np.broadcast_to(np.arange(period, dtype=np.float32), field.shape).astype(np.float32)
    field = cv2.remap(field, columns, seen_from_below, cv2.INTER_LINEAR).astype(np.float32)
    threshold = float(np.quantile(field, 1.0 - cover))
    body = np.clip((field - threshold) / 2.4, 0.0, 1.0)
    shaped = (body * body * (3.0 - 2.0 * body)).astype(np.float32)
    return np.concatenate((shaped, shaped[:, : width + 1]), axis=1)


def _fractal(rng: np.random.Generator, size_hw: tuple[int, int], slope: float, stretch: float = 1.0) -> Floats:
    """Make noise whose amplitude falls as ``1 / frequency ** slope``, zero mean, unit deviation, periodic.

    Args:
        rng: Random generator.
        size_hw: Height and width in pixels.
        slope: The higher, the smoother.
        stretch: How many times longer structures are in x than in y.

    Returns:
        (H, W) float32.
    """
    height, width = size_hw
    spectrum = np.fft.rfft2(rng.standard_normal(size_hw, np.float32))
    fy = np.fft.fftfreq(height)[:, None].astype(np.float32)
    fx = np.fft.rfftfreq(width)[None].astype(np.float32) * np.float32(stretch)
    frequency = np.hypot(fy, fx)
    frequency[0, 0] = np.inf
    field = np.fft.irfft2(spectrum / frequency ** np.float32(slope), s=size_hw)
    scaled: Floats = ((field - field.mean()) / max(float(field.std()), 1e-9)).astype(np.float32)
    return scaled
