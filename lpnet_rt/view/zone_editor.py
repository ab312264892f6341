"""Draw zones with the mouse: a window over one frame of a source.

A click adds a corner, Enter closes the polygon, i and w choose its kind, u takes the last step back, s saves, q ends.
The window belongs to this process: nothing else runs beside it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from lpnet_rt.errors import SettingsError, SinkError
from lpnet_rt.reports import Report
from lpnet_rt.settings.zones import ZoneSettings, refuse_points
from lpnet_rt.view.overlay import Picture, Status, draw, picture_size_hw
from lpnet_rt.view.zone_marks import ZONE_BGR, ZoneMarks
from lpnet_rt.zones import Zones

if TYPE_CHECKING:
    from pygame.event import Event

__all__ = ["ZoneCanvas", "ZoneDraft", "edit_zones"]

_USABLE_W, _USABLE_H = 0.95, 0.88  # what the title bar and the desktop's panels leave of a screen
_POLL_MS = 100  # how soon Ctrl-C is heard
_HELP = "click: corner  Enter: close  i/w: ignore/watch  u: undo  s: save  q: end"
_HELP_BGR = (205, 205, 200)
_HELP_PX = 20  # height of the line


class ZoneDraft:
    """The zones that are being drawn.

    Attributes:
        kind: Of the polygon that is being drawn.
        points: Its corners so far, pixels of the frame.
        zones: What was closed.
    """

    def __init__(self, source: str, taken_names: Sequence[str] = ()) -> None:
        """Begin without zones.

        Args:
            source: Name of the source that they will belong to.
            taken_names: Names that no new zone gets.
        """
        self.kind: Literal["ignore", "watch"] = "ignore"
        self.points: list[tuple[float, float]] = []
        self.zones: list[ZoneSettings] = []
        self._source, self._taken = source, set(taken_names)

    def add(self, x: float, y: float) -> None:
        """Add a corner, pixels of the frame."""
        self.points.append((round(x, 1), round(y, 1)))

    def close(self) -> bool:
        """Make a zone of the corners; False, and nothing changes, where they enclose nothing."""
        if len(self.points) < 3:
            return False
        names = {zone.name for zone in self.zones} | self._taken
        number = next(n for n in range(1, len(names) + 2) if f"{self.kind}-{n}" not in names)
        zone = ZoneSettings(
            points=tuple(self.points), kind=self.kind, name=f"{self.kind}-{number}", source=self._source
        )
        try:
            refuse_points(zone, "")
        except SettingsError:
            return False
        self.zones.append(zone)
        self.points = []
        return True

    def undo(self) -> None:
        """Take the last corner back, or the last zone where no polygon is begun: its corners are there again."""
        if self.points:
            self.points.pop()
        elif self.zones:
            zone = self.zones.pop()
            self.points, self.kind = list(zone.points), zone.kind


class ZoneCanvas:
    """One frame with the zones that there are and those that are being drawn.

    Attributes:
        size_hw: Height and width of the picture, pixels.
    """

    def __init__(
        self, report: Report, draft: ZoneDraft, given: Sequence[ZoneSettings], most_hw: tuple[int, int]
    ) -> None:
        """Draw nothing yet.

        Args:
            report: The frame and what was found in it.
            draft: The zones that are being drawn.
            given: Zones that the source has already.
            most_hw: The picture is made no larger than this, pixels.
        """
        self._report, self._draft, self._given = report, draft, tuple(given)
        self._frame_hw = report.frame.size_hw
        self.size_hw = picture_size_hw(self._frame_hw, most_hw)
        self._scale = self.size_hw[1] / self._frame_hw[1]

    def place(self, x: int, y: int) -> tuple[float, float]:
        """Where in the frame a pixel of the picture lies, kept inside the frame; pixels of the frame."""
        height, width = self._frame_hw
        xs, ys = (x + 0.5) / self._scale - 0.5, (y + 0.5) / self._scale - 0.5
        return min(max(xs, 0.0), width - 1.0), min(max(ys, 0.0), height - 1.0)

    def paint(self) -> Picture:
        """Return the picture as it is now: (*size_hw, 3) uint8, BGR."""
        zones = Zones([*self._given, *self._draft.zones], self._report.frame.source)
        picture = draw(self._report, Status(), self.size_hw, zones=ZoneMarks(zones))
        corners = ((np.array(self._draft.points).reshape(-1, 2) + 0.5) * self._scale - 0.5).round().astype(np.int32)
        colour = ZONE_BGR[self._draft.kind]
        if len(corners) > 1:
            cv2.polylines(picture, [corners], False, colour, 1, cv2.LINE_AA)
        for x, y in corners.tolist():
            cv2.drawMarker(picture, (x, y), colour, cv2.MARKER_SQUARE, 5)
        picture[:_HELP_PX] >>= 2
        for words, x, ink in ((self._draft.kind, 6, colour), (_HELP, 60, _HELP_BGR)):
            cv2.putText(picture, words, (x, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.4, ink, 1, cv2.LINE_AA)
        return picture


def edit_zones(
    report: Report, draft: ZoneDraft, given: Sequence[ZoneSettings], save: Callable[[Sequence[ZoneSettings]], None]
) -> None:
    """Open the window, and return when the person ends it.

    Args:
        report: The frame and what was found in it.
        draft: Takes the zones.
        given: Zones that the source has already; they are shown.
        save: Called with the zones when s is pressed.

    Raises:
        SinkError: There is no display, or pygame is missing.
    """
    has_display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or os.environ.get("SDL_VIDEODRIVER")
    if sys.platform == "linux" and not has_display:
        raise SinkError("zones: expected a display, found none; write a picture with --out FILE.png")
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    os.environ.setdefault("SDL_NO_SIGNAL_HANDLERS", "1")  # Ctrl-C ends the program, not only the window
    try:
        import pygame

        pygame.display.init()
        try:
            _run(report, draft, given, save)
        finally:
            pygame.display.quit()
    except (ImportError, RuntimeError) as error:  # pygame.error is a RuntimeError
        raise SinkError(f"zones: no window: {error}; write a picture with --out FILE.png") from error


def _run(
    report: Report, draft: ZoneDraft, given: Sequence[ZoneSettings], save: Callable[[Sequence[ZoneSettings]], None]
) -> None:
    """Show the canvas and answer the person until the window is closed."""
    import pygame

    widths, heights = zip(*pygame.display.get_desktop_sizes(), strict=True)
    canvas = ZoneCanvas(report, draft, given, (int(min(heights) * _USABLE_H), int(min(widths) * _USABLE_W)))
    pygame.display.set_caption(f"lpnet-rt zones: {report.frame.source}")
    window = pygame.display.set_mode(canvas.size_hw[::-1])
    is_open, has_changed = True, True
    while is_open:
        if has_changed:
            window.blit(pygame.image.frombuffer(canvas.paint().tobytes(), canvas.size_hw[::-1], "BGR"), (0, 0))
            pygame.display.flip()
        events = [pygame.event.wait(_POLL_MS), *pygame.event.get()]
        is_open = all(_answer(event, draft, canvas, save) for event in events)
        has_changed = any(event.type != pygame.NOEVENT for event in events)


def _answer(event: Event, draft: ZoneDraft, canvas: ZoneCanvas, save: Callable[[Sequence[ZoneSettings]], None]) -> bool:
    """Act on an event; False ends the window."""
    import pygame

    if event.type == pygame.MOUSEBUTTONDOWN and event.button == pygame.BUTTON_LEFT:
        draft.add(*canvas.place(*event.pos))
    if event.type != pygame.KEYDOWN:
        return bool(event.type != pygame.QUIT)
    if event.key in (pygame.K_RETURN, pygame.K_KP_ENTER):
        draft.close()
    elif event.key in (pygame.K_i, pygame.K_w):
        draft.kind = "ignore" if event.key == pygame.K_i else "watch"
    elif event.key == pygame.K_u:
        draft.undo()
    elif event.key == pygame.K_s:
        save(draft.zones)
    return event.key not in (pygame.K_q, pygame.K_ESCAPE)
