"""Damage: tells a whole recording from one that was cut off, and why a file cannot be opened."""

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
    """What became of the frames of a source.

    Attributes:
        delivered: Frames delivered, damaged ones included.
        damaged: Frames delivered with ``Frame.damage`` set.
        missing: Frames left out because they were damaged.
        skipped: Frames left out because the recording does not hold the key frame that they need.
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
    """What of a stream has arrived.

    Attributes:
        packets: Packets with data.
        end_s: Latest end of any packet on the stream's clock, seconds.
        last_dts: Highest decoding time of any packet, in the stream's units.
        cut: Whether the last packet is damaged.
        unreadable: Places at which the container could not be read.
        corrupt: Packets of which something was lost or changed on the way, or that no decoder takes.
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

    A container that was cut between two packets ends like a whole one; only its own declarations tell. AVI declares
    the number of frames, empty ones included, which must have come but for one. Others declare when they end, and the
    end of the last packet may be short of that by two and a half frame times or 0.1 s, whichever is more: writers
    round, and some leave out how long the last frame lasts. A writer that was killed has declared nothing: what it
    wrote is whole.

    Args:
        container: Open container.
        stream: Its video stream.
        extent: What arrived.

    Returns:
        What is missing, or None.
    """
    if container.format.name == "avi" and stream.frames > 0:
        # AVI's times count frames; packets that only make a player wait are counted and not handed out.
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
    # The container's duration is that of its longest stream, which says nothing of the video beside another one.
    if container.duration is None or len(container.streams) > 1:
        return None
    return ((container.start_time or 0) + container.duration) / av.time_base


def lacks_index(path: Path) -> bool:
    """Tell whether a file starts as an MP4 and was cut before its index (``moov``), without which none can read it."""
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
    """Seconds of ``HH:MM:SS.fraction``, as Matroska writers note a stream's duration."""
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
