"""Show the overlay in a window, several sources side by side: q quits, space pauses, s saves the pictures.

The window belongs to a separate process (``window_process.py``), so that a display that stalls or disappears can
neither stall nor end the run.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2

from lpnet_rt.clock import Clock
from lpnet_rt.errors import SinkError
from lpnet_rt.files import write_whole
from lpnet_rt.reports import Report
from lpnet_rt.sinks.window_link import NoWindowError, WindowLink
from lpnet_rt.sinks.window_tiles import Tile, make_tiles
from lpnet_rt.view.overlay import Painter, Picture, picture_size_hw

__all__ = ["WindowSink", "open_windows"]

_logger = logging.getLogger(__name__)

_REDRAW_NS = 1_000_000_000 // 60
_MAX_NUMBERED = 10_000
_QUIT_KEYS = (ord("q"), ord("Q"))
_SAVE_KEYS = (ord("s"), ord("S"))
_PAUSE_KEY = ord(" ")


class WindowSink:
    """A window that shows the newest frame, at most 60 times per second.

    If the window or its display is slower, frames are skipped; nothing waits for it. Pausing freezes only the picture.
    The window opens no larger than the screen, and pictures are drawn at its size.
    """

    def __init__(self, link: WindowLink | Tile, title: str, painter: Painter, clock: Clock, folder: str = ".") -> None:
        """Show pictures in an open window; :func:`open_windows` opens one.

        Args:
            link: The window, or this source's tile of it; closed with the sink.
            title: Prefix of the names of saved pictures.
            painter: Draws the overlay.
            clock: Clock that limits the redraw rate.
            folder: Folder in which ``s`` saves pictures.
        """
        self._title = title
        self._link = link
        self._painter = painter
        self._clock = clock
        self._folder = Path(folder)
        self._newest: Report | None = None
        self._shown: Report | None = None
        # One value, so that the saving thread gets a picture with the index of its frame.
        self._on_show: tuple[Picture, int] | None = None
        self._drawn_as: tuple[Report, bool, tuple[int, int] | None] | None = None
        self._sent_ns: int | None = None
        self._paused = False
        self._quits = False
        self._is_open = True

    @property
    def wants_stop(self) -> bool:
        """True once q was pressed or the window was closed; may be read from any thread."""
        return self._quits or self._link.was_closed

    @property
    def paused(self) -> bool:
        """True while the picture is paused; detection continues."""
        return self._paused

    def write(self, report: Report) -> None:
        """Show a frame once the previous one is on the screen and 1/60 s old; a newer frame replaces a waiting one.

        Raises:
            SinkError: The window is gone, and the user did not close it.
        """
        self._painter.note(report)
        self._newest = report
        self._refresh()

    def tick(self) -> None:
        """Show the waiting frame.

        Raises:
            SinkError: The window is gone, and the user did not close it.
        """
        self._refresh()

    def close(self, outcome: str = "end") -> None:
        """Close the window; harmless when called twice."""
        self._is_open = False
        self._link.close()

    def _refresh(self) -> None:
        if not self._is_open or self.wants_stop:
            return
        if self._link.has_ended:
            raise SinkError("window: the display went away; run again once it is back")
        now_ns = self._clock.monotonic_ns()
        if not self._link.is_free or (self._sent_ns is not None and now_ns - self._sent_ns < _REDRAW_NS):
            return
        paused = self._paused and self._shown is not None
        report = self._shown if paused else self._newest
        if report is None:
            return
        size_hw = self._link.shown_hw or picture_size_hw(report.frame.size_hw, self._link.room_hw)
        if self._drawn_as is not None and self._drawn_as[0] is report and self._drawn_as[1:] == (paused, size_hw):
            return
        paint = self._painter.paint_paused if paused else self._painter.paint
        picture = paint(report, size_hw)
        self._link.send(picture)
        self._shown, self._drawn_as, self._sent_ns = report, (report, paused, size_hw), now_ns
        self._on_show = picture, report.frame.index

    def answer(self, key: int) -> None:
        """Handle a key press; called in the thread that reads the window's messages."""
        if key in _QUIT_KEYS:
            self._quits = True
        elif key == _PAUSE_KEY:
            self._paused = not self._paused
        elif key in _SAVE_KEYS and self._on_show is not None:
            self._save(*self._on_show)

    def _save(self, picture: Picture, index: int) -> None:
        """Save the current picture under a free name; a failure is only logged."""
        stem = f"{self._title}_{index:06d}"
        names = [f"{stem}.png", *(f"{stem}_{number}.png" for number in range(2, _MAX_NUMBERED))]
        path = next((self._folder / name for name in names if not os.path.lexists(self._folder / name)), None)
        try:
            if path is None:
                raise SinkError(f"window: {self._folder / names[0]}: too many pictures of this name; move some")
            write_whole(path, cv2.imencode(".png", picture)[1].tobytes(), "window", overwrite=False)
        except SinkError as error:
            _logger.warning("%s", error)
        else:
            _logger.info("saved %s", path)


def open_windows(title: str, painters: Mapping[str, Painter], clock: Clock, folder: str = ".") -> list[WindowSink]:
    """Open one window for all sources, or log in one line why there is none.

    Args:
        title: Title of the window, and prefix of the names of saved pictures.
        painters: Painters by source name; with several sources, each has a tile.
        clock: Clock that limits the redraw rate.
        folder: Folder in which ``s`` saves pictures.

    Returns:
        One sink per source, in order; empty on a machine without a display or pygame.
    """
    windows: list[WindowSink] = []

    def answer(key: int) -> None:
        for window in windows:
            window.answer(key)

    try:
        if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")) and sys.platform == "linux":
            raise NoWindowError("expected a display, found neither DISPLAY nor WAYLAND_DISPLAY set")
        link = WindowLink(title, answer)
    except (NoWindowError, OSError) as error:
        _logger.warning("no window: %s; continuing without it", error)
        return windows
    parts: Sequence[WindowLink | Tile] = [link] if len(painters) == 1 else make_tiles(link, len(painters))
    for part, (name, painter) in zip(parts, painters.items(), strict=True):
        own_title = title if len(painters) == 1 else f"{title}-{name}"
        windows.append(WindowSink(part, own_title, painter, clock, folder))
    return windows
