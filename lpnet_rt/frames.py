"""Frame: what a source delivers; raw pixels to model input; raw pixels to a picture for the eye.

Coordinates: x to the right, y down, the centre of the first pixel is (0, 0). Sizes are ``_hw`` inside; OpenCV's
``_wh`` order appears only at its door.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Frame", "GreyImage", "ModelInput", "display_stretch", "model_input", "standardise", "to_grey"]

GreyImage = NDArray[np.uint8] | NDArray[np.uint16]
ModelInput = NDArray[np.float32]

# Below these standard deviations (in counts) a frame is taken as flat: it is not stretched further, so that the
# noise of an empty sky is never blown up to look like a scene. An 8-bit camera has already been through the camera's
# own gain control; 10-bit to 16-bit frames are raw counts, with some counts of noise.
STD_FLOOR_8BIT = 4.0
STD_FLOOR_RAW = 12.0
_LOCAL_BLOCKS = 9
_LOCAL_STD_FLOOR = 2.0
_LOCAL_LIMIT = 12.0


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a source, never changed by any stage.

    Attributes:
        image: (H, W) uint8 or uint16, grey, raw counts, marked read-only.
        index: Position in the source, from 0; dropped frames leave gaps.
        source: Name of the source as it stands in message topics.
        pts_s: Time in the stream, seconds, or None where the source has no clock of its own.
        t_capture_us: Wall clock (Unix time, microseconds) at which the frame was captured or read.
        t_read_ns: Monotonic clock (nanoseconds) at which the frame became available; latency counts from here.
        bit_depth: Significant bits of a count: 8, 10, 12, 14 or 16.
        dropped: Frames this source has dropped so far.
        stem: File stem for sources that read one file per frame, else None.
    """

    image: GreyImage
    index: int
    source: str
    pts_s: float | None
    t_capture_us: int
    t_read_ns: int
    bit_depth: int = 8
    dropped: int = 0
    stem: str | None = field(default=None)

    def __post_init__(self) -> None:
        image = self.image
        if image.ndim != 2 or image.dtype not in (np.uint8, np.uint16):
            raise ValueError(f"Frame.image: expected (H, W) uint8 or uint16, found {image.shape} {image.dtype}")
        image.flags.writeable = False

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.image.shape
        return height, width


def to_grey(image: NDArray[np.uint8] | NDArray[np.uint16]) -> GreyImage:
    """Return a grey image at the depth it came in.

    Args:
        image: (H, W), (H, W, 1), (H, W, 3) BGR or (H, W, 4) BGRA; uint8 or uint16.

    Returns:
        (H, W) of the same dtype.

    Raises:
        ValueError: For any other shape or dtype.
    """
    if image.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"image: expected uint8 or uint16, found {image.dtype}; convert it first")
    if image.ndim == 2:
        return image
    channels = image.shape[2] if image.ndim == 3 else 0
    if channels == 1:
        return image[:, :, 0]
    if channels == 3:
        return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)  # type: ignore[return-value]
    if channels == 4:
        return cv2.cvtColor(image, cv2.COLOR_BGRA2GRAY)  # type: ignore[return-value]
    raise ValueError(f"image: expected (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), found {image.shape}")


def model_input(image: GreyImage, multiple: int = 4, least: int = 4) -> ModelInput:
    """Make the network's input: the frame on its own scale, and every place on the scale of its surroundings.

    The first channel is ``(image - mean) / max(std, floor)`` with the frame's mean and standard deviation: a camera's
    gain, offset and depth make no difference. The second is the same with the mean and deviation of some 36
    pixels around: a target of ten counts is as plain there beside a hot ground as in an empty sky, and stays plain in
    bf16, which could not hold it on the frame's scale. The floors keep an empty frame's noise small.

    Args:
        image: (H, W) uint8 or uint16, raw counts.
        multiple: Pad both sides, at the right and at the bottom, to a multiple of this many pixels, by mirroring; itself
            a multiple of 4.
        least: Pad both sides to at least this many pixels.

    Returns:
        (1, 2, H', W') float32, contiguous; H' = H and W' = W where no padding was needed.
    """
    height, width = image.shape
    padded_hw = tuple(max(-(-side // multiple) * multiple, least) for side in (height, width))
    if padded_hw != (height, width):
        right, bottom = padded_hw[1] - width, padded_hw[0] - height
        image = cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REFLECT_101)  # type: ignore[assignment]
    mean, std = cv2.meanStdDev(image)
    floor = STD_FLOOR_8BIT if image.dtype == np.uint8 else STD_FLOOR_RAW
    offset = (float(mean[0, 0]), 0.0, 0.0, 0.0)
    centred = cv2.subtract(image, offset, dtype=cv2.CV_32F)  # type: ignore[call-overload]
    return standardise(np.asarray(centred, np.float32), max(float(std[0, 0]), floor))[None]


def standardise(centred: NDArray[np.float32], std: float) -> NDArray[np.float32]:
    """Both scales of a frame whose mean has been taken off; see :func:`model_input`.

    Args:
        centred: (H, W) float32, counts; sides are multiples of 4.
        std: The frame's standard deviation in counts, floor included.

    Returns:
        (2, H, W) float32, contiguous.
    """
    height, width = centred.shape
    out = np.empty((2, height, width), np.float32)
    np.multiply(centred, np.float32(1.0 / std), out=out[0])
    # Local statistics live on a quarter of the side: a sixteenth of the work, and no worse for being smooth.
    small_wh = (width // 4, height // 4)
    mean = cv2.resize(centred, small_wh, interpolation=cv2.INTER_AREA)
    square = cv2.resize(cv2.multiply(centred, centred), small_wh, interpolation=cv2.INTER_AREA)
    mean = cv2.blur(mean, (_LOCAL_BLOCKS, _LOCAL_BLOCKS))
    variance = cv2.blur(square, (_LOCAL_BLOCKS, _LOCAL_BLOCKS)) - mean * mean
    scale = 1.0 / np.sqrt(np.maximum(variance, np.float32(_LOCAL_STD_FLOOR**2)))
    cv2.subtract(centred, cv2.resize(mean, (width, height)), dst=out[1])
    cv2.multiply(out[1], cv2.resize(scale, (width, height)), dst=out[1])
    np.clip(out[1], -_LOCAL_LIMIT, _LOCAL_LIMIT, out=out[1])
    return out


def display_stretch(image: GreyImage) -> NDArray[np.uint8]:
    """Return an 8-bit picture for the eye; the model never sees it.

    An 8-bit frame is returned as it is. A deeper one is stretched between its 0.5 and 99.8 percentiles, at least
    64 counts apart, measured on every fourth row and column.

    Args:
        image: (H, W) uint8 or uint16.

    Returns:
        (H, W) uint8.
    """
    if image.dtype == np.uint8:
        return image  # type: ignore[return-value]
    low, high = np.percentile(image[::4, ::4], (0.5, 99.8))
    span = max(float(high - low), 64.0)
    scale = 255.0 / span
    stretched = np.clip((image.astype(np.float32) - np.float32(low)) * np.float32(scale), 0.0, 255.0)
    picture: NDArray[np.uint8] = stretched.astype(np.uint8)
    return picture
