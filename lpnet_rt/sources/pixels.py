"""Pixels: convert a decoded video frame to grey counts at full depth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import av
import numpy as np
from numpy.typing import NDArray

from lpnet_rt.errors import SourceError
from lpnet_rt.frames import GreyImage, to_grey
from lpnet_rt.sources.colour import SMALL_WH, channel_spread

__all__ = ["frame_colour", "grey_pixels"]

_PACKED_LUMA_OFFSET = {"yuyv422": 0, "yvyu422": 0, "uyvy422": 1, "ya8": 0}
_MSB_ALIGNED = ("p010", "p012", "p210", "p212", "p410", "p412", "y210", "y212")
_DEPTHS = (8, 10, 12, 14, 16)


@dataclass(frozen=True, slots=True)
class _Luma:
    """Layout of the luma counts in plane 0 of a pixel format.

    Attributes:
        dtype: Type of a stored count, including byte order.
        offset: Counts before the first luma count of a line.
        step: Counts from one luma count to the next.
        shift: Bits of padding below the lowest bit of a count.
        bit_depth: Significant bits.
    """

    dtype: str
    offset: int
    step: int
    shift: int
    bit_depth: int


def grey_pixels(frame: av.VideoFrame) -> tuple[GreyImage, int]:
    """Return a frame's grey counts at full depth, as a copy.

    The luma plane of a grey or YUV format is used unchanged: the counts are those that the camera or the encoder
    wrote, limited-range video (16 to 235) is not stretched, and 10 to 16 bits stay 10 to 16 bits. RGB formats become
    grey by the standard weights: 8 bits from 8, 16 bits from more.

    Args:
        frame: Decoded frame of any pixel format that holds integers.

    Returns:
        (H, W) uint8 or uint16 in native byte order, contiguous; and its significant bits (8, 10, 12, 14 or 16).

    Raises:
        SourceError: The pixel format holds floating-point numbers or is on another device.
    """
    luma = _luma_layout(frame.format.name)
    if luma is not None and frame.planes[0].line_size > 0:
        return _read_luma(frame, luma), luma.bit_depth
    deep = _deepest_bits(frame.format, frame.format.name) > 8
    if frame.format.is_rgb or frame.format.has_palette:
        target = "bgr48le" if deep else "bgr24"
    else:
        target = "gray16le" if deep else "gray"
    converted = frame.reformat(format=target).to_ndarray()
    if deep:
        return to_grey(converted.astype(np.uint16, order="C", copy=False)), 16
    return to_grey(converted.astype(np.uint8, order="C", copy=False)), 8


def frame_colour(frame: av.VideoFrame) -> float | None:
    """Return how colourful a decoded frame is, see ``sources.colour``, from some of its pixels; None for grey formats.

    The spread of red, green and blue follows from the two chroma counts of a pixel (ITU-R BT.601); formats that do not
    store those in planes of bytes are converted.
    """
    kind = frame.format
    if len(kind.components) < 3 and not kind.has_palette:
        return None
    if kind.is_rgb or kind.has_palette or len(frame.planes) < 2 or kind.components[1].bits != 8:
        small = frame.reformat(width=SMALL_WH[0], height=SMALL_WH[1], format="rgb24").to_ndarray()
        return channel_spread(small.astype(np.uint8, copy=False))
    if len(frame.planes) == 2:
        both = _chroma(frame.planes[1], counts=2)
        blue, red = both[:, 0::2], both[:, 1::2]  # NV21 has them the other way round, with much the same spread
    else:
        blue, red = _chroma(frame.planes[1]), _chroma(frame.planes[2])
    channels = np.stack((1.402 * red, 1.772 * blue, -0.344 * blue - 0.714 * red), axis=2)
    return float(np.ptp(channels, axis=2).mean()) / 255


def _chroma(plane: av.video.plane.VideoPlane, counts: int = 1) -> NDArray[np.float32]:
    """Return every fourth row of a plane of chroma bytes, ``counts`` per pixel, relative to grey."""
    rows = np.frombuffer(memoryview(plane), np.uint8)[: plane.height * plane.line_size].reshape(plane.height, -1)
    relative: NDArray[np.float32] = rows[::4, : counts * plane.width].astype(np.float32) - 128
    return relative


def _deepest_bits(video_format: av.VideoFormat, name: str) -> int:
    bits = max((component.bits for component in video_format.components), default=0)
    if bits == 0 or bits > 16 or "f16" in name or "f32" in name:
        raise SourceError(f"expected pixels of 1 to 16 bits, found the pixel format {name}; convert the video")
    return bits


@lru_cache(maxsize=64)
def _luma_layout(name: str) -> _Luma | None:
    """Return the layout of luma, or None if the frame must be converted first."""
    video_format = av.VideoFormat(name, 16, 16)
    bits = _deepest_bits(video_format, name)
    if name in _PACKED_LUMA_OFFSET:
        return _Luma("u1", _PACKED_LUMA_OFFSET[name], 2, 0, 8)
    components = video_format.components
    is_planar_luma = components[0].is_luma and sum(component.plane == 0 for component in components) == 1
    if not is_planar_luma or video_format.has_palette or bits < 8:
        return None
    bit_depth = min(depth for depth in _DEPTHS if depth >= bits)
    if bits == 8:
        return _Luma("u1", 0, 1, 0, 8)
    padded = name.startswith(_MSB_ALIGNED) or "msb" in name
    return _Luma(">u2" if video_format.is_big_endian else "<u2", 0, 1, 16 - bits if padded else 0, bit_depth)


def _read_luma(frame: av.VideoFrame, luma: _Luma) -> GreyImage:
    plane = frame.planes[0]
    dtype = np.dtype(luma.dtype)
    lines = np.frombuffer(memoryview(plane), dtype)
    per_line = plane.line_size // dtype.itemsize
    end = luma.offset + frame.width * luma.step
    counts = lines[: frame.height * per_line].reshape(frame.height, per_line)[:, luma.offset : end : luma.step]
    # The decoder reuses its buffers, so the counts are copied once.
    if luma.shift:
        shifted: NDArray[np.uint16] = np.right_shift(counts, luma.shift).astype(np.uint16, copy=False)
        return shifted
    if dtype.itemsize == 1:
        return counts.astype(np.uint8, order="C", copy=True)
    return counts.astype(np.uint16, order="C", copy=True)
