"""The interfaces of a source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from lpnet_rt.errors import SourceError
from lpnet_rt.frames import Frame
from lpnet_rt.sources.states import SourceCounts

__all__ = ["Connection", "LiveSource", "Source", "UnusableSourceError"]


class UnusableSourceError(SourceError):
    """The source can never be read; waiting does not help."""


class Source(Protocol):
    """Delivers frames in order, once.

    Attributes:
        name: Name for message topics: letters, digits, ``-`` and ``_`` only.
        live: True if frames arrive at their own pace (a camera), so that a late reader misses some; False for files.
        frame_count: Number of frames that it will deliver, or None if unknown.
        rate_hz: Nominal frames per second, or None if the source has no rate.
        files: The files that it reads, which no output may replace; empty for cameras and streams.
    """

    @property
    def name(self) -> str: ...

    @property
    def live(self) -> bool: ...

    @property
    def frame_count(self) -> int | None: ...

    @property
    def rate_hz(self) -> float | None: ...

    @property
    def files(self) -> Sequence[Path]: ...

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames until the source ends.

        Raises:
            TruncatedError: After the last good frame of a damaged source.
            SourceError: If the source cannot be read.
        """
        ...

    def close(self) -> None:
        """Release files and devices; harmless when called twice or from another thread."""
        ...


class LiveSource:
    """The attributes that all live sources have in common; see :class:`Source`.

    A late reader misses frames, the reader enforces the limit that ``frame_count`` states, and nothing is read from
    files. ``rate_hz`` is what the camera declares once it is connected.
    """

    live = True
    files: Sequence[Path] = ()

    def __init__(self, name: str, max_frames: int | None) -> None:
        self.name, self.frame_count = name, max_frames
        self.rate_hz: float | None = None


class Connection(Source, Protocol):
    """One connection to a live source: it connects once, breaks once, and is never repaired.

    Attributes:
        shown: Name in messages, without passwords.
        is_recording: True if it has an end, like a file.
        is_over: True once it is closed and its thread and handles are gone.
        counts: Frame counts so far.
    """

    @property
    def shown(self) -> str: ...

    @property
    def is_recording(self) -> bool: ...

    @property
    def is_over(self) -> bool: ...

    @property
    def counts(self) -> SourceCounts: ...

    def connect(self, knock: bool = False) -> None:
        """Connect; ``close`` in another thread interrupts it.

        Args:
            knock: First check whether the address answers, which is quicker than a full attempt.

        Raises:
            SourceError: No connection within the time limit.
            FinishedError: It was closed in the meantime.
        """
        ...
