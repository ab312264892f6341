"""What clips are cut from: a source's packets as they came, or its pictures, encoded when a clip needs them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import av
import numpy as np
from numpy.typing import NDArray

from lpnet_rt.clock import Clock
from lpnet_rt.frames import Frame, GreyImage
from lpnet_rt.sources.packets import KeptPacket, PacketRing, Ring, Template

__all__ = ["Footage", "FrameFootage", "PacketFootage"]

_TIME_BASE = Fraction(1, 90_000)
_NEUTRAL = 128  # a picture without colour
_FULL_RANGE = 2
# Every picture is a key frame, so that any of them may begin a clip, and clips can share what was encoded once.
_H264 = {"preset": "ultrafast", "crf": "18", "tune": "zerolatency", "g": "1"}
_FFV1 = {"level": "3", "coder": "0", "context": "0", "slicecrc": "1", "g": "1"}


class Footage(Protocol):
    """The latest pictures of a source, for clips.

    Attributes:
        is_copied: Whether clips have the packets as they came.
    """

    @property
    def is_copied(self) -> bool:
        """Whether clips have the packets as they came."""
        ...

    def stretch_at(self, t_ns: int) -> int | None:
        """See :meth:`lpnet_rt.sources.packets.Ring.stretch_at`."""
        ...

    def template(self, stretch: int) -> Template | None:
        """Return what a file must know of a stretch, or None."""
        ...

    def start(self, stretch: int, time_s: float) -> int | None:
        """See :meth:`lpnet_rt.sources.packets.Ring.start`."""
        ...

    def read(
        self, stretch: int, number: int, until_s: float, shown_s: float
    ) -> tuple[Sequence[KeptPacket], int] | None:
        """See :meth:`lpnet_rt.sources.packets.Ring.read`."""
        ...


class PacketFootage:
    """Packets that a decoder has kept."""

    is_copied = True

    def __init__(self, ring: PacketRing, max_items: int = 1_000) -> None:
        """Take packets from a ring, so many at once."""
        self._ring, self._max_items = ring, max_items
        self.stretch_at, self.template, self.start = ring.stretch_at, ring.template, ring.start

    def read(
        self, stretch: int, number: int, until_s: float, shown_s: float
    ) -> tuple[Sequence[KeptPacket], int] | None:
        """See :meth:`lpnet_rt.sources.packets.Ring.read`."""
        return self._ring.read(stretch, number, until_s, shown_s, self._max_items)


@dataclass(slots=True, eq=False)
class _KeptFrame:
    """A picture, and its packet once that was needed; see :class:`lpnet_rt.sources.packets.Kept`."""

    image: GreyImage
    time_s: float
    packet: KeptPacket | None = None

    @property
    def order_s(self) -> float:
        return self.time_s

    @property
    def is_key(self) -> bool:
        return True

    @property
    def size_bytes(self) -> int:
        return self.image.nbytes


class FrameFootage:
    """Pictures of a source that is not encoded, for one thread: FFV1, without loss, for 16 bits; H.264 for 8 bits.

    Attributes:
        is_behind: Whether pictures were left for later since the last :meth:`allow`.
    """

    is_copied = False

    def __init__(self, max_s: float, max_bytes: int, clock: Clock) -> None:
        """Keep pictures up to a length, in seconds, and a size, in bytes."""
        self.is_behind = False
        self._clock, self._budget, self._deadline_ns = clock, 0, 0
        self._ring: Ring[_KeptFrame] = Ring(max_s, max_bytes, clock)
        self._encoders: dict[int, _Encoder] = {}
        self._connection: tuple[int, int] | None = None
        self._latest: int | None = None
        self._last_s = 0.0
        self.stretch_at, self.start = self._ring.stretch_at, self._ring.start

    def allow(self, pictures: int, seconds: float) -> None:
        """Allow so many pictures to be encoded within so much time, so that nobody waits for long."""
        self._budget, self._deadline_ns = pictures, self._clock.monotonic_ns() + round(seconds * 1e9)
        self.is_behind = False

    def add(self, frame: Frame, time_s: float) -> None:
        """Keep the picture of a frame; ``time_s`` is its time in the stream, seconds."""
        connection = frame.epoch, frame.reconnects
        if connection != self._connection or time_s <= self._last_s:
            self._ring.begin_stretch(None, frame.t_read_ns)
            self._latest = self._ring.stretch_at(frame.t_read_ns)
            assert self._latest is not None
            self._encoders = {number: one for number, one in self._encoders.items() if number > self._latest - 4}
            self._encoders[self._latest] = _Encoder(frame.image)
        self._connection, self._last_s = connection, time_s
        self._ring.append(_KeptFrame(frame.image, time_s))

    def template(self, stretch: int) -> Template | None:
        """Return what a file must know of a stretch, or None."""
        encoder = self._encoders.get(stretch)
        return None if encoder is None else encoder.template

    def read(
        self, stretch: int, number: int, until_s: float, shown_s: float
    ) -> tuple[Sequence[KeptPacket], int] | None:
        """See :meth:`lpnet_rt.sources.packets.Ring.read`; no more than is allowed."""
        found = self._ring.read(stretch, number, until_s, shown_s, 1_000)
        encoder = self._encoders.get(stretch)
        if found is None or encoder is None:
            return None
        packets: list[KeptPacket] = []
        for kept in found[0]:
            if kept.packet is None:
                if self._budget == 0 or self._clock.monotonic_ns() > self._deadline_ns:
                    self.is_behind = True
                    break
                self._budget -= 1
                kept.packet = encoder.encode(kept.image, kept.time_s)
            packets.append(kept.packet)
        return packets, number + len(packets)


class _Encoder:
    """Encodes pictures of one size and depth, each without the others."""

    def __init__(self, image: GreyImage) -> None:
        self._is_deep = image.dtype == np.uint16 or "libx264" not in av.codecs_available
        self._held = av.open(io.BytesIO(), "w", format="matroska")
        name, options = ("ffv1", _FFV1) if self._is_deep else ("libx264", _H264)
        stream = self._held.add_stream(name, rate=30, options=options)
        assert isinstance(stream, av.VideoStream)
        even = 0 if self._is_deep else 1
        stream.height, stream.width = (side + (side & even) for side in image.shape)
        stream.pix_fmt = ("gray16le" if image.dtype == np.uint16 else "gray") if self._is_deep else "yuv420p"
        if not self._is_deep:
            stream.codec_context.color_range = _FULL_RANGE
        stream.time_base = stream.codec_context.time_base = _TIME_BASE
        stream.codec_context.thread_count = 1
        self._stream: av.VideoStream | None = None
        self._unopened = stream

    @property
    def template(self) -> Template:
        """The stream; the encoder is opened when it is first needed."""
        if self._stream is None:
            self._held.start_encoding()
            self._stream = self._unopened
        return Template(self._stream, self._held)

    def encode(self, image: GreyImage, time_s: float) -> KeptPacket:
        """Encode a picture."""
        stream = self.template.stream
        if self._is_deep:
            frame = av.VideoFrame.from_ndarray(image, "gray16le" if image.dtype == np.uint16 else "gray")
        else:
            frame = av.VideoFrame.from_ndarray(_yuv420(image, stream.height, stream.width), "yuv420p")
            frame.color_range = _FULL_RANGE
        pts = round(time_s / _TIME_BASE)
        frame.pts, frame.time_base = pts, _TIME_BASE
        (packet,) = stream.encode(frame)
        return KeptPacket(bytes(packet), pts, pts, 0, _TIME_BASE, is_key=True)


def _yuv420(image: GreyImage, height: int, width: int) -> NDArray[np.uint8]:
    """Return (height * 3 / 2, width) uint8: the picture, its edge repeated, and planes without colour."""
    rows, columns = image.shape
    grey = np.pad(image, ((0, height - rows), (0, width - columns)), mode="edge")
    planes: NDArray[np.uint8] = np.full((height * 3 // 2, width), _NEUTRAL, np.uint8)
    planes[:height] = grey
    return planes
