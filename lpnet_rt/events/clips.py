"""Clips: Matroska files cut from a source's footage, playable even if the program is killed."""

from __future__ import annotations

import os
from pathlib import Path

import av

from lpnet_rt.errors import SinkError, reason
from lpnet_rt.events.footage import Footage
from lpnet_rt.events.record import ClipNote
from lpnet_rt.files import FILE_MODE
from lpnet_rt.sources.containers import silence_ffmpeg
from lpnet_rt.sources.packets import KeptPacket

__all__ = ["ClipWriter", "probe_clip"]

# A cluster is written to disk when it is complete: half a second, so that a kill loses less than one.
_OPTIONS = {"cluster_time_limit": "500", "flush_packets": "1"}
# Times in records are rounded; a picture that is due at the very time belongs to the clip, not the one before.
_ROUNDING_S = 1e-5
# Matroska keeps the order of packets and the times of pictures, but no times of decoding. FFmpeg wants some that grow
# and never pass those of the pictures; a camera's own may do neither.
_EARLY = -(2**40)
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


class ClipWriter:
    """Writes one clip as its footage comes in; used from one thread.

    Attributes:
        note: Why the clip is not as long as it should be, or None.
        is_closed: Whether the file is complete.
    """

    def __init__(self, path: Path, footage: Footage, stretch: int, begin_s: float) -> None:
        """Open the file at the key frame at or before a time, or the first one after it.

        Args:
            path: File to write; it must not exist.
            footage: What to cut from.
            stretch: Part of the footage without a break; the clip ends with it.
            begin_s: Seconds of the stream.

        Raises:
            LookupError: There is no footage to begin with; no file was made.
            SinkError: The file cannot be written.
        """
        start, template = footage.start(stretch, begin_s + _ROUNDING_S), footage.template(stretch)
        if start is None or template is None:
            raise LookupError("no key frame of that time is kept in memory")
        self.note: str | None = None
        self._path, self._footage, self._stretch, self._number = path, footage, stretch, start
        self._codec = template.codec
        self._zero: KeptPacket | None = None
        self._frames, self._last_s = 0, float("-inf")
        self.is_closed = False
        silence_ffmpeg()
        try:
            os.close(os.open(path, _FLAGS, FILE_MODE))
            # The prefix prevents a folder's name from being parsed as a protocol.
            self._container = av.open(f"file:{os.fspath(path)}", "w", format="matroska", options=_OPTIONS)
            self._stream = self._container.add_stream_from_template(template.stream, opaque=True)
        except (av.FFmpegError, OSError) as error:
            raise self._failure(error) from error

    def pull(self, until_s: float) -> bool:
        """Write what has come in up to a time of the stream, seconds.

        Returns:
            Whether something was written.

        Raises:
            SinkError: The file cannot be written.
        """
        if self.is_closed or self.note is not None:
            return False
        try:
            found = self._footage.read(self._stretch, self._number, until_s, self._last_s)
            if found is None:
                self.note = "pictures were dropped from memory before they were written"
                return False
            packets, self._number = found
            for packet in packets:
                self._write(packet)
        except (av.ArgumentError, av.InvalidDataError) as error:
            self.note = f"a picture could not be written: {reason(error)}"  # the fault of this stream, not of the disk
            return False
        except (av.FFmpegError, OSError) as error:
            raise self._failure(error) from error
        return len(packets) > 0

    def close(self) -> None:
        """Finish the file; harmless when called twice.

        Raises:
            SinkError: Its end cannot be written.
        """
        if self.is_closed:
            return
        self.is_closed = True
        try:
            self._container.close()
            if self._zero is None:
                self._path.unlink()
        except (av.FFmpegError, OSError) as error:
            raise self._failure(error) from error

    def describe(self, first_s: float, last_s: float) -> ClipNote | None:
        """Return what the event's record says, or None for a clip without pictures.

        Args:
            first_s: Time in the stream of the first detection, seconds.
            last_s: Of the last one.
        """
        if self._zero is None:
            return None
        starts_s = self._zero.time_s
        note = self.note
        is_late = starts_s - first_s > _ROUNDING_S
        if note is None and is_late:
            note = "it starts after the first detection: no earlier key frame was kept in memory"
        return ClipNote(
            file=self._path.name,
            codec=self._codec,
            copied=self._footage.is_copied,
            starts_at_s=round(starts_s, 6),
            first_detection_s=None if is_late else max(0.0, round(first_s - starts_s, 3)),
            last_detection_s=round(last_s - starts_s, 3),
            duration_s=round(self._last_s - starts_s, 3),
            frames=self._frames,
            bytes=_size_of(self._path),
            note=note,
        )

    def _write(self, kept: KeptPacket) -> None:
        """Write one packet, on the clock of the clip; leave out what cannot be decoded without those before it."""
        if self._zero is None:
            self._zero, self._last_s = kept, kept.time_s
        zero_pts = self._zero.pts
        # Pictures that are shown before the first key frame were predicted from others, which are not here.
        if kept.pts < zero_pts:
            return
        packet = av.Packet(kept.data)
        packet.pts, packet.dts, packet.duration = kept.pts - zero_pts, _EARLY + self._frames, kept.duration
        packet.time_base, packet.is_keyframe, packet.stream = kept.time_base, kept.is_key, self._stream
        self._container.mux(packet)
        self._frames += 1
        self._last_s = max(self._last_s, kept.time_s)

    def _failure(self, error: Exception) -> SinkError:
        return SinkError(f"events: {self._path}: cannot be written: {reason(error)}")


def probe_clip(path: Path) -> tuple[float, int] | None:
    """Return a clip's length in seconds, from its first picture to its last, and its pictures; None without any."""
    silence_ffmpeg()
    try:
        with av.open(f"file:{os.fspath(path)}", format="matroska") as container:
            times = [
                float(packet.pts * packet.time_base) for packet in container.demux(video=0) if packet.pts is not None
            ]
    except (av.FFmpegError, OSError, IndexError):
        return None
    return (max(times) - min(times), len(times)) if times else None


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
