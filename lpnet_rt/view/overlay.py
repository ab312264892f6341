"""Draw a report: the stretched frame, brackets and a score for each detection, and a status line below.

The frame is scaled to its display size before it is marked, so that labels and brackets are equally legible on shrunk
and enlarged frames. Picture coordinates are pixels of the finished picture. Nothing is drawn on a target itself.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lpnet_rt.clock import Clock
from lpnet_rt.reports import Report
from lpnet_rt.text import one_line
from lpnet_rt.view.display_stretch import display_stretch
from lpnet_rt.view.track_marks import Trails, coasting_boxes, colours_of, draw_trails, labels_of
from lpnet_rt.view.zone_marks import ZoneMarks

__all__ = ["Painter", "Picture", "Status", "draw", "picture_size_hw"]

Picture = NDArray[np.uint8]
_Rects = NDArray[np.int32]
_Colour = tuple[int, int, int]

_OUTLINE_BGR = (0, 0, 0)
_STRIP_BGR = (24, 22, 20)
_FAILED_STRIP_BGR = (24, 20, 64)
_TEXT_BGR = (205, 205, 200)
_QUIET_BGR = (150, 148, 144)
_PAUSED_BGR = (70, 240, 255)
_FAILED_BGR = (150, 170, 255)

_LEGIBLE_PX = 640
_LARGEST_SCALE = 4
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_LABEL_FONT_SCALE = 0.4
_STRIP_FONT_SCALE = 0.42
_STRIP_PX = 24
_MARGIN_PX = 7
_MIN_SIDE_PX = 24
_MAX_LABELS = 24
_RATE_WINDOW_NS = 500_000_000


@dataclass(frozen=True, slots=True)
class Status:
    """Contents of the status line besides the frame's number, time and detections.

    Attributes:
        title: Shown at the right, such as the source's name.
        fps: Frames per second, or None.
        threshold: Detection threshold, or None.
        paused: Whether the picture is paused while detection continues.
    """

    title: str = ""
    fps: float | None = None
    threshold: float | None = None
    paused: bool = False


def picture_size_hw(frame_hw: tuple[int, int], max_hw: tuple[int, int] | None = None) -> tuple[int, int]:
    """Return the size of a picture without bars, status line included.

    Args:
        frame_hw: Size of the frame. Frames under 640 pixels are enlarged by an integer factor of at most 4.
        max_hw: Maximum size of the picture, which keeps its aspect ratio; None: no limit.

    Returns:
        Height and width, pixels.
    """
    height, width = frame_hw
    scale = min(_LARGEST_SCALE, max(1, round(_LEGIBLE_PX / max(height, width))))
    strip_px = _STRIP_PX * _unit(height * scale, width * scale)
    size_hw = height * scale + strip_px, width * scale
    if max_hw is None or (size_hw[0] <= max_hw[0] and size_hw[1] <= max_hw[1]):
        return size_hw
    strip_px = _STRIP_PX * _unit(*max_hw)
    scene_h, scene_w = _scene_hw(frame_hw, (max_hw[0] - strip_px, max_hw[1]))
    return scene_h + strip_px, scene_w


def draw(
    report: Report,
    status: Status,
    size_hw: tuple[int, int] | None = None,
    trails: Trails | None = None,
    zones: ZoneMarks | None = None,
) -> Picture:
    """Draw one report.

    Args:
        report: The frame with its detections.
        status: Other contents of the status line.
        size_hw: Size of the picture. The frame is scaled to fit at its aspect ratio, with dark bars; marks and text
            are drawn at this size. None: :func:`picture_size_hw` of the frame.
        trails: Recent positions of its tracks, or None.
        zones: The zones of its source, or None.

    Returns:
        (H', W', 3) uint8, BGR; (*size_hw, 3) if a size is given.
    """
    frame_hw = report.frame.size_hw
    height, width = picture_size_hw(frame_hw) if size_hw is None else size_hw
    unit = _unit(height, width)
    strip_px = _STRIP_PX * unit if height > _STRIP_PX * unit else height // 2
    canvas = np.zeros((height, width, 3), np.uint8)
    room = canvas[: height - strip_px]
    scene_h, scene_w = _scene_hw(frame_hw, room.shape[:2])
    top, left = (room.shape[0] - scene_h) // 2, (width - scene_w) // 2
    scene = room[top : top + scene_h, left : left + scene_w]
    scene[:] = cv2.cvtColor(_resized(display_stretch(report.frame.image), scene_h, scene_w), cv2.COLOR_GRAY2BGR)
    clean = scene.copy()
    if zones is not None:
        zones.draw(scene, frame_hw, unit)
    if trails is not None:
        draw_trails(scene, report, trails, (scene_w / frame_hw[1], scene_h / frame_hw[0]), unit)
    _draw_marks(scene, clean, report, unit)
    _draw_strip(canvas[height - strip_px :], report, status, unit)
    return canvas


class Painter:
    """Draws each report once per size, and measures the frame rate for the status line.

    Use it from one thread.
    """

    def __init__(
        self, title: str, clock: Clock, threshold: float | None = None, zones: ZoneMarks | None = None
    ) -> None:
        """Create a painter.

        Args:
            title: Shown at the right of the status line.
            clock: Clock for the frame rate.
            threshold: Detection threshold, for the status line.
            zones: The zones of its source, or None.
        """
        self._zones = zones
        self._title = title
        self._clock = clock
        self._threshold = threshold
        self._report: Report | None = None
        self._pictures: dict[tuple[int, int] | None, Picture] = {}
        self._fps: float | None = None
        self._window_frames = 0
        self._window_ns: int | None = None
        self._trails = Trails()

    def use(self, threshold: float | None, zones: ZoneMarks | None) -> None:
        """Draw another threshold and other zones from the next report on; may be called from any thread."""
        self._threshold, self._zones = threshold, zones

    def note(self, report: Report) -> None:
        """Count a report for the frame rate, drawn or not; repeated calls with the same report are ignored."""
        if report is self._report:
            return
        self._report = report
        self._pictures.clear()
        self._trails.note(report)
        now_ns = self._clock.monotonic_ns()
        if self._window_ns is None:
            self._window_ns = now_ns
            return
        self._window_frames += 1
        if now_ns - self._window_ns >= _RATE_WINDOW_NS:
            self._fps = self._window_frames * 1e9 / (now_ns - self._window_ns)
            self._window_ns, self._window_frames = now_ns, 0

    def paint(self, report: Report, size_hw: tuple[int, int] | None = None) -> Picture:
        """Return the picture of a report, counted by :meth:`note`: uint8, BGR, must not change.

        Args:
            report: The frame with its detections.
            size_hw: See :func:`draw`.
        """
        self.note(report)
        picture = self._pictures.get(size_hw)
        if picture is None:
            status = Status(self._title, self._fps, self._threshold)
            picture = self._pictures[size_hw] = draw(report, status, size_hw, self._trails, self._zones)
        return picture

    def paint_paused(self, report: Report, size_hw: tuple[int, int] | None = None) -> Picture:
        """Return the picture of a report while paused; it is not counted again.

        Args:
            report: The frame with its detections.
            size_hw: See :func:`draw`.
        """
        status = Status(self._title, self._fps, self._threshold, paused=True)
        return draw(report, status, size_hw, zones=self._zones)


def _unit(height: int, width: int) -> int:
    """Return the line thickness in a picture of this size, in pixels."""
    return max(1, round(max(height, width) / 1400))


def _scene_hw(frame_hw: tuple[int, int], room_hw: tuple[int, ...]) -> tuple[int, int]:
    """Return the largest size of the frame that fits into the room, at its aspect ratio."""
    scale = min(max(1, room) / side for room, side in zip(room_hw, frame_hw, strict=True))
    height, width = (max(1, min(room, round(side * scale))) for room, side in zip(room_hw, frame_hw, strict=True))
    return height, width


def _resized(grey: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    if grey.shape == (height, width):
        return grey
    interpolation = cv2.INTER_AREA if height < grey.shape[0] else cv2.INTER_CUBIC
    return cv2.resize(grey, (width, height), interpolation=interpolation)  # type: ignore[return-value]


def _draw_marks(scene: Picture, clean: Picture, report: Report, unit: int) -> None:
    """Draw brackets and labels of detections, and of tracks without one in this frame."""
    coasting, more_labels, more_colours = coasting_boxes(report)
    boxes = _scaled(np.vstack((report.detections.box_xyxy, coasting)), report.frame.size_hw, scene.shape[:2])
    if not len(boxes):
        return
    colours = [*colours_of(report), *more_colours]
    frames = _bracket_rects(boxes, unit)
    corners = list(_corner_lines(frames))
    cv2.polylines(scene, corners, False, _OUTLINE_BGR, 3 * unit)
    for colour in set(colours):
        # The corners come by side, each side of every box in order.
        own = [line for number, line in enumerate(corners) if colours[number % len(boxes)] == colour]
        cv2.polylines(scene, own, False, colour, unit)
    # Trails and brackets of close targets may cover targets; restore their pixels.
    for x1, y1, x2, y2 in boxes[: len(report.detections)].tolist():
        scene[y1:y2, x1:x2] = clean[y1:y2, x1:x2]
    _draw_labels(scene, [*labels_of(report), *more_labels], colours, frames, unit)


def _scaled(boxes: _Rects, frame_hw: tuple[int, int], scene_hw: tuple[int, ...]) -> _Rects:
    """Scale boxes (N, 4) of the frame to the scene, rounded outwards."""
    scale = np.array([scene_hw[1] / frame_hw[1], scene_hw[0] / frame_hw[0]])
    return np.hstack((np.floor(boxes[:, :2] * scale), np.ceil(boxes[:, 2:] * scale))).astype(np.int32)


def _draw_labels(scene: Picture, labels: list[str], colours: list[_Colour], frames: _Rects, unit: int) -> None:
    size = _LABEL_FONT_SCALE * unit
    pad = 3 * unit
    taken = frames
    for frame, label, colour in list(zip(frames, labels, colours, strict=True))[:_MAX_LABELS]:
        (text_w, text_h), _ = cv2.getTextSize(label, _FONT, size, unit)
        rect = _label_rect(frame, (text_w + 2 * pad, text_h + 2 * pad), taken, scene.shape[:2], unit)
        if rect is None:
            continue
        taken = np.vstack((taken, rect))
        x1, y1, x2, y2 = rect.tolist()
        # A darkened background is legible on white and on black, and keeps the scene visible.
        chip = scene[y1:y2, x1:x2]
        np.right_shift(chip, 2, out=chip)
        cv2.putText(scene, label, (x1 + pad, y2 - pad), _FONT, size, colour, unit, cv2.LINE_AA)


def _bracket_rects(boxes: _Rects, unit: int) -> _Rects:
    """Enlarge boxes (N, 4) so that the brackets keep clear of the target and have a minimum size."""
    centre = (boxes[:, :2] + boxes[:, 2:]) // 2
    half = np.maximum((boxes[:, 2:] - boxes[:, :2] + 1) // 2 + _MARGIN_PX * unit, _MIN_SIDE_PX * unit // 2)
    return np.hstack((centre - half, centre + half)).astype(np.int32)


def _corner_lines(rects: _Rects) -> NDArray[np.int32]:
    """Return four corners of three points each: (4 N, 3, 2)."""
    arm = np.maximum((rects[:, 2:] - rects[:, :2]).min(axis=1) // 4, 3)
    lines = []
    for x_side, y_side in ((0, 1), (2, 1), (0, 3), (2, 3)):
        x, y = rects[:, x_side], rects[:, y_side]
        along_x = x + (arm if x_side == 0 else -arm)
        along_y = y + (arm if y_side == 1 else -arm)
        lines.append(np.stack((np.stack((along_x, y), 1), np.stack((x, y), 1), np.stack((x, along_y), 1)), 1))
    return np.concatenate(lines).astype(np.int32)


def _label_rect(
    frame: _Rects, size_wh: tuple[int, int], taken: _Rects, scene_hw: tuple[int, ...], unit: int
) -> _Rects | None:
    """Return the position of a label: beside its brackets, inside the picture, with the least overlap; or None."""
    x1, y1, x2, y2 = (int(v) for v in frame)
    text_w, text_h = size_wh
    gap = 4 * unit
    right, left, middle = x2 + gap, x1 - gap - text_w, (x1 + x2 - text_w) // 2
    above, below = y1 - gap - text_h, y2 + gap
    corners = np.array(
        [
            (right, y1),
            (left, y1),
            (right, y2 - text_h),
            (left, y2 - text_h),
            (middle, above),
            (middle, below),
            (right, above),
            (left, below),
        ],
        np.int32,
    )
    height, width = scene_hw[:2]
    edge = 2 * unit
    room = np.array((width - edge - text_w, height - edge - text_h), np.int32)
    if (room < edge).any():
        return None
    corners = np.clip(corners, edge, room)
    rects = np.hstack((corners, corners + np.array(size_wh, np.int32)))
    rects = rects[_apart(rects, frame[None])[:, 0]]
    if not len(rects):
        return None
    best: _Rects = rects[int(np.argmax(_apart(rects, taken).sum(axis=1)))]
    return best


def _apart(rects: _Rects, others: _Rects) -> NDArray[np.bool_]:
    """Return (N, M): True where two rectangles do not overlap."""
    before = (rects[:, None, 2:] <= others[None, :, :2]).any(2)
    behind = (rects[:, None, :2] >= others[None, :, 2:]).any(2)
    return np.logical_or(before, behind)


def _draw_strip(strip: Picture, report: Report, status: Status, unit: int) -> None:
    failed = report.error is not None
    strip[:] = _FAILED_STRIP_BGR if failed else _STRIP_BGR
    left, right, gap = 10 * unit, strip.shape[1] - 10 * unit, 16 * unit
    parts = _parts_that_fit(_strip_parts(report, status), (right - left) // unit)
    for part in parts:
        left = _draw_words(strip, part.words, left, unit, part.colour) + gap
    title_x = right - _width_of(status.title, unit)
    if title_x >= left and not failed:
        _draw_words(strip, status.title, title_x, unit, _QUIET_BGR)


@dataclass(frozen=True, slots=True)
class _Part:
    """Words of the status line; if space is short, the highest ranks are dropped first."""

    rank: int
    words: str
    colour: _Colour = _TEXT_BGR


def _strip_parts(report: Report, status: Status) -> list[_Part]:
    frame, count = report.frame, len(report.detections)
    parts = [_Part(0, "PAUSED", _PAUSED_BGR)] if status.paused else []
    if report.error is not None:
        return [*parts, _Part(1, f"frame {frame.index} failed: {report.error}", _FAILED_BGR)]
    parts.append(_Part(5, f"frame {frame.index}"))
    parts.append(_Part(1, f"{count} detection{'' if count == 1 else 's'}"))
    parts += [] if status.threshold is None else [_Part(4, f"threshold {status.threshold:.2f}")]
    parts += [] if status.fps is None else [_Part(6, f"{status.fps:.0f} fps")]
    parts += [_Part(3, f"dropped {frame.dropped}")] if frame.dropped else []
    return [*parts, _Part(2, _utc(frame.t_capture_us), _QUIET_BGR)]


def _parts_that_fit(parts: list[_Part], width_px: int) -> list[_Part]:
    """Drop the lowest-priority parts until the rest fits; the last part may be clipped."""
    gap = 16
    while len(parts) > 1 and sum(_width_of(part.words, 1) + gap for part in parts) - gap > width_px:
        last = max(parts, key=lambda part: part.rank)
        parts = [part for part in parts if part is not last]
    return parts


def _utc(unix_us: int) -> str:
    """Format a time in UTC with hundredths of a second: ``2026-11-24T23:05:09.12Z``."""
    try:
        moment = datetime.datetime.fromtimestamp(unix_us // 1_000_000, datetime.UTC)
    except (ValueError, OverflowError, OSError):
        return ""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{unix_us % 1_000_000 // 10_000:02d}Z"


def _draw_words(strip: Picture, words: str, x: int, unit: int, colour: _Colour) -> int:
    """Write on the status line from ``x``; return where the words end."""
    text = _drawable(words)
    size = _STRIP_FONT_SCALE * unit
    cv2.putText(strip, text, (x, strip.shape[0] - 8 * unit), _FONT, size, colour, unit, cv2.LINE_AA)
    return x + _width_of(words, unit)


def _width_of(words: str, unit: int) -> int:
    (width, _), _ = cv2.getTextSize(_drawable(words), _FONT, _STRIP_FONT_SCALE * unit, unit)
    return width


def _drawable(words: str) -> str:
    """Replace characters that OpenCV's built-in font lacks."""
    return one_line(words).encode("ascii", "replace").decode()
