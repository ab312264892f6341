"""Names of the files that sinks write."""

from __future__ import annotations

import time
from pathlib import Path

from lpnet_rt.errors import SinkError
from lpnet_rt.frames import Frame

__all__ = ["ImageNames", "free_name"]


class ImageNames:
    """Names images after their files, without the suffix; further pages of a TIFF get ``-2``, ``-3`` and so on."""

    def __init__(self, sink: str) -> None:
        """Store the sink's name, for messages."""
        self._sink = sink
        self._pages: dict[str, tuple[str, int]] = {}

    def name_of(self, frame: Frame) -> str:
        """Return the name of a frame's output file.

        Raises:
            SinkError: The source is not a set of images, or two image files have the same stem.
        """
        if frame.file is None or frame.stem is None:
            raise SinkError(
                f"{self._sink}: expected a source of single images, found {frame.source}, frame {frame.index}; "
                "give a folder or a pattern of images"
            )
        file, page = self._pages.get(frame.stem, (frame.file, 0))
        if file != frame.file:
            raise SinkError(
                f"{self._sink}: {file} and {frame.file} would both be written as {frame.stem}.png; rename one"
            )
        self._pages[frame.stem] = (file, page + 1)
        return frame.stem if page == 0 else f"{frame.stem}-{page + 1}"


def free_name(path: str, unix_us: int) -> str:
    """Return a path that does not exist: this one, or one with the time (UTC) in its name."""
    given = Path(path)
    if not given.exists():
        return path
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(unix_us / 1e6))
    names = (f"{given.stem}-{stamp}{tail}{given.suffix}" for tail in ("", *(f"-{n}" for n in range(2, 1000))))
    return str(next(candidate for name in names if not (candidate := given.with_name(name)).exists()))
