"""What a source is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from lpnet_rt.errors import SourceError
from lpnet_rt.frames import Frame
from lpnet_rt.sources.states import SourceCounts

__all__ = ["Connection", "Source", "UnusableSourceError"]


class UnusableSourceError(SourceError):
    """The source can never be read, however long one waits for it."""


class Source(Protocol):
    """Delivers frames in order, once.

    Attributes:
        name: Name for message topics: letters, digits, ``-`` and ``_`` only.
        live: True where frames come at their own pace (a camera): a late reader misses them. A file waits.
        frame_count: How many frames will come, or None where that cannot be known.
        rate_hz: Nominal frames a second, or None where the source has none.
        files: The files that it reads, which no output may replace; none for cameras and streams.
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


class Connection(Source, Protocol):
    """One connection to a live source: it is made once, breaks once, and is never mended.

    Attributes:
        shown: What it is called in messages, without passwords.
        is_recording: True where what is read ends by itself, as a file does.
        is_over: True once it is closed and nothing of it is left behind, no thread and no handle.
        counts: What came of it so far.
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
            knock: Ask first whether anything answers at the address, which takes less time than a whole attempt.

        Raises:
            SourceError: There is nothing to connect to within the time limit.
            FinishedError: It was closed meanwhile.
        """
        ...
