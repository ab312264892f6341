"""One window for several sources: a grid of tiles."""

from __future__ import annotations

import math
import threading

import numpy as np

from lpnet_rt.sinks.window_link import WindowLink
from lpnet_rt.view.overlay import Picture

__all__ = ["Tile", "make_tiles"]

_FALLBACK_HW = (720, 1280)


class _Wall:
    """The picture that the tiles form; used by the threads of their sinks."""

    def __init__(self, link: WindowLink, count: int) -> None:
        self.link = link
        self.columns = math.ceil(math.sqrt(count))
        self.rows = math.ceil(count / self.columns)
        self._pictures: dict[int, Picture] = {}
        self._open = set(range(count))
        self._unsent: set[int] = set()
        self._lock = threading.Lock()

    @property
    def tile_hw(self) -> tuple[int, int]:
        height, width = self.link.shown_hw or self.link.room_hw or _FALLBACK_HW
        return max(height // self.rows, 1), max(width // self.columns, 1)

    def put(self, number: int, picture: Picture) -> None:
        """Set a tile's picture; it is shown with the others once the window is free."""
        with self._lock:
            self._pictures[number] = picture
            self._unsent.add(number)
        self.show()

    def show(self) -> None:
        """Send the wall if it has changed and the last one is on the screen."""
        with self._lock:
            if not self._unsent or not self.link.is_free:
                return
            height, width = self.tile_hw
            wall = np.zeros((height * self.rows, width * self.columns, 3), np.uint8)
            for number, picture in self._pictures.items():
                row, column = divmod(number, self.columns)
                # A picture drawn before the window was resized is cropped until the next one.
                part = picture[:height, :width]
                top, left = row * height, column * width
                wall[top : top + part.shape[0], left : left + part.shape[1]] = part
            self.link.send(wall)
            self._unsent.clear()

    def is_sent(self, number: int) -> bool:
        """Return whether the last picture of a tile was sent."""
        self.show()
        return number not in self._unsent

    def close(self, number: int) -> None:
        """Close a tile; the window is closed with the last one."""
        with self._lock:
            self._open.discard(number)
            is_last = not self._open
        if is_last:
            self.link.close()


class Tile:
    """One source's part of the window; its sink uses it like a window."""

    def __init__(self, wall: _Wall, number: int) -> None:
        self._wall, self._number = wall, number

    @property
    def room_hw(self) -> tuple[int, int] | None:
        """Height and width of the tile, pixels."""
        return self._wall.tile_hw

    @property
    def shown_hw(self) -> tuple[int, int] | None:
        """As :attr:`room_hw`: a picture fills its tile, with bars if the aspect ratios differ."""
        return self._wall.tile_hw

    @property
    def is_free(self) -> bool:
        """Whether the last picture was sent, so that the next may be sent."""
        return self._wall.is_sent(self._number)

    @property
    def was_closed(self) -> bool:
        """Whether the user closed the window."""
        return self._wall.link.was_closed

    @property
    def has_ended(self) -> bool:
        """Whether the window's process has ended."""
        return self._wall.link.has_ended

    def send(self, picture: Picture) -> None:
        """Show a picture, (H, W, 3) uint8, BGR, of the tile's size; must not change."""
        self._wall.put(self._number, picture)

    def close(self) -> None:
        """Release the window; harmless when called twice."""
        self._wall.close(self._number)


def make_tiles(link: WindowLink, count: int) -> list[Tile]:
    """Divide a window into tiles, row by row.

    Args:
        link: The window; it is closed with the last tile.
        count: Number of tiles, at least 1.
    """
    wall = _Wall(link, count)
    return [Tile(wall, number) for number in range(count)]
