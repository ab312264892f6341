"""The link to the process that owns the window: starts it, sends pictures, reads its messages and ends it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from lpnet_rt.sinks.window_process import HEADER
from lpnet_rt.view.overlay import Picture

__all__ = ["NoWindowError", "WindowLink"]

_PROGRAM = Path(__file__).with_name("window_process.py")
_START_TIMEOUT_S = 15.0
_END_TIMEOUT_S = 0.5
_MIN_SHOWN_PX = 64


class NoWindowError(Exception):
    """No window can be opened; the message says why."""


class WindowLink:
    """One window in a separate process.

    One thread writes pictures, at most one at a time; another reads the answers. Only the constructor waits for the
    window, and ``close`` for up to 0.5 s.
    """

    def __init__(self, title: str, on_key: Callable[[int], None]) -> None:
        """Start the process and wait until its window can be opened.

        Args:
            title: Title of the window.
            on_key: Called in a thread of the link with the code of each key press.

        Raises:
            NoWindowError: The display is missing or does not respond, or pygame is missing.
        """
        self._on_key = on_key
        self._room_hw: tuple[int, int] | None = None
        self._shown_hw: tuple[int, int] | None = None
        self._failure: str | None = None
        self._was_closed = False
        self._has_ended = threading.Event()
        self._is_ready = threading.Event()
        self._wake = threading.Condition()
        self._outgoing: Picture | None = None
        self._is_in_flight = False
        self._is_closing = False
        # Not in the terminal's process group, where Ctrl-C would reach it; -P keeps its folder off the import path.
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(_PROGRAM), title],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
        )
        self._threads = [
            threading.Thread(target=self._send_all, name="lpnet-window-out", daemon=True),
            threading.Thread(target=self._listen, name="lpnet-window-in", daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        self._wait_until_ready()

    @property
    def room_hw(self) -> tuple[int, int] | None:
        """Maximum height and width of a window on this screen, pixels."""
        return self._room_hw

    @property
    def shown_hw(self) -> tuple[int, int] | None:
        """Height and width of the window's client area, pixels, or None before the first picture."""
        return self._shown_hw

    @property
    def is_free(self) -> bool:
        """Whether the last picture is on the screen, so that the next may be sent."""
        return not self._is_in_flight

    @property
    def was_closed(self) -> bool:
        """Whether the user closed the window."""
        return self._was_closed

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended."""
        return self._has_ended.is_set()

    def send(self, picture: Picture) -> None:
        """Send a picture: (H, W, 3) uint8, BGR, must not change. It replaces one that is still waiting."""
        with self._wake:
            self._outgoing = picture
            self._is_in_flight = True
            self._wake.notify()

    def close(self) -> None:
        """End the process; harmless when called twice. Waits up to 0.5 s before killing it."""
        with self._wake:
            self._is_closing = True
            self._wake.notify()
        try:
            self._process.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(1.0)

    def _wait_until_ready(self) -> None:
        self._is_ready.wait(_START_TIMEOUT_S)
        if self._room_hw is not None:
            return
        display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        failure, has_ended = self._failure, self._has_ended.is_set()
        self.close()
        if failure is not None and "pygame" in failure:
            raise NoWindowError(f"it needs pygame-ce ({failure[:200]}); pip install pygame-ce")
        if failure is not None or has_ended:
            raise NoWindowError(f"the display {display} cannot be opened" + (f" ({failure[:200]})" if failure else ""))
        raise NoWindowError(f"the display {display} does not answer")

    def _send_all(self) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        try:
            while True:
                with self._wake:
                    self._wake.wait_for(lambda: self._outgoing is not None or self._is_closing)
                    picture, self._outgoing = self._outgoing, None
                    if self._is_closing or picture is None:
                        return
                _write_all(pipe.fileno(), HEADER.pack(*picture.shape[:2]))
                _write_all(pipe.fileno(), picture.data.cast("B"))
        except OSError:
            pass  # the process has ended, which the other thread notices
        finally:
            pipe.close()

    def _listen(self) -> None:
        pipe = self._process.stdout
        assert pipe is not None
        with pipe:
            for line in pipe:
                self._answer(line.decode("ascii", "replace").split())
        self._process.wait()
        self._has_ended.set()
        self._is_ready.set()

    def _answer(self, words: list[str]) -> None:
        match words:
            case ["ready", width, height]:
                self._room_hw = int(height), int(width)
                self._is_ready.set()
            case ["size", width, height]:
                # Keep drawing even if the window was shrunk to nothing.
                self._shown_hw = max(int(height), _MIN_SHOWN_PX), max(int(width), _MIN_SHOWN_PX)
            case ["shown"]:
                self._is_in_flight = False
            case ["key", code]:
                self._on_key(int(code))
            case ["closed"]:
                self._was_closed = True
            case ["failed", *why]:
                self._failure = " ".join(why)


def _write_all(number: int, content: bytes | memoryview) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(number, rest) :]
