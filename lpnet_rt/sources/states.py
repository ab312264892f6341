"""A source's state, its frame counts, and changes of its picture format."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from lpnet_rt.frames import GreyImage
from lpnet_rt.sources.packets import PacketRing

__all__ = ["EpochCounter", "OnState", "PictureNote", "SourceCounts", "SourceState", "State", "StateLog"]

_MAX_CHANGES = 64

PictureNote = Literal["black-hot", "false-colour"]
State = Literal["connecting", "live", "calibrating", "frozen", "lost", "ended"]


@dataclass(frozen=True, slots=True)
class SourceState:
    """State of a source.

    Attributes:
        state: ``connecting``: no frame yet. ``live``: it delivers frames. ``calibrating``: its pictures stand still
            briefly or have just changed in level or gain, and are unreliable. ``frozen``: it has repeated one picture
            for too long. ``lost``: it broke off, fell silent or refuses connections; reconnecting. ``ended``: nothing
            follows, and nothing was lost.
        reason: Reason in one line, without passwords, or None.
        since_us: Unix time at which ``state`` began, microseconds.
        since_ns: The same on the monotonic clock, nanoseconds.
        reconnects: Number of times it delivered again after it was lost or frozen.
        epoch: Number of changes of the size, the type or the bit depth of its pictures.
    """

    state: State
    reason: str | None
    since_us: int
    since_ns: int
    reconnects: int = 0
    epoch: int = 0


OnState = Callable[[SourceState], None]


@dataclass(frozen=True, slots=True)
class SourceCounts:
    """Frame counts of a source; frames that a slow reader missed are counted by the reader.

    Attributes:
        delivered: Frames delivered, damaged ones included.
        damaged: Frames delivered with ``Frame.damage`` set.
        left_out: Frames that could not be decoded, or came before the first key frame: the source's share of
            ``Frame.dropped``.
        corrupt_packets: Packets that were damaged in transit or could not be decoded.
    """

    delivered: int = 0
    damaged: int = 0
    left_out: int = 0
    corrupt_packets: int = 0

    def __add__(self, other: SourceCounts) -> SourceCounts:
        return SourceCounts(
            self.delivered + other.delivered,
            self.damaged + other.damaged,
            self.left_out + other.left_out,
            self.corrupt_packets + other.corrupt_packets,
        )


class StateLog:
    """Queue of a source's states, from the thread that notices them to the one that publishes them.

    Attributes:
        state: The latest state, or None before the first.
        read_counts: Returns the source's frame counts so far.
        notes: What its pictures look like, where that is not what the detector expects.
        packets: Its latest packets, as they came; None: nothing is kept.
    """

    def __init__(self, packets: PacketRing | None = None) -> None:
        self.packets = packets
        self.state: SourceState | None = None
        self.read_counts: Callable[[], SourceCounts] = SourceCounts
        self.notes: tuple[PictureNote, ...] = ()
        self._changes: deque[SourceState] = deque(maxlen=_MAX_CHANGES)

    @property
    def counts(self) -> SourceCounts:
        """The source's frame counts so far."""
        return self.read_counts()

    def add(self, state: SourceState) -> None:
        """Note a change; never blocks."""
        self.state = state
        self._changes.append(state)

    def take_changes(self) -> list[SourceState]:
        """Return the changes since the last call, in order; at most the latest 64."""
        changes = []
        while self._changes:
            changes.append(self._changes.popleft())
        return changes


class EpochCounter:
    """Counts changes of the picture format: its size, its type or its bit depth."""

    def __init__(self) -> None:
        self._kind: tuple[object, ...] | None = None
        self._epoch = 0

    def of(self, image: GreyImage, bit_depth: int) -> int:
        """Return the epoch of the next picture, from 0."""
        kind = (image.shape, image.dtype, bit_depth)
        if self._kind is not None and kind != self._kind:
            self._epoch += 1
        self._kind = kind
        return self._epoch
