"""The program that owns the window: pictures come in on standard input, keys and closing go out on standard output.

``lpnet_rt.sinks.window`` starts it. It is a program of its own, and imports nothing of lpnet-rt, because what happens
to a window must not happen to the detector: where the display goes away or a library of it is at fault, Xlib and Qt
end the process, and a display that stalls stalls it. It ends by itself when its standard input does.

In: ``HEADER`` (height, width) and the picture, (height, width, 3) uint8, BGR. Out: lines of a word and numbers.

    ready W H     the window is there; H and W are the most pixels that a picture should open with
    size W H      the inside of the window is this large now
    shown         a picture is on the screen; the next one may come
    key N         a key was pressed
    closed        the person closed the window
    failed WHY    there is no window
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import sys
import threading
from collections.abc import Sequence
from typing import BinaryIO, TextIO

import numpy as np
from numpy.typing import NDArray

__all__ = ["HEADER", "main"]

HEADER = struct.Struct("<II")
_FALLBACK_WH = (1280, 720)
# What the title bar and the desktop's panels take of a screen.
_USABLE_W, _USABLE_H = 0.95, 0.88
_POLL_MS = 8


class _Monitor(ctypes.Structure):
    """``XineramaScreenInfo``."""

    _fields_ = (
        ("number", ctypes.c_int),
        ("x", ctypes.c_short),
        ("y", ctypes.c_short),
        ("width", ctypes.c_short),
        ("height", ctypes.c_short),
    )


class _Inbox:
    """Reads pictures in a thread of its own, one ahead; ends the process where there are no more."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._free = threading.Semaphore(1)
        self._picture: NDArray[np.uint8] | None = None
        threading.Thread(target=self._read, name="pictures", daemon=True).start()

    def take(self) -> NDArray[np.uint8] | None:
        """Return the next picture, or None where none has come."""
        picture = self._picture
        if picture is not None:
            self._picture = None
            self._free.release()
        return picture

    def _read(self) -> None:
        try:
            while True:
                self._free.acquire()
                height, width = HEADER.unpack(self._stream.read(HEADER.size))
                picture = np.empty((height, width, 3), np.uint8)
                if self._stream.readinto(picture.data.cast("B")) < picture.nbytes:  # type: ignore[attr-defined]
                    break
                self._picture = picture
        except (OSError, struct.error):
            pass  # the end of the input
        # The main thread may hang in a display that does not answer.
        os._exit(0)


def main() -> int:
    """Show pictures until the window is closed or the input ends."""
    # Ctrl-C is for the program that started this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    # Libraries write what they like to standard output; it must not pass as an answer.
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, sys.stdout.fileno())
    try:
        return _show_all(sys.argv[1], sys.stdin.buffer, answers)
    except BrokenPipeError:
        return 0


def _show_all(title: str, pictures: BinaryIO, answers: TextIO) -> int:
    inbox = _Inbox(pictures)
    import cv2

    try:
        cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
    except cv2.error as error:
        print("failed", " ".join(str(error).split()), file=answers)
        return 1
    width, height = screen_wh()
    print("ready", int(width * _USABLE_W), int(height * _USABLE_H), file=answers)
    is_empty = True
    inside_wh: Sequence[int] = ()
    while True:
        picture = inbox.take()
        if picture is not None:
            if is_empty:
                cv2.resizeWindow(title, picture.shape[1], picture.shape[0])
                is_empty = False
            cv2.imshow(title, picture)
        key = cv2.waitKey(_POLL_MS)
        if key != -1:
            print("key", key & 0xFF, file=answers)
        if not is_empty and not _is_visible(title):
            print("closed", file=answers)
            return 0
        if not is_empty and cv2.getWindowImageRect(title)[2:] != inside_wh:
            inside_wh = cv2.getWindowImageRect(title)[2:]
            print("size", *inside_wh, file=answers)
        if picture is not None:
            print("shown", file=answers)


def _is_visible(title: str) -> bool:
    import cv2

    try:
        return cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) >= 1
    except cv2.error:
        # What some of OpenCV's window systems answer once a window is gone.
        return False


def screen_wh() -> tuple[int, int]:
    """Return a width and height, pixels, that every monitor has; 1280x720 where the system does not say."""
    try:
        if sys.platform == "win32":
            metrics = ctypes.windll.user32.GetSystemMetrics
            return _sane(metrics(0), metrics(1))
        return _sane(*_x_screen_wh())
    except (OSError, AttributeError):
        return _FALLBACK_WH


def _sane(width: int, height: int) -> tuple[int, int]:
    return (width, height) if width >= 64 and height >= 64 else _FALLBACK_WH


def _x_screen_wh() -> tuple[int, int]:
    """Ask the X server. (0, 0) where there is none.

    Raises:
        OSError: Xlib is not installed.
    """
    xlib = ctypes.CDLL("libX11.so.6")
    xlib.XOpenDisplay.restype = ctypes.c_void_p
    for function in (xlib.XDisplayWidth, xlib.XDisplayHeight):
        function.argtypes = [ctypes.c_void_p, ctypes.c_int]
    xlib.XCloseDisplay.argtypes = [ctypes.c_void_p]
    display = xlib.XOpenDisplay(None)
    if not display:
        return 0, 0
    try:
        # Over several monitors the screen is as wide as all of them together.
        monitors = _x_monitors_wh(display)
        if monitors:
            return min(width for width, _ in monitors), min(height for _, height in monitors)
        screen = xlib.XDefaultScreen(ctypes.c_void_p(display))
        return xlib.XDisplayWidth(display, screen), xlib.XDisplayHeight(display, screen)
    finally:
        xlib.XCloseDisplay(display)


def _x_monitors_wh(display: int) -> list[tuple[int, int]]:
    try:
        xinerama = ctypes.CDLL("libXinerama.so.1")
    except OSError:
        return []
    xinerama.XineramaQueryScreens.restype = ctypes.POINTER(_Monitor)
    xinerama.XineramaQueryScreens.argtypes = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_int)]
    count = ctypes.c_int(0)
    monitors = xinerama.XineramaQueryScreens(display, ctypes.byref(count))
    # The few bytes of the answer are not given back: this is asked once.
    return [(monitors[i].width, monitors[i].height) for i in range(count.value)] if monitors else []


if __name__ == "__main__":
    sys.exit(main())
