"""Video files: any codec that FFmpeg reads, grey at full depth, with the stream's own times."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Event, Lock

import av
import av.logging

from lpnet_rt.clock import SYSTEM_CLOCK, Clock
from lpnet_rt.errors import SourceError, TruncatedError
from lpnet_rt.frames import Frame
from lpnet_rt.processors import processor_count
from lpnet_rt.settings import SourceSettings
from lpnet_rt.sources.damage import lacks_index, missing_tail
from lpnet_rt.sources.limits import check_size
from lpnet_rt.sources.naming import source_name
from lpnet_rt.sources.pacing import Pacer
from lpnet_rt.sources.pixels import grey_pixels

__all__ = ["VideoSource", "av_reason", "decoder_threads", "pick_video_stream", "silence_ffmpeg"]

_MAX_DECODER_THREADS = 4
# Formats under which FFmpeg reads plain text as pictures of letters.
_TEXT_FORMATS = frozenset({"tty", "bin", "xbin", "adf", "idf"})


def decoder_threads() -> int:
    """Return how many threads decode a file: those this process may use, at most four."""
    return min(processor_count(), _MAX_DECODER_THREADS)


def silence_ffmpeg() -> None:
    """Keep FFmpeg's own lines, which hold whole URLs and say what our errors say, away from stderr and logs.

    Only None does: at any level, PANIC included, PyAV hands FFmpeg's errors to Python, and a decoder thread that
    waits for the interpreter there hangs for ever when the interpreter waits for that thread to end.
    """
    av.logging.set_level(None)


def av_reason(error: av.FFmpegError) -> str:
    """Return FFmpeg's reason without the file name or URL that PyAV adds to it."""
    return (error.strerror or type(error).__name__).lower()


def pick_video_stream(container: av.container.InputContainer, what: str) -> av.VideoStream:
    """Return the first video stream that is no cover picture and check its size.

    Raises:
        SourceError: There is none, its codec is unknown or its size is out of bounds.
    """
    covers = av.stream.Disposition.attached_pic
    streams = [stream for stream in container.streams.video if not stream.disposition & covers]
    if not streams or container.format.name in _TEXT_FORMATS:
        kinds = ", ".join(stream.type for stream in container.streams) or "none"
        raise SourceError(f"{what}: expected a video stream, found streams: {kinds}; name a video file")
    stream = streams[0]
    if stream.codec_context is None:
        raise SourceError(f"{what}: unknown video codec; convert the video, to H.264 or FFV1 for example")
    check_size((stream.height, stream.width), what)
    return stream


class VideoSource:
    """Delivers the frames of a video file in order."""

    def __init__(self, path: Path, settings: SourceSettings, clock: Clock = SYSTEM_CLOCK) -> None:
        """Open the file and find its video stream.

        Args:
            path: Video file.
            settings: ``name``, ``frames`` and ``realtime`` are used.
            clock: Tells when each frame was read, and waits in realtime.

        Raises:
            SourceError: It is missing, empty, truncated before its index, or holds no video that can be read.
        """
        self._path = path
        self._name = settings.name or source_name(path.stem)
        self._limit = settings.frames
        self._clock = clock
        self._closed = Event()
        self._reading = Lock()
        self._container = _open(path)
        try:
            self._stream = pick_video_stream(self._container, str(path))
        except SourceError:
            self._container.close()
            raise
        self._stream.thread_type = "AUTO"
        self._stream.codec_context.thread_count = decoder_threads()
        rate = self._stream.average_rate or self._stream.guessed_rate
        self._rate_hz = float(rate) if rate else None
        self._declared_frames = self._stream.frames
        self._pacer = Pacer(clock, self._rate_hz or 25.0) if settings.realtime else None
        self._packets = 0
        self._end_s: float | None = None
        self._damage: str | None = None

    @property
    def name(self) -> str:
        """Name for message topics."""
        return self._name

    @property
    def live(self) -> bool:
        """True in realtime: a late reader misses frames."""
        return self._pacer is not None

    @property
    def frame_count(self) -> int | None:
        """Frames that the container declares, up to the limit, or None where it does not."""
        if self._declared_frames <= 0:
            return None
        return min(self._declared_frames, self._limit or self._declared_frames)

    @property
    def rate_hz(self) -> float | None:
        """Average frames a second."""
        return self._rate_hz

    @property
    def files(self) -> tuple[Path, ...]:
        """The video."""
        return (self._path,)

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames until the file, or the limit, ends; then the file is closed.

        Frames that cannot be decoded before the first good one (a recording that starts in the middle of a group of
        pictures) are left out and counted in ``dropped``, as far as the decoder tells of them; any later damage ends
        the iteration.

        Raises:
            TruncatedError: The file is cut off or damaged; every frame before that was delivered.
            SourceError: No frame at all can be decoded.
        """
        try:
            yield from self._frames()
        finally:
            self.close()

    def close(self) -> None:
        """Close the file; a reader in another thread ends before its next frame."""
        self._closed.set()
        with self._reading:
            self._container.close()

    def _frames(self) -> Iterator[Frame]:
        """Yield the good frames, then judge the end."""
        delivered, skipped = 0, 0
        for decoded in self._decoded():
            if decoded is None or decoded.is_corrupt:
                if delivered:
                    self._damage = self._damage or "a frame is damaged"
                    break
                skipped += 1
                continue
            frame = self._frame(decoded, delivered + skipped, skipped)
            if self._closed.is_set():
                return
            yield frame
            delivered += 1
            if delivered == self._limit:
                return
        if not self._closed.is_set():
            self._judge_end(delivered)

    def _decoded(self) -> Iterator[av.VideoFrame | None]:
        """Yield decoded frames, None for a packet that cannot be decoded."""
        demuxed = self._container.demux(self._stream)
        while True:
            with self._reading:
                if self._closed.is_set():
                    return
                frames, ended = self._advance(demuxed)
            yield from frames
            if ended:
                return

    def _advance(self, demuxed: Iterator[av.Packet[av.VideoStream]]) -> tuple[list[av.VideoFrame | None], bool]:
        """Read and decode one packet; after the last one, or a cut one, empty the decoder."""
        try:
            packet = next(demuxed, None)
        except av.FFmpegError as error:
            self._damage = f"the file cannot be read any further ({av_reason(error)})"
            return [*self._drain()], True
        if packet is None:
            return [], True
        if packet.is_corrupt:
            self._damage = "its last frame is cut off"
            return [*self._drain()], True
        self._note(packet)
        try:
            return [*packet.decode()], False
        except av.EOFError:
            return [], True
        except av.FFmpegError:
            return [*self._drain(), None], False

    def _drain(self) -> list[av.VideoFrame]:
        """Return the frames that wait in the decoder, and make it ready for the next packet."""
        decoder = self._stream.codec_context
        frames: list[av.VideoFrame] = []
        try:
            frames = decoder.decode(None)
        except av.FFmpegError:
            # The decoder reports the damage that brought us here a second time; it is already accounted for.
            frames = []
        decoder.flush_buffers()
        return frames

    def _note(self, packet: av.Packet[av.VideoStream]) -> None:
        if packet.size == 0:
            return
        self._packets += 1
        if packet.pts is not None and packet.time_base is not None:
            end_s = float((packet.pts + (packet.duration or 0)) * packet.time_base)
            self._end_s = end_s if self._end_s is None else max(self._end_s, end_s)

    def _frame(self, decoded: av.VideoFrame, index: int, skipped: int) -> Frame:
        image, bit_depth = grey_pixels(decoded)
        pts_s = None if decoded.pts is None else float(decoded.time)
        due_ns = self._pacer.wait(pts_s, self._closed) if self._pacer else self._clock.monotonic_ns()
        late_us = (self._clock.monotonic_ns() - due_ns) // 1000
        return Frame(
            image=image,
            index=index,
            source=self._name,
            pts_s=pts_s,
            t_capture_us=self._clock.unix_us() - late_us,
            t_read_ns=due_ns,
            bit_depth=bit_depth,
            dropped=skipped,
        )

    def _judge_end(self, delivered: int) -> None:
        """Raise unless the file ended as it should."""
        missing = self._damage or missing_tail(self._container, self._stream, self._packets, self._end_s)
        if missing:
            raise TruncatedError(f"{self._path}: truncated: {missing}; {delivered} frames were delivered")
        if not delivered:
            codec = self._stream.codec_context.name
            raise SourceError(f"{self._path}: no frame can be decoded (codec {codec}); the file is damaged")


def _open(path: Path) -> av.container.InputContainer:
    try:
        if path.stat().st_size == 0:
            raise SourceError(f"{path}: expected a video, found an empty file")
        silence_ffmpeg()
        # The prefix and the list keep a file's name or content (a playlist, say) from opening anything else.
        return av.open(f"file:{path}", options={"protocol_whitelist": "file"})
    except av.FFmpegError as error:
        if isinstance(error, av.InvalidDataError) and lacks_index(path):
            reason = "the video is truncated: its index (moov) is missing; record to MKV or fragmented MP4 instead"
            raise SourceError(f"{path}: {reason}") from error
        raise SourceError(f"{path}: not a video that can be read ({av_reason(error)}); name a video file") from error
    except OSError as error:
        raise SourceError(f"{path}: cannot read the file: {error.strerror}") from error
