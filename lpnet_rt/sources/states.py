"""What is known of a source beside its frames: where it stands, what came of it, when its pictures change."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from lpnet_rt.frames import GreyImage

__all__ = ["EpochCounter", "OnState", "SourceCounts", "SourceState", "State", "StateLog"]

_MAX_CHANGES = 64

State = Literal["connecting", "live", "calibrating", "frozen", "lost", "ended"]


@dataclass(frozen=True, slots=True)
class SourceState:
    """Where a source stands.

    Attributes:
        state: ``connecting``: it has not delivered a frame yet. ``live``: it delivers. ``calibrating``: its pictures
            stand still for a moment or have just changed in level or gain, and must not be relied on. ``frozen``: it
            has repeated one picture for too long. ``lost``: it broke off, fell silent or refuses; it is waited for.
            ``ended``: nothing follows, and nothing was lost.
        reason: Why, in one line without passwords; None where there is nothing to say.
        since_us: Unix time at which ``state`` began, microseconds.
        since_ns: The same on the monotonic clock, nanoseconds.
        reconnects: How often it delivered again after it was lost or frozen.
        epoch: How often the size, the type or the bit depth of its pictures has changed.
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
    """What came of a source so far; frames that a slow reader missed are the reader's to count.

    Attributes:
        delivered: Frames delivered, damaged ones included.
        damaged: Frames delivered with ``Frame.damage`` set.
        left_out: Frames that could not be decoded, or came before the first key frame: the source's own share of
            ``Frame.dropped``.
        corrupt_packets: Packets of which something was lost or changed on the way, or that no decoder takes.
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
    """The states of a source, from whichever thread notices them to whoever publishes them; empty for one without.

    Attributes:
        state: The latest, or None before the first.
        read_counts: Returns what came of the source so far.
    """

    def __init__(self) -> None:
        self.state: SourceState | None = None
        self.read_counts: Callable[[], SourceCounts] = SourceCounts
        self._changes: deque[SourceState] = deque(maxlen=_MAX_CHANGES)

    @property
    def counts(self) -> SourceCounts:
        """What came of the source so far."""
        return self.read_counts()

    def add(self, state: SourceState) -> None:
        """Note a change; never blocks."""
        self.state = state
        self._changes.append(state)

    def take_changes(self) -> list[SourceState]:
        """Return the changes since this was last asked, in order; of very many, the last."""
        changes = []
        while self._changes:
            changes.append(self._changes.popleft())
        return changes


class EpochCounter:
    """Counts how often the kind of picture changes: its size, its type or its bit depth."""

    def __init__(self) -> None:
        self._kind: tuple[object, ...] | None = None
        self._epoch = 0

    def of(self, image: GreyImage, bit_depth: int) -> int:
        """Return the epoch of a picture, from 0, the pictures before included."""
        kind = (image.shape, image.dtype, bit_depth)
        if self._kind is not None and kind != self._kind:
            self._epoch += 1
        self._kind = kind
        return self._epoch
