"""Headers: the size of an image file, read without decoding it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from mmap import mmap

__all__ = ["HeaderError", "image_size", "is_complete"]

# Markers of JPEG that start a frame header: SOF0 to SOF15 without DHT (C4), JPG (C8) and DAC (CC).
_JPEG_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257
_TIFF_FORMAT = {1: "B", 3: "H", 4: "I", 16: "Q"}

Bytes = bytes | mmap


class HeaderError(Exception):
    """The bytes are not the header of a PNG, BMP, JPEG or TIFF file."""


def image_size(data: Bytes) -> tuple[int, int]:
    """Read the size of the first image of a PNG, BMP, JPEG or TIFF file.

    Args:
        data: The whole file; only its header is touched.

    Returns:
        Height and width in pixels.

    Raises:
        HeaderError: It is none of these formats, or the file ends within its header.
    """
    reader = _reader(data)
    if reader is None:
        raise HeaderError("not a PNG, BMP, JPEG or TIFF file")
    try:
        return reader(data)
    except (struct.error, IndexError) as error:
        raise HeaderError("the file ends within its header") from error


def is_complete(data: Bytes) -> bool:
    """Tell whether the file's end is there, for the formats whose decoders would fill up what is missing.

    A cut PNG, JPEG or BMP is decoded without an error, its lower part grey or black; a cut TIFF is not.
    """
    if data[:4] == b"\x89PNG":
        return data.rfind(b"IEND") >= 0
    if data[:2] == b"\xff\xd8":
        return data.rfind(b"\xff\xd9") > data.rfind(b"\xff\xda")
    if data[:2] == b"BM":
        return _bmp_is_complete(data)
    return True


def _reader(data: Bytes) -> Callable[[Bytes], tuple[int, int]] | None:
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return _png_size
    if data[:2] == b"BM":
        return _bmp_size
    if data[:3] == b"\xff\xd8\xff":
        return _jpeg_size
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _tiff_size
    return None


def _png_size(data: Bytes) -> tuple[int, int]:
    width, height = struct.unpack(">II", data[16:24])
    return height, width


def _bmp_size(data: Bytes) -> tuple[int, int]:
    (header_bytes,) = struct.unpack("<I", data[14:18])
    width, height = struct.unpack("<HH", data[18:22]) if header_bytes == 12 else struct.unpack("<ii", data[18:26])
    return abs(height), abs(width)


def _bmp_is_complete(data: Bytes) -> bool:
    pixels_at, header_bytes = struct.unpack("<II", data[10:18])
    if header_bytes == 12:
        return True
    height, width = _bmp_size(data)
    bits, compression = struct.unpack("<HI", data[28:34])
    line_bytes = (width * bits + 31) // 32 * 4
    return compression not in (0, 3) or len(data) >= pixels_at + line_bytes * height


def _jpeg_size(data: Bytes) -> tuple[int, int]:
    at = 2
    while True:
        while data[at] == 0xFF and data[at + 1] == 0xFF:
            at += 1
        if data[at] != 0xFF:
            raise HeaderError("a JPEG file without a frame header")
        marker = data[at + 1]
        if marker in _JPEG_FRAME:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return height, width
        if marker in _JPEG_ALONE:
            at += 2
            continue
        (length,) = struct.unpack(">H", data[at + 2 : at + 4])
        at += 2 + length


def _tiff_size(data: Bytes) -> tuple[int, int]:
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    offset_format, count_format, entry_bytes = ("Q", "Q", 20) if big else ("I", "H", 12)
    (at,) = _unpack(data, order + offset_format, 8 if big else 4)
    (entries,) = _unpack(data, order + count_format, at)
    at += struct.calcsize(order + count_format)
    found: dict[int, int] = {}
    for entry in range(at, at + entries * entry_bytes, entry_bytes):
        tag, kind = _unpack(data, order + "HH", entry)
        if tag in (_TIFF_WIDTH, _TIFF_HEIGHT) and kind in _TIFF_FORMAT:
            (found[tag],) = _unpack(data, order + _TIFF_FORMAT[kind], entry + (12 if big else 8))
        if len(found) == 2:
            return found[_TIFF_HEIGHT], found[_TIFF_WIDTH]
    raise HeaderError("a TIFF file without a width and a height")


def _unpack(data: Bytes, layout: str, at: int) -> tuple[int, ...]:
    return struct.unpack(layout, data[at : at + struct.calcsize(layout)])
