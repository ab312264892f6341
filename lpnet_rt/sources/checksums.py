"""Checksums: damage that FFmpeg's FFV1 decoder conceals and does not report.

From version 3, FFV1 cuts a frame into slices, and each slice ends with its size (3 bytes) and, unless the encoder
omits it, a status byte and a CRC-32 of the whole slice (RFC 9043, section 4.9). FFmpeg fills a slice
with a wrong CRC from the previous frame and says so only in its log.
"""

from __future__ import annotations

import zlib

__all__ = ["Ffv1Checksums"]

_SIZE_BYTES = 3
_CRC_BYTES = 5  # the status byte and the CRC
# zlib computes the same polynomial with the bits of every byte in reverse order.
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_CLEAR = 0xFFFFFFFF


class Ffv1Checksums:
    """Checks the packets of one FFV1 stream."""

    def __init__(self, extradata: bytes) -> None:
        """Prepare to check packets.

        Args:
            extradata: The stream's configuration record; empty before version 3, which has no checksums.
        """
        self._sliced = bool(extradata)
        self._has_crc: bool | None = None

    def damage(self, packet: bytes) -> str | None:
        """Return the damage of a packet in one line, or None if there is none or it cannot be checked."""
        if not self._sliced:
            return None
        with_crc, without = _slices(packet, _SIZE_BYTES + _CRC_BYTES), _slices(packet, _SIZE_BYTES)
        if self._has_crc is None and (with_crc is None) != (without is None):
            # Only one layout fits the sizes; it holds for the whole stream.
            self._has_crc = with_crc is not None
        slices = without if self._has_crc is False else with_crc
        if slices is None:
            return "the sizes of its FFV1 slices do not add up"
        if not self._has_crc:
            return None
        wrong = sum(zlib.crc32(part.translate(_REVERSED), _CLEAR) != _CLEAR for part in slices)
        return f"{wrong} of {len(slices)} FFV1 slices have a wrong checksum" if wrong else None


def _slices(packet: bytes, trailer_bytes: int) -> list[bytes] | None:
    """Cut a packet into its slices, last first; None if their sizes do not add up."""
    slices, end = [], len(packet)
    while end > 0:
        size_at = end - trailer_bytes
        if size_at < 0:
            return None
        start = size_at - int.from_bytes(packet[size_at : size_at + _SIZE_BYTES])
        if start < 0:
            return None
        slices.append(packet[start:end])
        end = start
    return slices
