"""The sender's clock: capture times of a stream's frames, if the sender reports them.

RTP counts a stream's own time; the sender reports of RTCP (RFC 3550, section 6.4) map it to wall-clock time. Once a
report has arrived, FFmpeg attaches the wall-clock time to each packet (``AVProducerReferenceTime``).
"""

from __future__ import annotations

import struct

import av

__all__ = ["SenderClock"]

_REFERENCE_TIME = struct.Struct("<q")
# The clock of a camera that was never set starts in 1970 or at its manufacture; then arrival times are better.
_MAX_OFFSET_US = 60_000_000


class SenderClock:
    """Tracks the wall-clock times of a stream."""

    def __init__(self) -> None:
        self._start_us: int | None = None

    def note(self, packet: av.Packet[av.VideoStream]) -> None:
        """Take a packet's wall-clock time, if it has one."""
        if packet.pts is None or packet.time_base is None or not getattr(packet, "has_sidedata", _never)("prft"):
            return  # PyAV before 18 has none
        (sent_us,) = _REFERENCE_TIME.unpack_from(bytes(packet.get_sidedata("prft")))
        self._start_us = sent_us - round(packet.pts * packet.time_base * 1_000_000)

    def capture_us(self, pts_s: float | None, arrival_us: int) -> int | None:
        """Return when a frame was captured.

        Args:
            pts_s: The frame's time in the stream, seconds.
            arrival_us: When it arrived, Unix time in microseconds.

        Returns:
            Unix time in microseconds on the sender's clock; None if unknown, or over a minute off ours.
        """
        if self._start_us is None or pts_s is None:
            return None
        capture_us = self._start_us + round(pts_s * 1_000_000)
        return capture_us if abs(capture_us - arrival_us) <= _MAX_OFFSET_US else None


def _never(_kind: str) -> bool:
    return False
