"""Headers of image files, read without decoding them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from mmap import mmap

__all__ = ["HeaderError", "ImageHeader", "image_headers", "is_complete"]

# Markers of JPEG that start a frame header: SOF0 to SOF15 without DHT (C4), JPG (C8) and DAC (CC).
_JPEG_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_JPEG_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_TIFF_SUBFILE, _TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_BITS, _TIFF_CHANNELS = 254, 256, 257, 258, 277
# Bits of the subfile type: a reduced copy of another page, or a mask; neither is a separate picture.
_TIFF_NO_PICTURE = 0b101
_MAX_TIFF_PAGES = 100_000
_TIFF_FORMAT = {1: "B", 3: "H", 4: "I", 16: "Q"}

Bytes = bytes | mmap


class HeaderError(Exception):
    """The bytes are not the header of a PNG, BMP, JPEG or TIFF file."""


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """Contents of a picture's header.

    Attributes:
        size_hw: Height and width in pixels.
        channels: Values per pixel.
        bits: Bits per value that a decoder holds, 1 to 64.
        page: Index of its page in the file, from 0, as the decoder counts.
    """

    size_hw: tuple[int, int]
    channels: int = 1
    bits: int = 8
    page: int = 0

    @property
    def decoded_bytes(self) -> int:
        """Bytes that a decoder holds for the whole picture."""
        return self.size_hw[0] * self.size_hw[1] * self.channels * -(-self.bits // 8)


def image_headers(data: Bytes) -> list[ImageHeader]:
    """Read the headers of the pictures in a PNG, BMP, JPEG or TIFF file: one, or one per page of a TIFF.

    A TIFF's reduced copies and masks are left out.

    Args:
        data: The whole file; only its headers are read.

    Returns:
        At least one header.

    Raises:
        HeaderError: It is not one of these formats, or the file ends within its header.
    """
    reader = _reader(data)
    if reader is None:
        raise HeaderError("not a PNG, BMP, JPEG or TIFF file")
    try:
        return reader(data)
    except (struct.error, IndexError) as error:
        raise HeaderError("the file ends within its header") from error


def is_complete(data: Bytes) -> bool:
    """Return whether the file's end is present, for formats whose decoders fill in what is missing.

    A truncated PNG, JPEG or BMP is decoded without an error, with a grey or black lower part; a truncated TIFF is not.
    """
    if data[:4] == b"\x89PNG":
        return data.rfind(b"IEND") >= 0
    if data[:2] == b"\xff\xd8":
        return data.rfind(b"\xff\xd9") > data.rfind(b"\xff\xda")
    if data[:2] == b"BM":
        return _bmp_is_complete(data)
    return True


def _reader(data: Bytes) -> Callable[[Bytes], list[ImageHeader]] | None:
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return _png_headers
    if data[:2] == b"BM":
        return _bmp_headers
    if data[:3] == b"\xff\xd8\xff":
        return _jpeg_headers
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _tiff_headers
    return None


def _png_headers(data: Bytes) -> list[ImageHeader]:
    width, height, bits, kind = struct.unpack(">IIBB", data[16:26])
    return [ImageHeader((height, width), _PNG_CHANNELS.get(kind, 4), bits)]


def _bmp_headers(data: Bytes) -> list[ImageHeader]:
    (header_bytes,) = struct.unpack("<I", data[14:18])
    old = header_bytes == 12
    width, height, _, bits = struct.unpack("<HHHH" if old else "<iiHH", data[18 : 26 if old else 30])
    return [ImageHeader((abs(height), abs(width)), max(bits // 8, 1), 8)]


def _bmp_is_complete(data: Bytes) -> bool:
    pixels_at, header_bytes = struct.unpack("<II", data[10:18])
    if header_bytes == 12:
        return True
    height, width = _bmp_headers(data)[0].size_hw
    bits, compression = struct.unpack("<HI", data[28:34])
    line_bytes = (width * bits + 31) // 32 * 4
    return compression not in (0, 3) or len(data) >= pixels_at + line_bytes * height


def _jpeg_headers(data: Bytes) -> list[ImageHeader]:
    at = 2
    while True:
        while data[at] == 0xFF and data[at + 1] == 0xFF:
            at += 1
        if data[at] != 0xFF:
            raise HeaderError("a JPEG file without a frame header")
        marker = data[at + 1]
        if marker in _JPEG_FRAME:
            height, width, channels = struct.unpack(">HHB", data[at + 5 : at + 10])
            # A decoder holds a progressive picture as 16-bit coefficients until its last scan.
            return [ImageHeader((height, width), max(channels, 1), 16 if marker in _JPEG_PROGRESSIVE else 8)]
        if marker in _JPEG_STANDALONE:
            at += 2
            continue
        (length,) = struct.unpack(">H", data[at + 2 : at + 4])
        at += 2 + length


def _tiff_headers(data: Bytes) -> list[ImageHeader]:
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    (at,) = _unpack(data, order + ("Q" if big else "I"), 8 if big else 4)
    headers: list[ImageHeader] = []
    seen: set[int] = set()
    while at and at not in seen and len(seen) < _MAX_TIFF_PAGES:
        try:
            tags, following = _tiff_page(data, order, big, at)
        except struct.error:
            if headers:
                raise HeaderError(f"a TIFF file that ends within page {len(seen) + 1}") from None
            raise
        if not tags.get(_TIFF_SUBFILE, 0) & _TIFF_NO_PICTURE:
            headers.append(_tiff_header(tags, len(seen)))
        seen.add(at)
        at = following
    if not headers:
        raise HeaderError("a TIFF file without a picture")
    return headers


def _tiff_header(tags: dict[int, int], page: int) -> ImageHeader:
    if _TIFF_WIDTH not in tags or _TIFF_HEIGHT not in tags:
        raise HeaderError("a TIFF file without a width and a height")
    size_hw = (tags[_TIFF_HEIGHT], tags[_TIFF_WIDTH])
    return ImageHeader(size_hw, max(tags.get(_TIFF_CHANNELS, 1), 1), min(max(tags.get(_TIFF_BITS, 1), 1), 64), page)


def _tiff_page(data: Bytes, order: str, big: bool, at: int) -> tuple[dict[int, int], int]:
    """Read the relevant tags of the page at an offset, and the offset of the next page (0: none)."""
    count_format, entry_bytes, offset_format = ("Q", 20, "Q") if big else ("H", 12, "I")
    (entries,) = _unpack(data, order + count_format, at)
    at += struct.calcsize(order + count_format)
    end = at + entries * entry_bytes
    if end > len(data):
        raise struct.error
    tags: dict[int, int] = {}
    for entry in range(at, end, entry_bytes):
        tag, kind = _unpack(data, order + "HH", entry)
        if tag not in (_TIFF_SUBFILE, _TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_BITS, _TIFF_CHANNELS):
            continue
        if kind not in _TIFF_FORMAT:
            continue
        count, value_at = _unpack(data, order + offset_format, entry + 4)[0], entry + (12 if big else 8)
        if count * struct.calcsize(_TIFF_FORMAT[kind]) > (8 if big else 4):
            (value_at,) = _unpack(data, order + offset_format, value_at)
        (tags[tag],) = _unpack(data, order + _TIFF_FORMAT[kind], value_at)
    (following,) = _unpack(data, order + offset_format, end)
    return tags, following


def _unpack(data: Bytes, layout: str, at: int) -> tuple[int, ...]:
    return struct.unpack(layout, data[at : at + struct.calcsize(layout)])
