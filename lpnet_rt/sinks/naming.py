"""What the files are called that a sink writes for single images."""

from __future__ import annotations

from lpnet_rt.errors import SinkError
from lpnet_rt.frames import Frame

__all__ = ["ImageNames"]


class ImageNames:
    """Names images after their files, without the suffix; further pages of a TIFF get ``-2``, ``-3`` and so on."""

    def __init__(self, sink: str) -> None:
        """Remember the sink's name, for messages."""
        self._sink = sink
        self._pages: dict[str, tuple[str, int]] = {}

    def name_of(self, frame: Frame) -> str:
        """Return the name of what is written for a frame.

        Raises:
            SinkError: The source is no set of images, or two image files have the same stem.
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
