"""The process that owns the window: reads pictures from standard input, writes key presses to standard output.

``lpnet_rt.sinks.window`` starts it. It is a separate program that imports nothing of lpnet-rt, so that window problems
cannot affect the detector: if the display disappears or one of its libraries fails, Xlib and SDL end the process, and a
display that stalls blocks it. It ends when its standard input does.

Input: ``HEADER`` (height, width) and the picture, (height, width, 3) uint8, BGR. Output: lines of a word and numbers.

    ready W H     the display is available; W and H are the maximum size of a new window
    size W H      the client area of the window now has this size
    shown         a picture is on the screen; the next one may be sent
    key N         a key was pressed: its ASCII code
    closed        the user closed the window
    failed WHY    no window can be opened
"""

from __future__ import annotations

import os
import signal
import struct
import sys
import threading
from typing import TYPE_CHECKING, BinaryIO, TextIO

if TYPE_CHECKING:
    from pygame import Surface

__all__ = ["HEADER", "main"]

HEADER = struct.Struct("<II")
# Share of the screen without the title bar and the desktop's panels.
_USABLE_W, _USABLE_H = 0.95, 0.88
_POLL_MS = 8
_ASCII_KEYS = range(1, 128)
# Overrides of the defaults of SDL and pygame.
_SDL_SETTINGS = {
    "PYGAME_HIDE_SUPPORT_PROMPT": "1",
    "SDL_VIDEO_X11_WMCLASS": "lpnet-rt",
    "SDL_VIDEO_WAYLAND_WMCLASS": "lpnet-rt",
    "SDL_NO_SIGNAL_HANDLERS": "1",  # SIGTERM would look like the user closing the window
    "SDL_FRAMEBUFFER_ACCELERATION": "0",  # no graphics driver for one picture
    "SDL_VIDEO_X11_NET_WM_BYPASS_COMPOSITOR": "0",
    "SDL_VIDEO_ALLOW_SCREENSAVER": "1",
}


class _Inbox:
    """Reads pictures in a separate thread, one ahead; ends the process at the end of the input."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._free = threading.Semaphore(1)
        self._picture: tuple[bytes, tuple[int, int]] | None = None
        threading.Thread(target=self._read, name="pictures", daemon=True).start()

    def take(self) -> tuple[bytes, tuple[int, int]] | None:
        """Return the next picture's bytes and its width and height, or None if there is none yet."""
        picture = self._picture
        if picture is not None:
            self._picture = None
            self._free.release()
        return picture

    def _read(self) -> None:
        try:
            while True:
                height, width = HEADER.unpack(self._stream.read(HEADER.size))
                content = self._stream.read(height * width * 3)
                if len(content) < height * width * 3:
                    break
                # Only now: a reader that waits for a hanging display would not see the end of the input.
                self._free.acquire()
                self._picture = content, (width, height)
        except (OSError, struct.error):
            pass  # the end of the input
        # The main thread may hang in a display that does not respond.
        os._exit(0)


def main() -> int:
    """Show pictures until the window is closed or the input ends."""
    # Ctrl-C is for the parent process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    # Output of libraries on standard output must not be taken for an answer.
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, sys.stdout.fileno())
    os.environ.update({name: value for name, value in _SDL_SETTINGS.items() if name not in os.environ})
    if sys.platform == "linux":
        os.environ.setdefault("SDL_VIDEODRIVER", "x11,wayland")  # not the bare console
    try:
        return _show_all(sys.argv[1], _Inbox(sys.stdin.buffer), answers)
    except BrokenPipeError:
        return 0


def _show_all(title: str, inbox: _Inbox, answers: TextIO) -> int:
    try:
        import pygame

        pygame.display.init()
    except (ImportError, RuntimeError) as error:  # pygame.error is a RuntimeError
        print("failed", " ".join(str(error).split()), file=answers)
        return 1
    # With several monitors: the size that fits each of them.
    widths, heights = zip(*pygame.display.get_desktop_sizes(), strict=True)
    print("ready", int(min(widths) * _USABLE_W), int(min(heights) * _USABLE_H), file=answers)
    picture: Surface | None = None
    inside_wh = (0, 0)
    while True:
        received = inbox.take()
        if received is not None:
            if picture is None:
                _open(title, received[1])
            picture = pygame.image.frombuffer(*received, "BGR")
            _draw(picture)
        if picture is not None and pygame.display.get_window_size() != inside_wh:
            inside_wh = pygame.display.get_window_size()
            print("size", *inside_wh, file=answers)
        if received is not None:
            print("shown", file=answers)
        for event in (pygame.event.wait(_POLL_MS), *pygame.event.get()):
            if event.type == pygame.KEYDOWN and event.key in _ASCII_KEYS:
                print("key", event.key, file=answers)
            elif event.type == pygame.QUIT:
                print("closed", file=answers)
                return 0
            elif event.type in (pygame.WINDOWEXPOSED, pygame.WINDOWRESIZED) and picture is not None:
                _draw(picture)


def _open(title: str, size_wh: tuple[int, int]) -> None:
    import pygame

    pygame.display.set_caption(title)
    pygame.display.set_icon(pygame.Surface((32, 32)))  # a blank icon instead of pygame's
    pygame.display.set_mode(size_wh, pygame.RESIZABLE)


def _draw(picture: Surface) -> None:
    """Draw a picture centred, as large as fits the window at its aspect ratio."""
    import pygame

    window = pygame.display.get_surface()
    assert window is not None
    scale = min(window.get_width() / picture.get_width(), window.get_height() / picture.get_height())
    fitted_wh = max(1, round(picture.get_width() * scale)), max(1, round(picture.get_height() * scale))
    if fitted_wh != picture.get_size():
        picture = pygame.transform.scale(picture, fitted_wh)
    window.fill((0, 0, 0))
    window.blit(picture, picture.get_rect(center=window.get_rect().center))
    pygame.display.flip()


if __name__ == "__main__":
    sys.exit(main())
