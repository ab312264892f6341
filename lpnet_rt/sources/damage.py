"""Damage: whether a recording is complete, and why a file cannot be opened."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av

__all__ = ["Extent", "Tally", "declared_end_s", "lacks_index", "missing_tail"]

_TAIL_FRAMES = 2.5
_TAIL_S = 0.1
_AVI_FRAMES = 1


@dataclass(slots=True)
class Tally:
    """Counts of a source's frames.

    Attributes:
        delivered: Frames delivered, damaged ones included.
        damaged: Frames delivered with ``Frame.damage`` set.
        missing: Frames left out because they were damaged.
        skipped: Frames left out because the recording lacks the key frame that they need.
    """

    delivered: int = 0
    damaged: int = 0
    missing: int = 0
    skipped: int = 0

    @property
    def dropped(self) -> int:
        """Frames left out."""
        return self.missing + self.skipped

    @property
    def damage(self) -> str | None:
        """Return what was damaged, with numbers, or None."""
        if not self.damaged and not self.missing:
            return None
        return f"{_frames(self.damaged)} damaged, {self.missing} left out"


@dataclass(slots=True)
class Extent:
    """The part of a stream that has arrived.

    Attributes:
        packets: Packets with data.
        end_s: Latest end of any packet on the stream's clock, seconds.
        last_dts: Highest decoding time of any packet, in the stream's units.
        cut: Whether the last packet is damaged.
        unreadable: Number of positions where the container could not be read.
        corrupt: Packets that were damaged in transit or could not be decoded.
    """

    packets: int = 0
    end_s: float | None = None
    last_dts: int | None = None
    cut: bool = False
    unreadable: int = 0
    corrupt: int = 0

    def note(self, packet: av.Packet[av.VideoStream], damaged: bool) -> None:
        """Count a packet."""
        self.packets += 1
        self.cut = packet.is_corrupt and damaged
        if packet.dts is not None:
            self.last_dts = packet.dts if self.last_dts is None else max(self.last_dts, packet.dts)
        if packet.pts is not None and packet.time_base is not None:
            end_s = float((packet.pts + (packet.duration or 0)) * packet.time_base)
            self.end_s = end_s if self.end_s is None else max(self.end_s, end_s)


def missing_tail(container: av.container.InputContainer, stream: av.VideoStream, extent: Extent) -> str | None:
    """Compare what arrived with what the container declares.

    A container cut between two packets ends like a complete one; only its declarations show it. AVI declares the number
    of frames, including empty ones; at most one may be missing. Others declare their end, and the last packet may end
    up to two and a half frame periods or 0.1 s earlier, whichever is longer: writers round, and some omit the duration
    of the last frame. A writer that was killed has declared nothing: its file counts as complete.

    Args:
        container: Open container.
        stream: Its video stream.
        extent: What arrived.

    Returns:
        What is missing, or None.
    """
    if container.format.name == "avi" and stream.frames > 0:
        # AVI's times count frames; empty packets, which make a player wait, are counted but not returned.
        counted = max(extent.packets, (extent.last_dts or 0) + 1)
        short = stream.frames - counted
        return f"the file declares {stream.frames} frames and holds {counted}" if short > _AVI_FRAMES else None
    declared_s, end_s = declared_end_s(container, stream), extent.end_s or 0.0
    if declared_s is None:
        return None
    frame_s = float(1 / stream.average_rate) if stream.average_rate else 0.0
    if declared_s - end_s <= max(_TAIL_FRAMES * frame_s, _TAIL_S):
        return None
    return f"the file declares {declared_s:.2f} s and ends after {end_s:.2f} s"


def declared_end_s(container: av.container.InputContainer, stream: av.VideoStream) -> float | None:
    """Return the time at which the video stream should end on its own clock, seconds, or None."""
    if stream.duration is not None and stream.time_base is not None:
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base)
    tag_s = _clock_time_s(stream.metadata.get("DURATION", ""))
    if tag_s is not None:
        return tag_s
    # The container's duration is that of its longest stream, which need not be the video.
    if container.duration is None or len(container.streams) > 1:
        return None
    return ((container.start_time or 0) + container.duration) / av.time_base


def lacks_index(path: Path) -> bool:
    """Return whether a file is an MP4 without its index (``moov``), and so unreadable."""
    kinds = list(_box_kinds(path))
    return bool(kinds) and kinds[0] == b"ftyp" and b"moov" not in kinds


def _box_kinds(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while len(head := file.read(8)) == 8:
            size = int.from_bytes(head[:4])
            header_bytes = 8
            if size == 1:
                size, header_bytes = int.from_bytes(file.read(8)), 16
            yield head[4:]
            if size < header_bytes:
                return
            file.seek(size - header_bytes, 1)


def _clock_time_s(text: str) -> float | None:
    """Return the seconds of ``HH:MM:SS.fraction``, Matroska's format for a stream's duration."""
    parts = text.strip().split(":")
    if len(parts) != 3:
        return None
    try:
        hours, minutes, seconds = (float(part) for part in parts)
    except ValueError:
        return None
    return hours * 3600 + minutes * 60 + seconds


def _frames(number: int) -> str:
    return "1 frame" if number == 1 else f"{number} frames"
