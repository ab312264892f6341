"""Packets and frames of a source, kept in memory for a while, so that a clip can begin before its event.

A decoder hands every packet to a tap before it decodes it. What is kept is a copy: it outlives the connection.
"""

from __future__ import annotations

import io
import itertools
import threading
from collections import deque
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from lpnet_rt.clock import SYSTEM_CLOCK, Clock
from lpnet_rt.settings import EventSettings

if TYPE_CHECKING:
    import av

__all__ = ["RING_SPARE_S", "Kept", "KeptPacket", "PacketRing", "Ring", "Template", "packet_ring", "template_of"]

RING_SPARE_S = 25.0
"""Kept beside ``before_s``: a track may take so long to be confirmed, and its event to be written, seconds."""

# Reconnections whose pictures may still be waiting for the detector.
_MAX_STRETCHES = 4
# A stream that jumps back further than any reordering has started over.
_JUMP_S = 1.0
# The first packet of an RTSP stream may come without its time; raw video never has any.
_MAX_UNTIMED = 30


class Kept(Protocol):
    """One picture of a source, encoded or not.

    Attributes:
        time_s: When it is shown, seconds of the stream.
        order_s: When it is decoded, seconds of the stream; never after ``time_s``.
        is_key: Whether decoding can start here.
        size_bytes: Memory that it takes.
    """

    @property
    def time_s(self) -> float:
        """Seconds."""
        ...

    @property
    def order_s(self) -> float:
        """Seconds."""
        ...

    @property
    def is_key(self) -> bool:
        """Whether decoding can start here."""
        ...

    @property
    def size_bytes(self) -> int:
        """Bytes."""
        ...


@dataclass(frozen=True, slots=True)
class KeptPacket:
    """One packet, copied; see :class:`Kept`.

    Attributes:
        data: Its bytes, as they came.
        pts: When it is shown, in units of ``time_base``.
        dts: When it is decoded, likewise.
        duration: Likewise; 0 if unknown.
        time_base: Seconds per unit.
        is_key: Whether decoding can start here.
    """

    data: bytes
    pts: int
    dts: int
    duration: int
    time_base: Fraction
    is_key: bool

    @property
    def time_s(self) -> float:
        """See :class:`Kept`."""
        return float(self.pts * self.time_base)

    @property
    def order_s(self) -> float:
        """See :class:`Kept`."""
        return float(self.dts * self.time_base)

    @property
    def size_bytes(self) -> int:
        """See :class:`Kept`."""
        return len(self.data)


@dataclass(frozen=True, slots=True)
class Template:
    """What a Matroska file must know of a stream; outlives the connection that it was taken from.

    Attributes:
        stream: Codec, size and extra data, for ``add_stream_from_template``.
        container: Holds the stream; never written to a file.
    """

    stream: av.VideoStream
    container: av.container.OutputContainer

    @property
    def codec(self) -> str:
        """FFmpeg's name of the codec."""
        return str(self.stream.codec_context.codec.canonical_name)


def template_of(stream: av.VideoStream) -> Template | None:
    """Return what a Matroska file must know of a stream, or None if Matroska cannot hold its packets."""
    import av

    try:
        held = av.open(io.BytesIO(), "w", format="matroska")
        template = Template(held.add_stream_from_template(stream, opaque=True), held)
        with av.open(io.BytesIO(), "w", format="matroska") as trial:
            trial.add_stream_from_template(template.stream, opaque=True)
            trial.start_encoding()
    except (av.FFmpegError, ValueError, NotImplementedError):
        return None
    return template


Item = TypeVar("Item", bound=Kept)


@dataclass(slots=True)
class _Stretch(Generic[Item]):
    """What came without a break; ``first`` is the number of its oldest item that is still kept."""

    number: int
    began_ns: int
    template: Template | None
    first: int
    items: deque[Item] = field(default_factory=deque)
    keys: deque[int] = field(default_factory=deque)


class Ring(Generic[Item]):
    """The latest items of a source, within a time and a size; thread-safe.

    It always starts at a key frame, and drops whole groups of pictures. Items have numbers that only grow. A new
    connection, and a stream that jumps back in time, begin a new stretch.

    Attributes:
        max_s: Length that is kept, seconds.
        max_bytes: Limit on its size.
    """

    def __init__(self, max_s: float, max_bytes: int, clock: Clock = SYSTEM_CLOCK) -> None:
        self.max_s, self.max_bytes = max_s, max_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self._stretches: deque[_Stretch[Item]] = deque()
        self._numbers = itertools.count()
        self._next = 0
        self._bytes = 0

    @property
    def size_bytes(self) -> int:
        """Bytes kept now."""
        with self._lock:
            return self._bytes

    def begin_stretch(self, template: Template | None, began_ns: int | None = None) -> None:
        """Begin a new stretch.

        Args:
            template: What a file must know of the items, or None if it is made later.
            began_ns: Monotonic time, nanoseconds; None: now.
        """
        began_ns = self._clock.monotonic_ns() if began_ns is None else began_ns
        with self._lock:
            self._begin(template, began_ns)

    def append(self, item: Item) -> None:
        """Keep one item, but none before a stretch's first key frame; the oldest are dropped at the limits."""
        with self._lock:
            stretch = self._stretches[-1]
            if stretch.items and item.order_s < stretch.items[-1].order_s - _JUMP_S:
                self._begin(stretch.template, self._clock.monotonic_ns())
                stretch = self._stretches[-1]
            number, self._next = self._next, self._next + 1
            if not stretch.items:
                if not item.is_key:
                    return
                stretch.first = number
            if item.is_key:
                stretch.keys.append(number)
            stretch.items.append(item)
            self._bytes += item.size_bytes
            self._trim(stretch)

    def stretch_at(self, t_ns: int) -> int | None:
        """Return the stretch that a frame which became available at a monotonic time belongs to, or None."""
        with self._lock:
            return next((one.number for one in reversed(self._stretches) if one.began_ns <= t_ns), None)

    def template(self, stretch: int) -> Template | None:
        """Return what a file must know of a stretch, or None if it is gone or has none."""
        with self._lock:
            found = self._find(stretch)
            return None if found is None else found.template

    def start(self, stretch: int, time_s: float) -> int | None:
        """Return the number of the last key frame shown at or before a time, or of the oldest, or None."""
        with self._lock:
            found = self._find(stretch)
            if found is None or not found.keys:
                return None
            before = (key for key in reversed(found.keys) if found.items[key - found.first].time_s <= time_s)
            return next(before, found.keys[0])

    def read(
        self, stretch: int, number: int, until_s: float, shown_s: float, max_items: int
    ) -> tuple[list[Item], int] | None:
        """Return the items from a number on that are decoded at or before a time, and the number of the next one.

        Items that are shown before one that was returned are returned, too, so that no picture is missing between two.

        Args:
            stretch: The stretch.
            number: Of the first item that is wanted.
            until_s: Seconds of the stream.
            shown_s: Latest picture that was returned before, seconds of the stream.
            max_items: At most so many.

        Returns:
            None if items from ``number`` on were dropped already, or the stretch is gone.
        """
        with self._lock:
            found = self._find(stretch)
            if found is None or (found.items and number < found.first):
                return None
            newer = max(found.first + len(found.items) - number, 0)
            latest = list(itertools.islice(reversed(found.items), newer))
        wanted: list[Item] = []
        for item in itertools.islice(reversed(latest), max_items):
            if item.order_s > until_s and item.time_s > shown_s:
                break
            wanted.append(item)
            shown_s = max(shown_s, item.time_s)
        return wanted, number + len(wanted)

    def _begin(self, template: Template | None, began_ns: int) -> None:
        self._stretches.append(_Stretch(next(self._numbers), began_ns, template, self._next))
        while len(self._stretches) > _MAX_STRETCHES:
            self._bytes -= sum(item.size_bytes for item in self._stretches.popleft().items)

    def _find(self, number: int) -> _Stretch[Item] | None:
        return next((one for one in self._stretches if one.number == number), None)

    def _trim(self, newest: _Stretch[Item]) -> None:
        """Drop the oldest groups of pictures over the limits; called with the lock held."""
        while self._bytes > self.max_bytes:
            self._drop_group(next(one for one in self._stretches if one.items))
        oldest_s = newest.items[-1].order_s - self.max_s if newest.items else 0.0
        while len(newest.keys) > 1 and newest.items[newest.keys[1] - newest.first].time_s <= oldest_s:
            self._drop_group(newest)

    def _drop_group(self, stretch: _Stretch[Item]) -> None:
        """Drop items up to the next key frame; all if there is none, as what follows cannot be decoded without them."""
        stretch.keys.popleft()
        end = stretch.keys[0] if stretch.keys else stretch.first + len(stretch.items)
        while stretch.first < end:
            self._bytes -= stretch.items.popleft().size_bytes
            stretch.first += 1


class PacketRing(Ring[KeptPacket]):
    """The latest packets of a source, filled by its decoder."""

    def __init__(self, max_s: float, max_bytes: int, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(max_s, max_bytes, clock)
        self._in_order = False
        self._last_dts: int | None = None
        self._untimed: list[KeptPacket] = []
        self._is_usable = False

    @property
    def is_usable(self) -> bool:
        """Whether the latest connection's packets can be written to a file as they come."""
        return self._is_usable

    def begin(self, stream: av.VideoStream, container: str) -> None:
        """Note a new connection, or a file.

        Args:
            stream: Its video stream.
            container: FFmpeg's name of the container.
        """
        # AVI numbers its frames in storage order; their times in the stream are those of decoding.
        self._in_order = container == "avi"
        reordered = self._in_order and bool(stream.codec_context.has_b_frames)
        template = None if reordered else template_of(stream)
        self._is_usable = template is not None
        self._last_dts, self._untimed = None, []
        self.begin_stretch(template)

    def add(self, packet: av.Packet[av.VideoStream]) -> None:
        """Keep a copy of a packet; nothing if this connection's packets cannot be written, or have no times."""
        if not self._is_usable:
            return
        # The first packets of some containers lack the one time, later packets of others the other.
        dts = packet.dts if packet.dts is not None else packet.pts if self._last_dts is None else self._last_dts
        pts = dts if self._in_order or packet.pts is None else packet.pts
        kept = KeptPacket(bytes(packet), pts or 0, dts or 0, packet.duration or 0, packet.time_base, packet.is_keyframe)
        if pts is None or dts is None:
            self._untimed.append(kept)
            self._is_usable = len(self._untimed) < _MAX_UNTIMED
            return
        self._last_dts = dts
        self._append_untimed(min(dts, pts))
        self.append(replace(kept, dts=min(dts, pts)))

    def _append_untimed(self, dts: int) -> None:
        """Keep the first packets of a connection, which had no time, just before the first that has one."""
        untimed, self._untimed = self._untimed, []
        start = dts - sum(packet.duration for packet in untimed)
        for packet in untimed:
            self.append(replace(packet, pts=start, dts=start))
            start += packet.duration


def packet_ring(settings: EventSettings, clock: Clock) -> PacketRing | None:
    """Return memory for the packets of one source, or None if no clips are wanted."""
    if settings.folder is None or not settings.clips:
        return None
    return PacketRing(settings.before_s + RING_SPARE_S, settings.buffer_mb * 10**6, clock)
