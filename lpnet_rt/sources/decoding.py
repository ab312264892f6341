"""Decoding: packets to pictures, with their damage.

The decoder is set to report damage instead of concealing it. A picture counts as damaged if the decoder, the container
or a checksum reports it, or if it was predicted from such a picture, up to the next key frame.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace

import av

from lpnet_rt.errors import SourceError
from lpnet_rt.frames import GreyImage
from lpnet_rt.processors import processor_count
from lpnet_rt.sources.checksums import Ffv1Checksums
from lpnet_rt.sources.colour import is_sampled
from lpnet_rt.sources.containers import av_reason
from lpnet_rt.sources.damage import Extent
from lpnet_rt.sources.limits import check_size, max_pixels_of
from lpnet_rt.sources.packets import PacketRing
from lpnet_rt.sources.pixels import frame_colour, grey_pixels
from lpnet_rt.sources.sender_clock import SenderClock

__all__ = ["Picture", "Read", "VideoDecoder"]

_MAX_THREADS = 4
_DETECT = "crccheck+bitstream+buffer+careful"
# Key frames that a strict decoder may refuse before its first picture. Some cameras violate their standard in every
# frame; then pictures matter more than the check.
_STRICT_TRIES = 3
# Consecutive packets that a container may fail to return before it counts as unreadable.
_UNREADABLE_TRIES = 64
# Limit on damaged pictures that wait for reordering in the decoder; H.264 allows 16.
_MAX_WAITING = 64
_DEPENDS = "it was predicted from a damaged frame"


@dataclass(frozen=True, slots=True)
class Picture:
    """One decoded picture.

    Attributes:
        image: (H, W) uint8 or uint16, raw counts.
        bit_depth: Significant bits of a count.
        pts_s: Time in the stream, seconds, finite; None if unknown.
        damage: Damage in one line, or None.
        colour: See :class:`lpnet_rt.frames.Frame`.
    """

    image: GreyImage
    bit_depth: int
    pts_s: float | None
    damage: str | None
    colour: float | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """Result of reading one packet.

    Attributes:
        pictures: Decoded pictures in presentation order.
        missing: Pictures that could not be decoded, and damaged ones before the first good one.
        skipped: Incomplete pictures before the first key frame.
        ended: True if nothing follows.
        failure: Why nothing follows, or None at an ordinary end.
        restarted: The stream was reopened and starts from its beginning; earlier counts are void.
    """

    pictures: tuple[Picture, ...] = ()
    missing: int = 0
    skipped: int = 0
    ended: bool = False
    failure: str | None = None
    restarted: bool = False


class VideoDecoder:
    """Reads a container's video stream packet by packet; belongs to one thread.

    Attributes:
        stream: The video stream.
        extent: The part of it that has arrived.
        sender_clock: Its wall-clock times.
    """

    def __init__(
        self,
        container: av.container.InputContainer,
        stream: av.VideoStream,
        what: str,
        strict: bool,
        tap: PacketRing | None = None,
    ) -> None:
        """Prepare the decoder; nothing is read yet.

        Args:
            container: Open container; the caller closes it.
            stream: Its video stream.
            what: File or stream, for messages.
            strict: Whether the decoder reports damage or conceals it.
            tap: Keeps a copy of every packet; None: nothing is kept.
        """
        self._container, self.stream, self._what, self._strict = container, stream, what, strict
        self._tap = tap
        if tap is not None:
            tap.begin(stream, container.format.name)
        self._packets = container.demux(stream)
        context = stream.codec_context
        size_hw = (max(stream.height, context.coded_height), max(stream.width, context.coded_width))
        context.options = {
            "err_detect": _DETECT + ("+explode" if strict else ""),
            "max_pixels": str(max_pixels_of(size_hw)),
        }
        # With one thread per frame, errors arrive late and discard good frames, and every thread delays one.
        stream.thread_type = "SLICE"
        context.thread_count = min(processor_count(), _MAX_THREADS)
        self._checksums = Ffv1Checksums(bytes(context.extradata or b"")) if context.name == "ffv1" else None
        self._times: list[int] | None = [] if container.format.name == "avi" else None
        # FFmpeg's HEVC decoder silently drops some damaged pictures.
        self._awaited: set[int] | None = set() if context.name == "hevc" else None
        self._suspects: dict[int, str] = {}
        self._decoded = 0
        self._damaged = self._own_damage = False
        self._clean_from: int | None = None
        self._joined = self._shown = False
        self._refused_keys = 0
        self.extent = Extent()
        self.sender_clock = SenderClock()

    @property
    def too_strict(self) -> bool:
        """True if the first key frames were all refused: reopen with ``strict`` False."""
        return self._strict and not self._shown and self._refused_keys >= _STRICT_TRIES

    def read(self) -> Read:
        """Read and decode one packet; at the end, drain the decoder.

        Raises:
            SourceError: The pixel format is not supported.
        """
        try:
            packet = self._next_packet()
        except av.EOFError:
            return self._drain()
        except av.FFmpegError as error:
            return self._drain(av_reason(error))
        if packet is None:
            return self._drain()
        if packet.size == 0:
            # FFmpeg's flush packet, or an empty packet, which tells an AVI player to wait.
            return Read()
        if self._tap is not None:
            self._tap.add(packet)
        return self._decode(packet)

    def _next_packet(self) -> av.Packet[av.VideoStream] | None:
        """Return the next packet, skipping unreadable ones."""
        for _ in range(_UNREADABLE_TRIES):
            try:
                return next(self._packets, None)
            except av.InvalidDataError:
                self.extent.unreadable += 1
                self.extent.corrupt += 1
                self._taint()
                self._packets = self._container.demux(self.stream)
        raise av.InvalidDataError(0, "no packet can be read any more")

    def _decode(self, packet: av.Packet[av.VideoStream]) -> Read:
        joined = self._join(packet)
        damage = self._judge(packet)
        self.extent.note(packet, damage is not None)
        self.sender_clock.note(packet)
        time = packet.dts if packet.dts is not None else packet.pts
        if self._times is not None and time is not None:
            heapq.heappush(self._times, time)
        try:
            frames = packet.decode()
        except (av.FFmpegError, ValueError):
            self.extent.corrupt += not self._own_damage and (joined or self._shown)
            self._taint()
            if self._times and time in self._times:
                self._times.remove(time)
                heapq.heapify(self._times)
            self._refused_keys += packet.is_keyframe
            return Read(missing=1) if joined or self._shown else Read(skipped=1)
        if self._awaited is not None and packet.pts is not None and self._shown:
            self._awaited.add(packet.pts)
        if damage and packet.pts is not None:
            while len(self._suspects) >= _MAX_WAITING:
                self._suspects.pop(next(iter(self._suspects)))
            self._suspects[packet.pts] = damage
        return self._pictures(frames, damage)

    def _join(self, packet: av.Packet[av.VideoStream]) -> bool:
        """Note the first key frame; a recording or a reader may start between key frames."""
        self._joined = self._joined or packet.is_keyframe
        return self._joined

    def _judge(self, packet: av.Packet[av.VideoStream]) -> str | None:
        """Return a packet's damage as known before decoding."""
        own = "its data were cut off or lost on the way" if packet.is_corrupt else None
        if own is None and self._checksums is not None:
            own = self._checksums.damage(bytes(packet))
        self._own_damage = own is not None
        if own is not None:
            self.extent.corrupt += 1
            self._taint()
            return own
        if not self._damaged:
            return None
        if packet.is_keyframe:
            # Pictures after a key frame but presented before it may still be predicted from damaged ones.
            self._damaged = packet.pts is not None and self._clean_from is None
            self._clean_from = packet.pts if self._damaged else None
            return None
        clean = self._clean_from is not None and packet.pts is not None and packet.pts > self._clean_from
        return None if clean else _DEPENDS

    def _taint(self) -> None:
        self._damaged, self._clean_from = True, None

    def _drain(self, failure: str | None = None) -> Read:
        """Return the pictures left in the decoder, with ``ended`` set."""
        try:
            frames = self.stream.codec_context.decode(None)
        except (av.FFmpegError, ValueError):
            return Read(ended=True, failure=failure)  # already counted when its packet was decoded
        last_damage = _DEPENDS if self._damaged and self._clean_from is None else None
        read = self._pictures(frames, last_damage)
        unseen = len(self._awaited or ())
        return replace(read, missing=read.missing + unseen, ended=True, failure=failure)

    def _pictures(self, frames: list[av.VideoFrame], last_damage: str | None) -> Read:
        """Turn frames into pictures; ``last_damage`` is the last packet's, for frames without a time."""
        pictures: list[Picture] = []
        missing = skipped = 0
        for frame in frames:
            missing += self._passed_over(frame)
            damage = last_damage if frame.pts is None else self._suspects.pop(frame.pts, None)
            pts_s = self._time_s(frame)
            if not self._shown and damage is None and (frame.is_corrupt or not (self._joined or frame.key_frame)):
                skipped += 1
                continue
            if damage is None and frame.is_corrupt:
                damage = "the decoder marks it as damaged"
            if damage is not None and not self._shown:
                missing += 1
                continue
            self._shown = True
            pictures.append(self._picture(frame, pts_s, damage))
        return Read(tuple(pictures), missing, skipped)

    def _passed_over(self, frame: av.VideoFrame) -> int:
        """Return how many pictures are missing before this one; later ones may be predicted from them."""
        if self._awaited is None or frame.pts is None:
            return 0
        passed = {pts for pts in self._awaited if pts < frame.pts}
        self._awaited -= passed | {frame.pts}
        if passed:
            self._taint()
        return len(passed)

    def _picture(self, frame: av.VideoFrame, pts_s: float | None, damage: str | None) -> Picture:
        check_size((frame.height, frame.width), self._what)
        try:
            image, bit_depth = grey_pixels(frame)
        except SourceError as error:
            raise SourceError(f"{self._what}: {error}") from error
        colour = frame_colour(frame) if is_sampled(self._decoded) else None
        self._decoded += 1
        return Picture(image, bit_depth, pts_s, damage, colour)

    def _time_s(self, frame: av.VideoFrame) -> float | None:
        """Return a frame's time in the stream's time base; a frame's own may be lost in the decoder."""
        pts = frame.pts
        if self._times:
            # AVI numbers its frames in storage order, not in presentation order.
            pts = heapq.heappop(self._times)
        if pts is None or not self.stream.time_base:
            return None
        return float(pts * self.stream.time_base)
