"""Limits on picture sizes, checked before a picture is decoded."""

from __future__ import annotations

from lpnet_rt.errors import SourceError

__all__ = [
    "MAX_DECODED_BYTES",
    "MAX_PIXELS",
    "MAX_SIDE_PX",
    "MIN_SIDE_PX",
    "check_decoded_bytes",
    "check_size",
    "max_pixels_of",
]

MIN_SIDE_PX = 8
MAX_SIDE_PX = 16_384
MAX_PIXELS = 100_000_000
MAX_DECODED_BYTES = 400_000_000

# Limit on the growth of a stream's pictures after it was opened: 16.8 megapixels, or the padding that codecs add.
_GROWN_PIXELS = 4096 * 4096
_PADDING_PX = 128


def check_size(size_hw: tuple[int, int], what: str) -> None:
    """Refuse a picture that is too small to hold a target or implausibly large.

    Args:
        size_hw: Height and width in pixels.
        what: File or stream, for the message.

    Raises:
        SourceError: A side is under 8 or over 16,384 pixels, or the whole is over 100 megapixels.
    """
    height, width = size_hw
    found = f"found {width}x{height} (width x height)"
    if min(height, width) < MIN_SIDE_PX:
        raise SourceError(f"{what}: expected at least {MIN_SIDE_PX}x{MIN_SIDE_PX} pixels, {found}")
    if max(height, width) > MAX_SIDE_PX or height * width > MAX_PIXELS:
        limit = f"at most {MAX_SIDE_PX} pixels per side and {MAX_PIXELS // 1_000_000} megapixels"
        raise SourceError(f"{what}: expected {limit}, {found}; cut it into tiles")


def check_decoded_bytes(decoded_bytes: int, what: str) -> None:
    """Refuse a picture that takes more than 400 MB when decoded.

    Args:
        decoded_bytes: Pixels times channels times bytes per count.
        what: File, for the message.

    Raises:
        SourceError: It takes more.
    """
    if decoded_bytes > MAX_DECODED_BYTES:
        limit = f"at most {MAX_DECODED_BYTES // 1_000_000} MB when decoded"
        raise SourceError(f"{what}: expected {limit}, found {decoded_bytes // 1_000_000} MB; make it grey or cut it up")


def max_pixels_of(size_hw: tuple[int, int]) -> int:
    """Return the maximum number of pixels of later pictures in a stream opened with this size."""
    height, width = size_hw
    return max((height + _PADDING_PX) * (width + _PADDING_PX), _GROWN_PIXELS)
