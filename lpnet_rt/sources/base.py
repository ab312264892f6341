"""What a source is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from lpnet_rt.frames import Frame

__all__ = ["Source"]


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
