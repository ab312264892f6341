"""Video streams: RTSP, HTTP, UDP and the like, that never hold their reader for longer than the time limit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import av

from lpnet_rt.clock import SYSTEM_CLOCK, Clock
from lpnet_rt.credentials import expand_secrets
from lpnet_rt.errors import SourceError
from lpnet_rt.frames import Frame
from lpnet_rt.settings import SourceSettings
from lpnet_rt.sources.blocking import BlockingCalls, FinishedError
from lpnet_rt.sources.naming import source_name
from lpnet_rt.sources.pixels import grey_pixels
from lpnet_rt.sources.video import av_reason, pick_video_stream, silence_ffmpeg
from lpnet_rt.text import redact_url

__all__ = ["STREAM_SCHEMES", "StreamSource"]

STREAM_SCHEMES = frozenset({"rtsp", "rtsps", "http", "https", "udp", "rtp", "srt", "tcp", "rtmp"})

_OPTIONS = {
    "rtsp_flags": "prefer_tcp",
    # No playlist or session description that comes over the network may open a file of this machine.
    "protocol_whitelist": "rtsp,rtsps,http,https,udp,rtp,srtp,srt,tcp,tls,rtmp,crypto,httpproxy",
}


@dataclass(slots=True)
class _Connection:
    """What the reading thread alone touches.

    Attributes:
        container: Open container.
        stream: Its video stream.
        packets: Its packets, as they come.
    """

    container: av.container.InputContainer
    stream: av.VideoStream
    packets: Iterator[av.Packet[av.VideoStream]]


@dataclass(frozen=True, slots=True)
class _Read:
    """One packet's outcome: frames, damage in them, the end, or the reason of a failure."""

    frames: tuple[av.VideoFrame, ...] = ()
    damaged: int = 0
    ended: bool = False
    failure: str | None = None


class StreamSource:
    """Delivers the frames of a network stream as they come.

    A frame that cannot be decoded (a lost packet, the time before the first key frame) is left out, counted in
    ``dropped`` and leaves a gap in ``index``. User and password of the URL appear in no message and no name.
    """

    def __init__(self, settings: SourceSettings, clock: Clock = SYSTEM_CLOCK) -> None:
        """Connect.

        Args:
            settings: ``spec`` is the URL; ``name``, ``frames`` and ``open_timeout_s`` are used.
            clock: Tells when each frame was read.

        Raises:
            SourceError: No video stream was opened within ``open_timeout_s``.
        """
        self._shown = redact_url(settings.spec)
        self._name = settings.name or source_name(self._shown.partition("://")[2])
        self._limit = settings.frames
        self._timeout_s = settings.open_timeout_s
        self._clock = clock
        self._connection: _Connection | None = None
        self._rate_hz: float | None = None
        self._calls = BlockingCalls(f"stream {self._name}")
        url = expand_secrets(settings.spec)
        try:
            failure = self._calls.call(lambda: self._connect(url), self._timeout_s)
        except TimeoutError:
            failure = f"no answer within {self._timeout_s:g} s; check the address and that the camera sends"
        except SourceError:
            self.close()
            raise
        if failure:
            self.close()
            # Raised outside of any handler: the cause would carry the whole URL.
            raise SourceError(f"{self._shown}: cannot open the stream: {failure}")

    @property
    def name(self) -> str:
        """Name for message topics."""
        return self._name

    @property
    def live(self) -> bool:
        """True: a late reader misses frames."""
        return True

    @property
    def frame_count(self) -> int | None:
        """The limit, or None: a stream does not say when it ends."""
        return self._limit

    @property
    def rate_hz(self) -> float | None:
        """Frames a second as the stream declares them."""
        return self._rate_hz

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames until the stream, or the limit, ends; then the connection is closed.

        Raises:
            SourceError: The stream failed, or no frame came for ``open_timeout_s``.
        """
        try:
            yield from self._frames()
        finally:
            self.close()

    def close(self) -> None:
        """Hang up; a reader in another thread ends at once."""
        self._calls.finish(self._hang_up)

    def _frames(self) -> Iterator[Frame]:
        index, dropped, delivered = 0, 0, 0
        deadline_ns = self._clock.monotonic_ns() + round(self._timeout_s * 1e9)
        while True:
            read = self._next_read(deadline_ns)
            dropped += read.damaged
            index += read.damaged
            for decoded in read.frames:
                yield self._frame(decoded, index, dropped)
                index += 1
                delivered += 1
                if delivered == self._limit:
                    return
            if read.failure:
                raise SourceError(f"{self._shown}: the stream failed after {delivered} frames: {read.failure}")
            if read.ended:
                return
            if read.frames:
                deadline_ns = self._clock.monotonic_ns() + round(self._timeout_s * 1e9)

    def _connect(self, url: str) -> str | None:
        """Open the stream; return why that failed, or None."""
        silence_ffmpeg()
        try:
            container = av.open(url, timeout=(self._timeout_s, self._timeout_s), options=_OPTIONS)
        except (av.FFmpegError, OSError, ValueError) as error:
            return av_reason(error) if isinstance(error, av.FFmpegError) else type(error).__name__
        try:
            stream = pick_video_stream(container, self._shown)
        except SourceError:
            container.close()
            raise
        # One frame of every further thread would wait in the decoder; slices decode in parallel without that.
        stream.thread_type = "SLICE"
        rate = stream.average_rate or stream.guessed_rate
        self._rate_hz = float(rate) if rate else None
        self._connection = _Connection(container, stream, container.demux(stream))
        return None

    def _next_read(self, deadline_ns: int) -> _Read:
        left_s = max((deadline_ns - self._clock.monotonic_ns()) / 1e9, 0.001)
        try:
            return self._calls.call(self._read, left_s)
        except FinishedError:
            return _Read(ended=True)
        except TimeoutError:
            return _Read(failure=f"no frame came for {self._timeout_s:g} s")

    def _read(self) -> _Read:
        """Read and decode one packet, in the reading thread."""
        if self._connection is None:
            return _Read(ended=True)
        try:
            packet = next(self._connection.packets, None)
        except av.EOFError:
            return _Read(ended=True)
        except av.FFmpegError as error:
            return _Read(frames=self._last_frames(), failure=av_reason(error))
        if packet is None:
            return _Read(ended=True)
        try:
            frames = packet.decode()
        except av.FFmpegError:
            # Damage of one packet: counted, and the next key frame mends it.
            return _Read(damaged=1)
        good = tuple(frame for frame in frames if not frame.is_corrupt)
        return _Read(frames=good, damaged=len(frames) - len(good))

    def _last_frames(self) -> tuple[av.VideoFrame, ...]:
        """Return the frames that wait in the decoder when the stream breaks off."""
        if self._connection is None:
            return ()
        try:
            frames = self._connection.stream.codec_context.decode(None)
        except av.FFmpegError:
            return ()  # cut-off rest of a frame; that the stream broke off is about to be raised
        return tuple(frame for frame in frames if not frame.is_corrupt)

    def _frame(self, decoded: av.VideoFrame, index: int, dropped: int) -> Frame:
        t_read_ns = self._clock.monotonic_ns()
        image, bit_depth = grey_pixels(decoded)
        return Frame(
            image=image,
            index=index,
            source=self._name,
            pts_s=None if decoded.pts is None else float(decoded.time),
            t_capture_us=self._clock.unix_us(),
            t_read_ns=t_read_ns,
            bit_depth=bit_depth,
            dropped=dropped,
        )

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.container.close()
            self._connection = None
