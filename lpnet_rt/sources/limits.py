"""Limits: the sizes of picture that are accepted, checked before a picture is decoded."""

from __future__ import annotations

from lpnet_rt.errors import SourceError

__all__ = ["MAX_PIXELS", "MAX_SIDE_PX", "MIN_SIDE_PX", "check_size"]

MIN_SIDE_PX = 8
MAX_SIDE_PX = 16_384
MAX_PIXELS = 100_000_000


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
