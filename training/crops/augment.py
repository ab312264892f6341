"""Crops of samples, standardised and augmented as a camera, a lens and an installation would vary them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from lpnet_rt.frames import GreyImage
from lpnet_rt.preprocessing.frame_and_local import STD_FLOOR_8BIT, STD_FLOOR_RAW, standardise
from lpnet_rt.training.data.frames import IGNORE, LabelledFrame

__all__ = ["Crop", "count_unit", "cut_crop", "lay_targets"]

Crop = tuple[NDArray[np.float32], NDArray[np.uint8]]

# What spoils a frame is stated in counts of an 8-bit frame. A deeper frame's range, without its outermost pixels and at
# least so many counts, stands for those 255.
_PERCENTILES = (0.01, 99.99)
_RANGE_FLOOR_COUNTS = 64.0


def cut_crop(
    sample: LabelledFrame, side_px: int, centre_xy: tuple[float, float] | None, synthetic: bool, rng: Generator
) -> Crop:
    """Cut one augmented crop.

    Args:
        sample: The frame; its mean and deviation are taken before the cut, as at run time.
        side_px: Side of the crop.
        centre_xy: A point that must lie in the crop, or None for any place.
        synthetic: Lay synthetic targets into it.
        rng: Source of all chance.

    Returns:
        (2, side, side) float32, see ``preprocessing.frame_and_local``, and (side, side) uint8 truth (0, 128 or 255).
    """
    counts = sample.image.astype(np.float32)
    floor = STD_FLOOR_8BIT if sample.image.dtype == np.uint8 else STD_FLOOR_RAW
    mean, std, unit = float(counts.mean()), max(float(counts.std()), floor), count_unit(sample.image)
    image, truth = _warp(counts - np.float32(mean), sample.truth.mask, side_px, centre_xy, rng)
    turns = int(rng.integers(4)) if rng.random() < 0.5 else 0  # horizons are level more often than not
    flip = bool(rng.integers(2))
    image, truth = np.rot90(image, turns), np.rot90(truth, turns)
    if flip:
        image, truth = image[:, ::-1], truth[:, ::-1]
    image, truth = np.ascontiguousarray(image, np.float32), np.ascontiguousarray(truth)
    if synthetic:
        lay_targets(image, truth, rng, unit)
    image = _degrade(image, truth, rng, unit)
    return standardise(image, std), truth


def count_unit(image: GreyImage) -> float:
    """How many counts of a frame are as much as one of an 8-bit frame; 1 for an 8-bit frame.

    Args:
        image: (H, W) uint8 or uint16, raw counts.
    """
    if image.dtype == np.uint8:
        return 1.0
    low, high = np.percentile(image, _PERCENTILES)
    return max(float(high - low), _RANGE_FLOOR_COUNTS) / 255.0


def _warp(
    image: NDArray[np.float32],
    truth: NDArray[np.uint8],
    side_px: int,
    centre_xy: tuple[float, float] | None,
    rng: Generator,
) -> Crop:
    """Scale (in four crops of ten) and cut in one step; beyond the frame it is mirrored."""
    height, width = truth.shape
    scale = float(np.exp(rng.uniform(np.log(0.7), np.log(1.4)))) if rng.random() < 0.4 else 1.0
    span = side_px / scale
    if centre_xy is None:
        centre_xy = (rng.uniform(0, width), rng.uniform(0, height))
    left = _place(centre_xy[0], span, width, rng)
    top = _place(centre_xy[1], span, height, rng)
    if scale == 1.0:
        left, top = round(left), round(top)
    matrix = np.array([[scale, 0.0, -left * scale], [0.0, scale, -top * scale]])
    size = (side_px, side_px)
    border = cv2.BORDER_REFLECT_101
    cut = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=border)
    if scale == 1.0:
        cut_truth = cv2.warpAffine(truth, matrix, size, flags=cv2.INTER_NEAREST, borderMode=border)
    else:
        target = np.asarray(truth == 255, np.float32)
        ignored = np.asarray(truth == IGNORE, np.uint8)
        share = cv2.warpAffine(target, matrix, size, flags=cv2.INTER_LINEAR, borderMode=border)
        ignore = cv2.warpAffine(ignored, matrix, size, flags=cv2.INTER_NEAREST, borderMode=border)
        cut_truth = np.where(share >= 0.5, 255, np.where(ignore > 0, IGNORE, 0)).astype(np.uint8)
    return np.asarray(cut, np.float32), np.asarray(cut_truth, np.uint8)


def _place(centre: float, span: float, length: int, rng: Generator) -> float:
    """First pixel of the crop along one axis: the point lies inside, the crop inside the frame where it can."""
    margin = min(16.0, span / 4)
    low, high = centre - span + margin, centre - margin
    if length > span:
        low, high = max(0.0, min(low, length - span)), min(max(high, 0.0), length - span)
    return float(rng.uniform(min(low, high), max(low, high)))


def _degrade(image: NDArray[np.float32], truth: NDArray[np.uint8], rng: Generator, unit: float) -> NDArray[np.float32]:
    """Blur, gain, offset, noise, stripes and dead pixels, in counts."""
    if rng.random() < 0.15:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 0.9))), np.float32)
    image = image * np.float32(np.exp(rng.uniform(-0.5, 0.5))) + np.float32(rng.normal(0, 10.0) * unit)
    if rng.random() < 0.4:
        sigma = np.exp(rng.uniform(np.log(0.3), np.log(4.0))) * unit
        image += rng.standard_normal(image.shape, np.float32) * np.float32(sigma)
    if rng.random() < 0.15:
        stripes = rng.standard_normal((1, image.shape[1]), np.float32) * np.float32(rng.uniform(0.0, 3.0) * unit)
        image += stripes if rng.random() < 0.7 else stripes.T
    if rng.random() < 0.25:
        _spoil_pixels(image, truth, rng, unit)
    return image


def _spoil_pixels(image: NDArray[np.float32], truth: NDArray[np.uint8], rng: Generator, unit: float) -> None:
    """Set single pixels, away from targets, hot or cold: a detector's dead pixels are no targets."""
    count = int(rng.integers(1, 12))
    ys, xs = rng.integers(0, image.shape[0], count), rng.integers(0, image.shape[1], count)
    free = truth[ys, xs] == 0
    image[ys[free], xs[free]] += (rng.choice((-1.0, 1.0), count) * rng.uniform(10.0, 150.0, count) * unit)[free]


def lay_targets(image: NDArray[np.float32], truth: NDArray[np.uint8], rng: Generator, unit: float = 1.0) -> None:
    """Lay one to three dim synthetic targets into a crop, in place, with their pixels over half the peak as truth.

    A target is an elliptic Gaussian of 2 to 12 pixels across, 4 to 20 times the local deviation high.

    Args:
        image: (S, S) float32, counts.
        truth: (S, S) uint8.
        rng: Source of all chance.
        unit: See :func:`count_unit`; the local deviation counts as at least this much.
    """
    side = image.shape[0]
    ys, xs = np.mgrid[-10:11, -10:11].astype(np.float32)
    for _ in range(int(rng.integers(1, 4))):
        x, y = (int(v) for v in rng.integers(12, side - 12, 2))
        window = (slice(y - 10, y + 11), slice(x - 10, x + 11))
        sigma_x, sigma_y = np.exp(rng.uniform(np.log(0.7), np.log(3.0))) * np.exp(rng.uniform(-0.3, 0.3, 2))
        angle = rng.uniform(0, np.pi)
        dx, dy = rng.uniform(-0.5, 0.5, 2)
        u = (xs - dx) * np.cos(angle) + (ys - dy) * np.sin(angle)
        v = (ys - dy) * np.cos(angle) - (xs - dx) * np.sin(angle)
        shape = np.exp(-0.5 * ((u / sigma_x) ** 2 + (v / sigma_y) ** 2)).astype(np.float32)
        noise = max(float(np.std(image[window])), unit)
        image[window] += shape * np.float32(noise * rng.uniform(4.0, 20.0))
        region = truth[window]
        region[shape >= 0.5 * shape.max()] = 255
