"""Video streams (RTSP, HTTP, UDP and others) that never block their reader beyond the time limit."""

from __future__ import annotations

from collections.abc import Iterator

import av

from lpnet_rt.clock import SYSTEM_CLOCK, Clock
from lpnet_rt.credentials import expand_secrets
from lpnet_rt.errors import LostError, SourceError, TruncatedError
from lpnet_rt.frames import Frame
from lpnet_rt.settings import SourceSettings
from lpnet_rt.sources.base import LiveSource, UnusableSourceError
from lpnet_rt.sources.blocking import BlockingCalls, FinishedError
from lpnet_rt.sources.containers import NO_PROTOCOL, STREAM_SCHEMES, open_stream, pick_video_stream
from lpnet_rt.sources.damage import Extent, Tally, missing_tail
from lpnet_rt.sources.decoding import Picture, Read, VideoDecoder
from lpnet_rt.sources.knocking import knock_at
from lpnet_rt.sources.naming import source_name, url_scheme
from lpnet_rt.sources.pacing import silence_limit_s
from lpnet_rt.sources.packets import PacketRing
from lpnet_rt.sources.sender_clock import SenderClock
from lpnet_rt.sources.states import EpochCounter, SourceCounts
from lpnet_rt.text import redact_url

__all__ = ["STREAM_SCHEMES", "StreamSource"]

# These deliver frames by segment, seconds apart.
_SEGMENTED = ("hls", "dash")
_VAGUE = "input/output error"


class StreamSource(LiveSource):
    """Delivers the frames of a network stream as they arrive.

    A damaged frame is delivered with ``damage`` set. One that cannot be decoded (a lost packet, or before the first
    key frame) is left out, counted in ``dropped`` and leaves a gap in ``index``. Messages and names never contain the
    user or password of the URL.

    Attributes:
        shown: Name in messages: the URL without its secrets.
    """

    def __init__(self, settings: SourceSettings, clock: Clock = SYSTEM_CLOCK, tap: PacketRing | None = None) -> None:
        """Prepare; nothing is connected yet.

        Args:
            settings: ``spec`` is the URL; ``name``, ``open_timeout_s``, ``reconnect`` and ``frozen_after_s`` are used.
            clock: Clock for read times.
            tap: Keeps a copy of every packet; None: nothing is kept.

        Raises:
            SettingsError: A password that the URL refers to is missing.
        """
        self.shown = redact_url(settings.spec)
        super().__init__(settings.name or source_name(self.shown.partition("://")[2]), settings.frames)
        self._settings = settings
        self._timeout_s = self._silence_s = settings.open_timeout_s
        self._clock, self._tap = clock, tap
        self._url = expand_secrets(settings.spec)
        self._container: av.container.InputContainer | None = None
        self._decoder: VideoDecoder | None = None
        self._extent, self._sender_clock = Extent(), SenderClock()
        self._recording = False
        self._tail: str | None = None
        self._tally = Tally()
        self._epochs = EpochCounter()
        self._calls = BlockingCalls(f"stream {self.name}")

    def connect(self, knock: bool = False) -> None:
        """Connect; ``close`` in another thread interrupts it.

        Args:
            knock: First check whether the address answers, which takes at most 2 s.

        Raises:
            SourceError: No video stream was opened within ``open_timeout_s``.
            UnusableSourceError: This build of FFmpeg lacks the protocol.
            FinishedError: It was closed in the meantime.
        """
        try:
            failure = self._calls.call(lambda: self._knock_and_connect(knock), self._timeout_s)
        except TimeoutError:
            failure = f"no answer within {self._timeout_s:g} s; check the address and that the camera sends"
        except BaseException:
            self.close()
            raise
        if failure:
            self.close()
            kind = UnusableSourceError if failure == NO_PROTOCOL else SourceError
            # Raised outside any handler: the cause would contain the whole URL.
            raise kind(f"{self.shown}: cannot open the stream: {failure}")

    @property
    def is_recording(self) -> bool:
        """True for a recording over ``http`` or ``https`` of known length."""
        return self._recording

    @property
    def is_over(self) -> bool:
        """True once it is closed and its thread and its connection are gone."""
        return self._calls.is_over

    @property
    def counts(self) -> SourceCounts:
        """Frame counts so far."""
        tally = self._tally
        return SourceCounts(tally.delivered, tally.damaged, tally.dropped, self._extent.corrupt)

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames until they stop; then close the connection.

        Only a recording over ``http`` or ``https`` of known length has an ordinary end.

        Raises:
            LostError: Frames came, and then the stream ended, broke off, or sent none for ``open_timeout_s``, or
                for ``frozen_after_s`` if it will be reconnected.
            TruncatedError: A recording ended with damage.
            SourceError: No frame ever came.
        """
        try:
            yield from self._frames()
        finally:
            self.close()

    def close(self) -> None:
        """Disconnect; a reader in another thread ends at once."""
        self._calls.finish(self._hang_up)

    def _frames(self) -> Iterator[Frame]:
        deadline_ns = self._deadline_ns(self._timeout_s)
        while True:
            try:
                read = self._next_read(deadline_ns)
            except FinishedError:
                return
            if read.restarted:
                self._tally, deadline_ns = Tally(), self._deadline_ns(self._timeout_s)
            tally = self._tally
            tally.missing += read.missing
            tally.skipped += read.skipped
            for picture in read.pictures:
                frame = self._frame(picture, tally)
                tally.delivered += 1
                tally.damaged += picture.damage is not None
                yield frame
            if read.ended:
                return self._judge_end(tally, read.failure)
            if read.pictures:
                deadline_ns = self._deadline_ns(self._silence_s)

    def _deadline_ns(self, seconds: float) -> int:
        return self._clock.monotonic_ns() + round(seconds * 1e9)

    def _next_read(self, deadline_ns: int) -> Read:
        left_s = max((deadline_ns - self._clock.monotonic_ns()) / 1e9, 0.001)
        try:
            return self._calls.call(self._read, left_s)
        except TimeoutError:
            limit_s = self._silence_s if self._tally.delivered else self._timeout_s
            return Read(ended=True, failure=f"no frame came for {limit_s:g} s")

    def _judge_end(self, tally: Tally, failure: str | None) -> None:
        """Raise unless a recording ended normally."""
        delivered = "1 frame was" if tally.delivered == 1 else f"{tally.delivered} frames were"
        if not tally.delivered:
            reason = failure or "it ended"
            raise SourceError(f"{self.shown}: no frame could be decoded: {reason}; check what the camera sends")
        lack = failure or self._tail
        if lack or not self._recording:
            raise LostError(f"{self.shown}: the stream was lost: {lack or 'it ended'}; {delivered} delivered")
        if tally.damage:
            raise TruncatedError(f"{self.shown}: damaged: {tally.damage}; {delivered} delivered")

    def _knock_and_connect(self, knock: bool) -> str | None:
        refusal = (knock_at(self._url) if knock else None) or self._connect(strict=True)
        # FFmpeg reports a name that does not resolve as an input/output error.
        return knock_at(self._url) or refusal if refusal == _VAGUE else refusal

    def _connect(self, strict: bool) -> str | None:
        """Open the stream, in the reading thread; return why that failed, or None."""
        opened = open_stream(self._url, self._timeout_s)
        if isinstance(opened, str):
            return opened
        self._container = opened
        stream = pick_video_stream(opened, self.shown)
        self._decoder = VideoDecoder(opened, stream, self.shown, strict, self._tap)
        self._extent, self._sender_clock = self._decoder.extent, self._decoder.sender_clock
        rate = stream.average_rate or stream.guessed_rate
        self.rate_hz = float(rate) if rate else None
        self._recording = url_scheme(self._url) in ("http", "https") and bool(opened.duration)
        if not self._recording and opened.format.name not in _SEGMENTED:
            self._silence_s = silence_limit_s(self._settings, self.rate_hz)
        return None

    def _read(self) -> Read:
        """Read and decode one packet, in the reading thread."""
        if self._container is None or self._decoder is None:
            return Read(ended=True)
        read = self._decoder.read()
        if self._decoder.too_strict:
            self._hang_up()
            failure = self._connect(strict=False)
            return Read(restarted=True, ended=failure is not None, failure=failure)
        if read.ended and self._recording:
            self._tail = missing_tail(self._container, self._decoder.stream, self._extent)
        return read

    def _frame(self, picture: Picture, tally: Tally) -> Frame:
        arrival_us = self._clock.unix_us()
        capture_us = self._sender_clock.capture_us(picture.pts_s, arrival_us)
        return Frame(
            image=picture.image,
            index=tally.delivered + tally.dropped,
            source=self.name,
            pts_s=picture.pts_s,
            t_capture_us=arrival_us if capture_us is None else capture_us,
            t_read_ns=self._clock.monotonic_ns(),
            bit_depth=picture.bit_depth,
            dropped=tally.dropped,
            damage=picture.damage,
            epoch=self._epochs.of(picture.image, picture.bit_depth),
            colour=picture.colour,
            clock="arrival" if capture_us is None else "sender",
        )

    def _hang_up(self) -> None:
        if self._container is not None:
            self._container.close()
            # The decoder's threads end with it.
            self._container = self._decoder = None
