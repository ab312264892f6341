"""Frame: what a source delivers; raw pixels to model input; raw pixels to a picture for the eye.

Coordinates: x to the right, y down, the centre of the first pixel is (0, 0). Sizes are ``_hw`` inside; OpenCV's
``_wh`` order appears only at its door.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

__all__ = ["Frame", "GreyImage", "ModelInput", "display_stretch", "model_input", "standardise", "to_grey"]

GreyImage = NDArray[np.uint8] | NDArray[np.uint16]
ModelInput = NDArray[np.float32]

# Below these standard deviations (in counts) a frame is taken as flat: it is not stretched further, so that the
# noise of an empty sky is never blown up to look like a scene. An 8-bit camera has already been through the camera's
# own gain control; 10-bit to 16-bit frames are raw counts, with some counts of noise.
STD_FLOOR_8BIT = 4.0
STD_FLOOR_RAW = 12.0
LOCAL_BLOCKS = 9
LOCAL_STD_FLOOR = 2.0
LOCAL_LIMIT = 12.0
_STRIP_ROWS = 128


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a source, never changed by any stage.

    Attributes:
        image: (H, W) uint8 or uint16, grey, raw counts, marked read-only.
        index: Position in the source, from 0; dropped frames leave gaps.
        source: Name of the source as it stands in message topics.
        pts_s: Time in the stream, seconds, or None where the source has no clock of its own; it starts again with
            every reconnection.
        t_capture_us: Wall clock (Unix time, microseconds) at which the frame was captured or read; see ``clock``.
        t_read_ns: Monotonic clock (nanoseconds) at which the frame became available; latency counts from here.
        bit_depth: Significant bits of a count: 8, 10, 12, 14 or 16.
        dropped: Frames this source has dropped so far.
        file: Name of the file, without its folder, for sources that read one file per frame, else None.
        damage: None, or what is damaged in the picture, in one line; it is delivered, and must not pass as good.
        epoch: How often the size, the type or the bit depth of the pictures has changed since the source began.
        reconnects: How often the source was connected again before this frame; what moved meanwhile was not seen.
        clock: Whose clock ``t_capture_us`` is: the sender's, which an RTSP or RTP stream may report (RTCP), or that
            of this machine when the frame arrived. It may change from frame to frame.
    """

    image: GreyImage
    index: int
    source: str
    pts_s: float | None
    t_capture_us: int
    t_read_ns: int
    bit_depth: int = 8
    dropped: int = 0
    file: str | None = None
    damage: str | None = None
    epoch: int = 0
    reconnects: int = 0
    clock: Literal["sender", "arrival"] = "arrival"

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

    @property
    def stem(self) -> str | None:
        """File name without its suffix, or None."""
        return None if self.file is None else PurePath(self.file).stem


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
        multiple: Pad both sides, at the right and at the bottom, to a multiple of this many pixels, by mirroring;
            itself a multiple of 4.
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
    return standardise(image, max(float(std[0, 0]), floor), float(mean[0, 0]))[None]


def standardise(image: GreyImage | NDArray[np.float32], std: float, mean: float = 0.0) -> NDArray[np.float32]:
    """Both scales of a frame; see :func:`model_input`.

    Args:
        image: (H, W) uint8, uint16 or float32, counts; sides are multiples of 4.
        std: The frame's standard deviation in counts, floor included.
        mean: The frame's mean in counts, or 0 where it has been taken off.

    Returns:
        (2, H, W) float32, contiguous.
    """
    height, width = image.shape
    out = np.empty((2, height, width), np.float32)
    square = np.empty((min(_STRIP_ROWS, height), width), np.float32)
    # Local statistics live on a quarter of the side: a sixteenth of the work, and no worse for being smooth.
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
    """Rows of a frame, in strips that stay in a core's cache from one step to the next."""
    return (slice(top, min(top + _STRIP_ROWS, height)) for top in range(0, height, _STRIP_ROWS))


def _quarter(image: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Means of blocks of 4x4; OpenCV takes twice a half three times as fast as once a quarter."""
    height, width = image.shape
    half = cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    cv2.resize(half, (width // 4, height // 4), dst=out, interpolation=cv2.INTER_AREA)


def _four_times(small: NDArray[np.float32], rows: slice) -> MatLike:
    """The given rows of a map enlarged four times, as if all of it had been."""
    first, last = max(rows.start // 4 - 1, 0), min(rows.stop // 4 + 1, len(small))
    enlarged = cv2.resize(small[first:last], (4 * small.shape[1], 4 * (last - first)))
    return enlarged[rows.start - 4 * first : rows.stop - 4 * first]


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
