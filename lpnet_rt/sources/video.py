"""Video files: any codec that FFmpeg reads, grey at full depth, with the stream's own times."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Event

import av

from lpnet_rt.clock import SYSTEM_CLOCK, Clock
from lpnet_rt.errors import LostError, SourceError, TruncatedError
from lpnet_rt.frames import Frame
from lpnet_rt.settings import SourceSettings
from lpnet_rt.sources.blocking import BlockingCalls, FinishedError
from lpnet_rt.sources.containers import open_file, pick_video_stream
from lpnet_rt.sources.damage import Tally, missing_tail
from lpnet_rt.sources.decoding import Picture, Read, VideoDecoder
from lpnet_rt.sources.naming import source_name
from lpnet_rt.sources.pacing import Pacer
from lpnet_rt.sources.packets import PacketRing
from lpnet_rt.sources.states import EpochCounter

__all__ = ["VideoSource"]


class VideoSource:
    """Delivers the frames of a video file in order.

    A separate thread opens and reads the file, so that a disk or a network file system that does not respond blocks
    nothing else.
    """

    def __init__(
        self, path: Path, settings: SourceSettings, clock: Clock = SYSTEM_CLOCK, tap: PacketRing | None = None
    ) -> None:
        """Open the file and find its video stream.

        Args:
            path: Video file.
            settings: ``name``, ``frames``, ``realtime`` and ``open_timeout_s`` are used.
            clock: Clock for read times, and for waits in realtime.
            tap: Keeps a copy of every packet; None: nothing is kept.

        Raises:
            SourceError: It is missing, empty, truncated before its index, contains no readable video, or cannot
                be opened within ``open_timeout_s``.
        """
        self._path = path
        self._name = settings.name or source_name(path.stem)
        self._clock, self._tap = clock, tap
        self._timeout_s = settings.open_timeout_s
        self._closed = Event()
        self._epochs = EpochCounter()
        self._frame_limit = settings.frames
        self._container: av.container.InputContainer | None = None
        self._tail: str | None = None
        self._calls = BlockingCalls(f"video {self._name}")
        try:
            self._calls.call(lambda: self._open(strict=True), self._timeout_s)
        except BaseException as error:
            self.close()
            if isinstance(error, TimeoutError):
                raise SourceError(f"{path}: did not open within {self._timeout_s:g} s; check the disk") from error
            raise
        rate = self._stream.average_rate or self._stream.guessed_rate
        self._rate_hz = float(rate) if rate else None
        self._declared_frames = self._stream.frames
        self._pacer = Pacer(clock, self._rate_hz or 25.0) if settings.realtime else None

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
        """Frames that the container declares, up to the limit, or None if it does not."""
        if self._declared_frames <= 0:
            return None
        return min(self._declared_frames, self._frame_limit or self._declared_frames)

    @property
    def rate_hz(self) -> float | None:
        """Average frames per second."""
        return self._rate_hz

    @property
    def files(self) -> tuple[Path, ...]:
        """The video."""
        return (self._path,)

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames until the file ends; then the file is closed.

        Damaged frames are delivered with ``damage`` set. Frames that cannot be decoded, and damaged ones before
        the first good frame, are left out, counted in ``dropped`` and leave a gap in ``index``. Unless in realtime,
        the limit ends the iteration.

        Raises:
            TruncatedError: At the end, if the file is truncated or damaged; every decodable frame was delivered.
            LostError: The file could not be read any further; the frames before were delivered.
            SourceError: No frame can be decoded.
        """
        try:
            yield from self._frames()
        finally:
            self.close()

    def close(self) -> None:
        """Close the file; a reader in another thread ends at once."""
        self._closed.set()
        self._calls.finish(self._release)

    def _frames(self) -> Iterator[Frame]:
        """Yield the frames, then judge the end."""
        tally = Tally()
        limit = None if self.live else self._frame_limit
        while True:
            read = self._next_read(tally)
            if read is None:
                return
            if read.restarted:
                tally = Tally()
            tally.missing += read.missing
            tally.skipped += read.skipped
            for picture in read.pictures:
                frame = self._frame(picture, tally)
                if self._closed.is_set():
                    return
                tally.delivered += 1
                tally.damaged += picture.damage is not None
                yield frame
                if tally.delivered == limit:
                    return self._judge_damage(tally)
            if read.ended:
                return self._judge_end(tally, read.failure)

    def _next_read(self, tally: Tally) -> Read | None:
        """Return the next packet's result, or None once the source is closed."""
        try:
            return self._calls.call(self._read, self._timeout_s)
        except FinishedError:
            return None
        except TimeoutError as error:
            kind = LostError if tally.delivered else SourceError
            reason = f"nothing could be read for {self._timeout_s:g} s ({tally.delivered} frames were delivered)"
            raise kind(f"{self._path}: {reason}; check the disk or its connection") from error

    def _frame(self, picture: Picture, tally: Tally) -> Frame:
        due_ns = self._pacer.wait(picture.pts_s, self._closed) if self._pacer else self._clock.monotonic_ns()
        late_us = (self._clock.monotonic_ns() - due_ns) // 1000
        return Frame(
            image=picture.image,
            index=tally.delivered + tally.dropped,
            source=self._name,
            pts_s=picture.pts_s,
            t_capture_us=self._clock.unix_us() - late_us,
            t_read_ns=due_ns,
            bit_depth=picture.bit_depth,
            dropped=tally.dropped,
            damage=picture.damage,
            epoch=self._epochs.of(picture.image, picture.bit_depth),
            colour=picture.colour,
        )

    def _judge_end(self, tally: Tally, failure: str | None) -> None:
        """Raise unless the file ended normally."""
        if not tally.delivered and (failure or tally.missing or tally.skipped):
            raise SourceError(f"{self._path}: no frame can be decoded (codec {self._codec}); the file is damaged")
        extent = self._decoder.extent
        if failure:
            lack: str | None = f"the file cannot be read any further ({failure})"
        elif extent.cut:
            lack = "its last frame is cut off"
        else:
            lack = self._tail
        self._judge_damage(tally, lack)
        if not tally.delivered:
            raise SourceError(f"{self._path}: no frame can be decoded (codec {self._codec}); the file is damaged")

    def _judge_damage(self, tally: Tally, lack: str | None = None) -> None:
        """Raise if anything was damaged or is missing."""
        reasons = [f"truncated: {lack}"] if lack else []
        reasons += [f"damaged: {tally.damage}"] if tally.damage else []
        if count := self._decoder.extent.unreadable:
            reasons.append(f"the container is damaged in {count} place{'s' if count > 1 else ''}")
        if reasons:
            raise TruncatedError(f"{self._path}: {'; '.join(reasons)}; {tally.delivered} frames were delivered")

    def _open(self, strict: bool) -> None:
        """Open the file, in the reading thread."""
        container = self._container = open_file(self._path)
        self._stream = pick_video_stream(container, str(self._path))
        self._codec = self._stream.codec_context.name
        self._decoder = VideoDecoder(container, self._stream, str(self._path), strict, self._tap)

    def _read(self) -> Read:
        """Read and decode one packet, in the reading thread."""
        if self._container is None:
            return Read(ended=True)
        read = self._decoder.read()
        if self._decoder.too_strict:
            self._release()
            self._open(strict=False)
            return Read(restarted=True)
        if read.ended:
            self._tail = missing_tail(self._container, self._stream, self._decoder.extent)
        return read

    def _release(self) -> None:
        if self._container is not None:
            self._container.close()
            self._container = None
