"""Show the overlay in a window: q quits, space pauses, s saves a picture."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2

from lpnet_rt.clock import Clock
from lpnet_rt.overlay import Painter, Picture
from lpnet_rt.reports import Report

__all__ = ["WindowSink", "open_window"]

_REDRAW_NS = 1_000_000_000 // 60
_PROBE_TIMEOUT_S = 10.0
_PROBE = "import {}; cv2.namedWindow('lpnet-rt'); cv2.destroyAllWindows()"
_QUIT_KEYS = (ord("q"), ord("Q"))
_SAVE_KEYS = (ord("s"), ord("S"))
_PAUSE_KEY = ord(" ")


class WindowSink:
    """A window that shows the newest frame, at most 60 times a second.

    While it is paused the picture stands still; frames go on being detected and published unless the caller holds
    its source: ``while window.paused and not window.wants_stop: window.poll()``. To be used from one thread, the
    main thread where the operating system insists on it.
    """

    def __init__(self, title: str, painter: Painter, clock: Clock, folder: str = ".") -> None:
        """Open the window; ``open_window`` is the safe way where there may be no display.

        Args:
            title: Title of the window, and the start of the names of saved pictures.
            painter: Draws the overlay; shared with the video.
            clock: Paces the redrawing.
            folder: Where ``s`` saves pictures.
        """
        self._title = title
        self._painter = painter
        self._clock = clock
        self._folder = Path(folder)
        self._picture: Picture | None = None
        self._frame_index = 0
        self._shown_ns: int | None = None
        self._paused = False
        self._wants_stop = False
        self._is_open = True
        cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)

    @property
    def wants_stop(self) -> bool:
        """True once q was pressed or the window was closed."""
        return self._wants_stop

    @property
    def paused(self) -> bool:
        """True while the picture stands still."""
        return self._paused

    def write(self, report: Report) -> None:
        """Show a frame, unless the window is paused or was drawn less than 1/60 s ago."""
        self._painter.note(report)
        if not self._is_open:
            return
        now_ns = self._clock.monotonic_ns()
        if self._shown_ns is not None and now_ns - self._shown_ns < _REDRAW_NS:
            return
        self._shown_ns = now_ns
        # Before drawing, since showing a picture would open a window that was closed again.
        self._notice_closing()
        if not self._paused and not self._wants_stop:
            self._show(report)
        self.poll()

    def poll(self) -> None:
        """Answer the keyboard and the mouse; call it now and then while no frames come. Takes about a millisecond."""
        if not self._is_open:
            return
        key = cv2.waitKey(1)
        if key != -1:
            self._answer(key & 0xFF)
        self._notice_closing()

    def tick(self) -> None:
        """See :meth:`poll`."""
        self.poll()

    def close(self, outcome: str = "end") -> None:
        """Close the window; harmless when called twice."""
        if self._is_open:
            self._is_open = False
            cv2.destroyAllWindows()
            cv2.waitKey(1)

    def _show(self, report: Report) -> None:
        picture = self._painter.paint(report)
        if self._picture is None:
            height, width = picture.shape[:2]
            cv2.resizeWindow(self._title, width, height)
        self._picture, self._frame_index = picture, report.frame.index
        cv2.imshow(self._title, picture)

    def _notice_closing(self) -> None:
        if self._picture is None:
            return
        try:
            visible = cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1
        except cv2.error:
            # What some of OpenCV's window systems answer once a window is gone.
            visible = False
        self._wants_stop |= not visible

    def _answer(self, key: int) -> None:
        if key in _QUIT_KEYS:
            self._wants_stop = True
        elif key == _PAUSE_KEY:
            self._paused = not self._paused
        elif key in _SAVE_KEYS and self._picture is not None:
            self._save(self._picture)

    def _save(self, picture: Picture) -> None:
        """Save the picture on show; a folder that cannot be written is no reason to stop watching."""
        path = self._folder / f"{self._title}_{self._frame_index:06d}.png"
        try:
            path.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
        except OSError as error:
            print(f"{path}: the picture cannot be saved: {error.strerror}", file=sys.stderr)
        else:
            print(f"saved {path}", file=sys.stderr)


def open_window(title: str, painter: Painter, clock: Clock, folder: str = ".") -> WindowSink | None:
    """Open a window, or say in one line on stderr why there is none.

    Args:
        title: Title of the window, and the start of the names of saved pictures.
        painter: Draws the overlay; shared with the video.
        clock: Paces the redrawing.
        folder: Where ``s`` saves pictures.

    Returns:
        The window, or None on a machine without a display or with an OpenCV that has no windows.
    """
    reason = _why_no_window()
    if reason is None:
        return WindowSink(title, painter, clock, folder)
    print(f"no window: {reason}; going on without it", file=sys.stderr)
    return None


def _why_no_window() -> str | None:
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return "expected a display, found neither DISPLAY nor WAYLAND_DISPLAY set"
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    # OpenCV's Qt warns at every start that it brings no fonts; we write no text with it.
    os.environ.setdefault("QT_LOGGING_RULES", "default.warning=false")
    # PyAV and OpenCV each bring a libxcb of their own; with PyAV's in the process first, OpenCV's windows hang.
    av_is_first = next((name for name in sys.modules if name in ("av", "cv2")), "cv2") == "av"
    probe = _PROBE.format("av, cv2" if av_is_first else "cv2")
    # In a process of its own: where the display cannot be reached, Qt ends the whole process.
    try:
        done = subprocess.run([sys.executable, "-c", probe], capture_output=True, timeout=_PROBE_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        hint = "; this program imported av before cv2, import cv2 first" if av_is_first else ""
        return f"the display {display} does not answer{hint}"
    if done.returncode == 0:
        return None
    if b"not implemented" in done.stderr:
        return "this OpenCV is built without windows (opencv-python-headless); install opencv-python"
    return f"the display {display} cannot be opened"
