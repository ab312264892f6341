"""The rule ``frame-and-local``: native resolution, standardised by the frame and by each pixel's surroundings."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

from lpnet_rt.frames import GreyImage
from lpnet_rt.models.card import InputRule

__all__ = [
    "LOCAL_BLOCKS",
    "LOCAL_LIMIT",
    "LOCAL_STD_FLOOR",
    "STD_FLOOR_8BIT",
    "STD_FLOOR_RAW",
    "ModelInput",
    "model_input",
    "prepare",
    "restore",
    "standardise",
]

ModelInput = NDArray[np.float32]

# Lower limits of the standard deviation (in counts), so that the noise of an empty sky is not amplified to look like a
# scene. 8-bit frames have passed through the camera's gain control; 10-bit to 16-bit frames are raw counts, with some
# counts of noise.
STD_FLOOR_8BIT = 4.0
STD_FLOOR_RAW = 12.0
LOCAL_BLOCKS = 9
LOCAL_STD_FLOOR = 2.0
LOCAL_LIMIT = 12.0
_STRIP_ROWS = 128


def prepare(image: GreyImage, rule: InputRule) -> ModelInput:
    """See :func:`lpnet_rt.preprocessing.rules.prepare`."""
    return model_input(image, rule.multiple, rule.min_side_px)


def restore(scores: NDArray[np.float32], size_hw: tuple[int, int], _rule: InputRule) -> NDArray[np.float32]:
    """See :func:`lpnet_rt.preprocessing.rules.restore`."""
    height, width = size_hw
    return scores[0, 0, :height, :width]


def model_input(image: GreyImage, multiple: int = 4, min_side_px: int = 4) -> ModelInput:
    """Compute the network's input: the frame standardised as a whole, and locally.

    The first channel is ``(image - mean) / max(std, floor)`` with the frame's mean and standard deviation: a camera's
    gain, offset and depth make no difference. The second uses the mean and deviation of some 36 pixels around: a
    target of ten counts stands out equally beside warm ground and in an empty sky, also in bf16, which could not
    resolve it on the frame's scale. The floors keep an empty frame's noise small.

    Args:
        image: (H, W) uint8 or uint16, raw counts.
        multiple: Pad both sides, at the right and at the bottom, to a multiple of this many pixels, by mirroring;
            itself a multiple of 4.
        min_side_px: Pad both sides to at least this many pixels.

    Returns:
        (1, 2, H', W') float32, contiguous; H' = H and W' = W where no padding was needed.
    """
    height, width = image.shape
    padded_hw = tuple(max(-(-side // multiple) * multiple, min_side_px) for side in (height, width))
    if padded_hw != (height, width):
        right, bottom = padded_hw[1] - width, padded_hw[0] - height
        image = cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REFLECT_101)  # type: ignore[assignment]
    mean, std = cv2.meanStdDev(image)
    floor = STD_FLOOR_8BIT if image.dtype == np.uint8 else STD_FLOOR_RAW
    return standardise(image, max(float(std[0, 0]), floor), float(mean[0, 0]))[None]


def standardise(image: GreyImage | NDArray[np.float32], std: float, mean: float = 0.0) -> NDArray[np.float32]:
    """Standardise a frame globally and locally; see :func:`model_input`.

    Args:
        image: (H, W) uint8, uint16 or float32, counts; sides are multiples of 4.
        std: The frame's standard deviation in counts, floor included.
        mean: The frame's mean in counts, or 0 if already subtracted.

    Returns:
        (2, H, W) float32, contiguous.
    """
    height, width = image.shape
    out = np.empty((2, height, width), np.float32)
    square = np.empty((min(_STRIP_ROWS, height), width), np.float32)
    # Local statistics at a quarter of the side: a sixteenth of the work, and smooth enough.
    local_mean, local_square = np.empty((2, height // 4, width // 4), np.float32)
    for rows in _strips(height):
        small = slice(rows.start // 4, rows.stop // 4)
        centred = out[1, rows]
        np.copyto(centred, image[rows])
        np.subtract(centred, np.float32(mean), out=centred)
        np.multiply(centred, np.float32(1.0 / std), out=out[0, rows])
        cv2.multiply(centred, centred, dst=square[: len(centred)])
        _quarter(centred, local_mean[small])
        _quarter(square[: len(centred)], local_square[small])
    local_mean = cv2.blur(local_mean, (LOCAL_BLOCKS, LOCAL_BLOCKS))
    variance = cv2.blur(local_square, (LOCAL_BLOCKS, LOCAL_BLOCKS)) - local_mean * local_mean
    scale = 1.0 / np.sqrt(np.maximum(variance, np.float32(LOCAL_STD_FLOOR**2)))
    for rows in _strips(height):
        local = out[1, rows]
        cv2.subtract(local, _four_times(local_mean, rows), dst=local)
        cv2.multiply(local, _four_times(scale, rows), dst=local)
        np.clip(local, -LOCAL_LIMIT, LOCAL_LIMIT, out=local)
    return out


def _strips(height: int) -> Iterator[slice]:
    """Yield the rows of a frame in strips that stay in the CPU cache between steps."""
    return (slice(top, min(top + _STRIP_ROWS, height)) for top in range(0, height, _STRIP_ROWS))


def _quarter(image: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Compute means of 4x4 blocks; in OpenCV, halving twice is three times as fast as quartering once."""
    height, width = image.shape
    half = cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    cv2.resize(half, (width // 4, height // 4), dst=out, interpolation=cv2.INTER_AREA)


def _four_times(small: NDArray[np.float32], rows: slice) -> MatLike:
    """Return the given rows of the map enlarged four times."""
    first, last = max(rows.start // 4 - 1, 0), min(rows.stop // 4 + 1, len(small))
    enlarged = cv2.resize(small[first:last], (4 * small.shape[1], 4 * (last - first)))
    return enlarged[rows.start - 4 * first : rows.stop - 4 * first]
