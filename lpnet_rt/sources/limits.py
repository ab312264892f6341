"""Limits: the sizes of picture that are accepted, checked before a picture is decoded."""

from __future__ import annotations

from lpnet_rt.errors import SourceError

__all__ = [
    "MAX_DECODED_BYTES",
    "MAX_PIXELS",
    "MAX_SIDE_PX",
    "MIN_SIDE_PX",
    "check_decoded_bytes",
    "check_size",
    "most_pixels_of",
]

MIN_SIDE_PX = 8
MAX_SIDE_PX = 16_384
MAX_PIXELS = 100_000_000
MAX_DECODED_BYTES = 400_000_000

# How far the pictures of a stream may grow after it was opened: to 16.8 megapixels, or by the padding that codecs add.
_GROWN_PIXELS = 4096 * 4096
_PADDING_PX = 128


def check_size(size_hw: tuple[int, int], what: str) -> None:
    """Refuse a picture that is too small to hold a target or too large to be meant.

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
        limit = f"at most {MAX_SIDE_PX} pixels a side and {MAX_PIXELS // 1_000_000} megapixels"
        raise SourceError(f"{what}: expected {limit}, {found}; cut it into tiles")


def check_decoded_bytes(decoded_bytes: int, what: str) -> None:
    """Refuse a picture that its decoder would have to hold in more than 400 MB.

    Args:
        decoded_bytes: Pixels times channels times bytes of a count.
        what: File, for the message.

    Raises:
        SourceError: It is more.
    """
    if decoded_bytes > MAX_DECODED_BYTES:
        limit = f"at most {MAX_DECODED_BYTES // 1_000_000} MB when decoded"
        raise SourceError(f"{what}: expected {limit}, found {decoded_bytes // 1_000_000} MB; make it grey or cut it up")


def most_pixels_of(size_hw: tuple[int, int]) -> int:
    """Return how many pixels any later picture of a stream may have that was opened with pictures of this size."""
    height, width = size_hw
    return max((height + _PADDING_PX) * (width + _PADDING_PX), _GROWN_PIXELS)
