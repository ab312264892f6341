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

# Share of crops around a target in which it is enlarged, and to what extent: an approaching target must not vanish.
_ENLARGED_SHARE = 0.15
_ENLARGED_PX = (12.0, 64.0)
_MAX_ENLARGEMENT = 6.0
# A place counts as sky where its surroundings deviate by no more than this, in counts of an 8-bit frame.
_SKY_STD = 4.0
_SKY_TRIES = 24


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
    scale = _pick_scale(sample.truth.mask, centre_xy, rng)
    image, truth = _warp(counts - np.float32(mean), sample.truth.mask, (side_px, scale), centre_xy, rng)
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


def _pick_scale(truth: NDArray[np.uint8], centre_xy: tuple[float, float] | None, rng: Generator) -> float:
    """Enlarge a target to as much as a quarter of the crop now and then, scale four crops of ten, leave the others."""
    chance = rng.random()
    if centre_xy is not None and chance < _ENLARGED_SHARE:
        x, y = (round(value) for value in centre_xy)
        near = truth[max(y - 24, 0) : y + 25, max(x - 24, 0) : x + 25] == 255
        ys, xs = np.nonzero(near)
        if len(xs):
            extent_px = float(max(np.ptp(xs), np.ptp(ys)) + 1)
            wanted_px = np.exp(rng.uniform(*np.log(_ENLARGED_PX)))
            return float(np.clip(wanted_px / extent_px, 1.0, _MAX_ENLARGEMENT))
    return float(np.exp(rng.uniform(np.log(0.65), np.log(1.5)))) if chance < _ENLARGED_SHARE + 0.4 else 1.0


def _warp(
    image: NDArray[np.float32],
    truth: NDArray[np.uint8],
    side_and_scale: tuple[int, float],
    centre_xy: tuple[float, float] | None,
    rng: Generator,
) -> Crop:
    """Scale and cut in one step; beyond the frame it is mirrored."""
    height, width = truth.shape
    side_px, scale = side_and_scale
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
    smooth = cv2.INTER_CUBIC if scale > 1.5 else cv2.INTER_LINEAR
    cut = cv2.warpAffine(image, matrix, size, flags=smooth, borderMode=border)
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
    """What optics, gain control, the sensor and compression do to a frame, in this order; in counts."""
    if rng.random() < 0.15:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 0.9))), np.float32)
    image = _control_gain(image, rng, unit)
    image = image * np.float32(np.exp(rng.uniform(-0.5, 0.5))) + np.float32(rng.normal(0, 10.0) * unit)
    image += _sensor_noise(image.shape, rng) * np.float32(unit)
    if rng.random() < 0.25:
        _spoil_pixels(image, truth, rng, unit)
    return _compress(image, rng, unit)


def _control_gain(image: NDArray[np.float32], rng: Generator, unit: float) -> NDArray[np.float32]:
    """A camera's gain control now and then: a tone curve, or an equalisation of parts of the picture."""
    chance = rng.random()
    if chance < 0.15:
        scale = max(float(image.std()), unit)
        power = float(np.exp(rng.uniform(-0.35, 0.35)))
        return np.asarray(np.sign(image) * np.abs(image / scale) ** power * scale, np.float32)
    if chance < 0.21:
        low, high = float(image.min()), float(image.max())
        scale = 65535.0 / max(high - low, unit)
        parts = int(rng.integers(2, 9))
        equalise = cv2.createCLAHE(float(rng.uniform(1.0, 4.0)), (parts, parts))
        equalised = equalise.apply(((image - low) * scale).astype(np.uint16)).astype(np.float32) / scale + low
        share = np.float32(rng.uniform(0.3, 1.0))
        return np.asarray(image + share * (equalised - image), np.float32)
    return image


def _sensor_noise(shape_hw: tuple[int, ...], rng: Generator) -> NDArray[np.float32]:
    """(H, W) noise from frame to frame, stripes of rows or columns, and shading that drifts; in counts of 8 bits."""
    noise = np.zeros(shape_hw, np.float32)
    if rng.random() < 0.4:
        sigma = np.exp(rng.uniform(np.log(0.3), np.log(4.0)))
        noise += rng.standard_normal(shape_hw, np.float32) * np.float32(sigma)
    if rng.random() < 0.15:
        stripes = rng.standard_normal((1, shape_hw[1]), np.float32) * np.float32(rng.uniform(0.0, 3.0))
        noise += stripes if rng.random() < 0.7 else stripes.T
    if rng.random() < 0.2:
        coarse = rng.standard_normal((4, 4), np.float32) * np.float32(rng.uniform(0.0, 12.0))
        noise += np.asarray(cv2.resize(coarse, (shape_hw[1], shape_hw[0]), interpolation=cv2.INTER_CUBIC), np.float32)
    return noise


def _compress(image: NDArray[np.float32], rng: Generator, unit: float) -> NDArray[np.float32]:
    """What a coder of 8 bits leaves of a frame, in one crop of eight; the others stay as they are."""
    if rng.random() >= 0.12:
        return image
    middle = float(np.median(image))
    picture = np.clip((image - middle) / unit + 100.0, 0.0, 255.0).astype(np.uint8)
    _, coded = cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 93))))
    decoded = np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), np.float32)
    return (decoded - np.float32(100.0)) * np.float32(unit) + np.float32(middle)


def _spoil_pixels(image: NDArray[np.float32], truth: NDArray[np.uint8], rng: Generator, unit: float) -> None:
    """Spoil pixels away from targets, as a detector's dead pixels are no targets: single ones, and cold groups."""
    count = int(rng.integers(1, 12))
    ys, xs = rng.integers(0, image.shape[0], count), rng.integers(0, image.shape[1], count)
    free = truth[ys, xs] == 0
    image[ys[free], xs[free]] += (rng.choice((-1.0, 1.0), count) * rng.uniform(10.0, 150.0, count) * unit)[free]
    for y, x in zip(ys[: count // 3], xs[: count // 3], strict=True):
        height, width = rng.integers(2, 4, 2)
        group = (slice(y, y + height), slice(x, x + width))
        if not truth[group].any():
            image[group] -= np.float32(rng.uniform(10.0, 150.0) * unit)


def lay_targets(image: NDArray[np.float32], truth: NDArray[np.uint8], rng: Generator, unit: float = 1.0) -> None:
    """Lay one to three dim synthetic targets into a crop's sky, in place; their truth is what is over half the peak.

    A target is an elliptic Gaussian of 2 to 12 pixels across, 3 to 20 times the local deviation high. A crop without
    sky, where surroundings are even, gets none: targets laid on ground teach a network to see them in clutter.

    Args:
        image: (S, S) float32, counts.
        truth: (S, S) uint8.
        rng: Source of all chance.
        unit: See :func:`count_unit`; the local deviation counts as at least this much.
    """
    side = image.shape[0]
    ys, xs = np.mgrid[-10:11, -10:11].astype(np.float32)
    wanted = int(rng.integers(1, 4))
    for x, y in rng.integers(12, side - 12, (_SKY_TRIES, 2)):
        if not wanted or np.std(image[y - 10 : y + 11, x - 10 : x + 11]) > _SKY_STD * unit:
            continue
        wanted -= 1
        window = (slice(y - 10, y + 11), slice(x - 10, x + 11))
        sigma_x, sigma_y = np.exp(rng.uniform(np.log(0.7), np.log(3.0))) * np.exp(rng.uniform(-0.3, 0.3, 2))
        angle = rng.uniform(0, np.pi)
        dx, dy = rng.uniform(-0.5, 0.5, 2)
        u = (xs - dx) * np.cos(angle) + (ys - dy) * np.sin(angle)
        v = (ys - dy) * np.cos(angle) - (xs - dx) * np.sin(angle)
        shape = np.exp(-0.5 * ((u / sigma_x) ** 2 + (v / sigma_y) ** 2)).astype(np.float32)
        noise = max(float(np.std(image[window])), unit)
        image[window] += shape * np.float32(noise * np.exp(rng.uniform(np.log(3.0), np.log(20.0))))
        region = truth[window]
        region[shape >= 0.5 * shape.max()] = 255
