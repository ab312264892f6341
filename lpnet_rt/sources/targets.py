"""Targets of the demo scene: their paths, sizes and brightness."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lpnet_rt.sources.scenery import HORIZON, NOISE_COUNTS

__all__ = ["Target", "make_targets"]

_MIN_SIGMA_PX = 0.6
_EXTENT_SIGMAS = 4.0
# Separate the random numbers of targets from those of their passes.
_TARGET_STREAM, _PASS_STREAM = 2, 3


@dataclass(frozen=True, slots=True)
class _Loop:
    """A closed path: an ellipse about a point, tilted; the speed lies between those of its two axes."""

    centre_xy: tuple[float, float]
    axes_px: tuple[float, float]
    tilt: float
    turn: float
    phase: float

    def at(self, index: int) -> tuple[float, float]:
        angle = self.phase + self.turn * index
        along, across = self.axes_px[0] * math.cos(angle), self.axes_px[1] * math.sin(angle)
        x = self.centre_xy[0] + along * math.cos(self.tilt) - across * math.sin(self.tilt)
        y = self.centre_xy[1] + along * math.sin(self.tilt) + across * math.cos(self.tilt)
        return x, y


@dataclass(frozen=True, slots=True)
class _Crossing:
    """Nearly straight passes from one side to the other, with a pause outside the picture after each."""

    seed: tuple[int, int]
    size_hw: tuple[int, int]
    speed_px: float
    period: int
    start: int

    def at(self, index: int) -> tuple[float, float]:
        number, step = divmod(index + self.start, self.period)
        rng = np.random.default_rng((_PASS_STREAM, number, *self.seed))
        height, width = self.size_hw
        entry_y, climb, sag = rng.uniform((0.08, -0.08, -0.03), (0.62, 0.08, 0.03)) * height
        way_px = step * self.speed_px - _margin_px(self.size_hw)
        share = way_px / width
        y = entry_y + climb * share + sag * math.sin(math.pi * share)
        return (way_px if rng.integers(2) else width - 1 - way_px), y


@dataclass(frozen=True, slots=True)
class Target:
    """One target.

    Attributes:
        path: Path of its centre.
        extent_px: Diameter that contains nearly all of its light, pixels.
        contrast: Peak of its blob over the background, counts.
        flutter: Relative amplitude of the contrast's oscillation, as for a bird.
    """

    path: _Loop | _Crossing
    extent_px: float
    contrast: float
    flutter: float

    def centre_xy(self, index: int) -> tuple[float, float]:
        """Return the centre in a frame; it may lie outside the picture."""
        return self.path.at(index)

    def blob(self, index: int, size_hw: tuple[int, int]) -> tuple[slice, slice, NDArray[np.float32]] | None:
        """Return the rows, the columns and the counts that the target adds there, or None outside the picture."""
        x, y = self.path.at(index)
        sigma_px = max(_MIN_SIGMA_PX, self.extent_px / _EXTENT_SIGMAS)
        reach = math.ceil(4 * sigma_px)
        left, right = max(0, round(x) - reach), min(size_hw[1], round(x) + reach + 1)
        top, bottom = max(0, round(y) - reach), min(size_hw[0], round(y) + reach + 1)
        if left >= right or top >= bottom:
            return None
        in_x = np.exp(-0.5 * ((np.arange(left, right) - x) / sigma_px) ** 2)
        in_y = np.exp(-0.5 * ((np.arange(top, bottom) - y) / sigma_px) ** 2)
        contrast = self.contrast * (1.0 + self.flutter * math.sin(0.9 * index))
        return slice(top, bottom), slice(left, right), (contrast * np.outer(in_y, in_x)).astype(np.float32)


def make_targets(seed: int, size_hw: tuple[int, int], count: int) -> tuple[Target, ...]:
    """Make targets of three kinds in turn: far aircraft that cross, birds and drones that circle.

    Extents are 2 to 12 px, speeds 0.3 to 3 px per frame, contrasts 11 to 45 times the noise.
    """
    kinds = (_aircraft, _bird, _drone)
    return tuple(kinds[number % 3](seed, number, size_hw) for number in range(count))


def _aircraft(seed: int, number: int, size_hw: tuple[int, int]) -> Target:
    rng = np.random.default_rng((_TARGET_STREAM, number, seed))
    speed_px = rng.uniform(0.4, 1.1)
    flight = math.ceil((size_hw[1] + 2 * _margin_px(size_hw)) / speed_px)
    path = _Crossing((seed, number), size_hw, speed_px, flight + int(rng.integers(20, 80)), int(flight * rng.random()))
    return Target(path, rng.uniform(2.0, 4.0), _contrast(rng), 0.0)


def _bird(seed: int, number: int, size_hw: tuple[int, int]) -> Target:
    rng = np.random.default_rng((_TARGET_STREAM, number, seed))
    return Target(_loop(rng, size_hw, (1.4, 2.9)), rng.uniform(2.5, 6.0), _contrast(rng), 0.2)


def _drone(seed: int, number: int, size_hw: tuple[int, int]) -> Target:
    rng = np.random.default_rng((_TARGET_STREAM, number, seed))
    return Target(_loop(rng, size_hw, (0.8, 1.8)), rng.uniform(6.0, 12.0), _contrast(rng), 0.05)


def _loop(rng: np.random.Generator, size_hw: tuple[int, int], speed_px: tuple[float, float]) -> _Loop:
    height, width = size_hw
    long_px = rng.uniform(0.12, 0.3) * min(width, 1.4 * height)
    ratio = rng.uniform(0.42, 0.7)
    short_px = min(long_px * ratio, 0.3 * height)
    centre = (rng.uniform(0.25, 0.75) * width, rng.uniform(0.3, 0.5) * HORIZON * height)
    turn = rng.uniform(*speed_px) / long_px * (1 if rng.integers(2) else -1)
    return _Loop(centre, (long_px, short_px), rng.uniform(-0.25, 0.25), turn, rng.uniform(0.0, 2 * math.pi))


def _contrast(rng: np.random.Generator) -> float:
    return NOISE_COUNTS * math.exp(rng.uniform(math.log(11.0), math.log(45.0)))


def _margin_px(size_hw: tuple[int, int]) -> float:
    """Return how far outside the picture a pass begins and ends."""
    return 0.03 * size_hw[1] + 8.0
