"""Draw a report for the eye: the stretched frame, brackets around each detection, its score, a status line below.

Picture coordinates are canvas pixels: frame pixels times the enlargement. Nothing is drawn on a target itself.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from lpnet_rt.clock import Clock
from lpnet_rt.detections import Detections
from lpnet_rt.frames import display_stretch
from lpnet_rt.reports import Report
from lpnet_rt.text import one_line

__all__ = ["Painter", "Picture", "draw"]

Picture = NDArray[np.uint8]
_Rects = NDArray[np.int32]

_MARK_BGR = (70, 240, 255)
_OUTLINE_BGR = (0, 0, 0)
_STRIP_BGR = (24, 22, 20)
_TEXT_BGR = (205, 205, 200)
_TITLE_BGR = (150, 148, 144)
_FAILED_BGR = (90, 120, 255)

_LEGIBLE_PX = 640
_LARGEST_SCALE = 4
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_LABEL_FONT_SCALE = 0.4
_STRIP_FONT_SCALE = 0.42
_STRIP_PX = 24
_MARGIN_PX = 7
_LEAST_SIDE_PX = 24
_LABELS_AT_MOST = 24
_RATE_WINDOW_NS = 500_000_000


def draw(report: Report, fps: float | None, title: str) -> Picture:
    """Draw one report.

    Frames under 640 pixels are enlarged, by a whole factor of at most 4; the status line is added below the frame.

    Args:
        report: The frame and what was found in it.
        fps: Frames a second to show, or None.
        title: Shown at the right of the status line, such as the source's name.

    Returns:
        (H', W', 3) uint8, BGR.
    """
    height, width = report.frame.size_hw
    scale = min(_LARGEST_SCALE, max(1, round(_LEGIBLE_PX / max(height, width))))
    unit = max(1, round(max(height, width) * scale / 1400))
    strip_px = _STRIP_PX * unit
    canvas = np.empty((height * scale + strip_px, width * scale, 3), np.uint8)
    grey = display_stretch(report.frame.image)
    if scale > 1:
        grey = cv2.resize(grey, (width * scale, height * scale), interpolation=cv2.INTER_CUBIC)  # type: ignore[assignment]
    scene = canvas[:-strip_px]
    scene[:] = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    if len(report.detections):
        _draw_detections(scene, report.detections, scale, unit)
    _draw_strip(canvas[-strip_px:], report, fps, title, unit)
    return canvas


class Painter:
    """Draws each report once for all who show or save it, and measures the frame rate it writes into the picture."""

    def __init__(self, title: str, clock: Clock) -> None:
        """Remember the title of the status line and the clock that the frame rate is measured by."""
        self._title = title
        self._clock = clock
        self._report: Report | None = None
        self._picture: Picture | None = None
        self._fps: float | None = None
        self._window_frames = 0
        self._window_ns: int | None = None

    def note(self, report: Report) -> None:
        """Count a report for the frame rate, drawn or not; counting the same one again changes nothing."""
        if report is self._report:
            return
        self._report, self._picture = report, None
        now_ns = self._clock.monotonic_ns()
        if self._window_ns is None:
            self._window_ns = now_ns
            return
        self._window_frames += 1
        if now_ns - self._window_ns >= _RATE_WINDOW_NS:
            self._fps = self._window_frames * 1e9 / (now_ns - self._window_ns)
            self._window_ns, self._window_frames = now_ns, 0

    def paint(self, report: Report) -> Picture:
        """Return the picture of a report: (H', W', 3) uint8, BGR; not to be changed."""
        self.note(report)
        if self._picture is None:
            self._picture = draw(report, self._fps, self._title)
        return self._picture


def _draw_detections(scene: Picture, detections: Detections, scale: int, unit: int) -> None:
    boxes = detections.box_xyxy * scale
    frames = _bracket_rects(boxes, unit)
    corners = list(_corner_lines(frames))
    targets = [scene[y1:y2, x1:x2] for x1, y1, x2, y2 in boxes.tolist()]
    clean = [target.copy() for target in targets]
    cv2.polylines(scene, corners, False, _OUTLINE_BGR, 3 * unit)
    cv2.polylines(scene, corners, False, _MARK_BGR, unit)
    # Brackets of close targets cross each other; the targets come back on top.
    for target, pixels in zip(targets, clean, strict=True):
        target[:] = pixels
    _draw_labels(scene, detections.score, frames, unit)


def _draw_labels(scene: Picture, scores: NDArray[np.float32], frames: _Rects, unit: int) -> None:
    size = _LABEL_FONT_SCALE * unit
    (text_w, text_h), _ = cv2.getTextSize("0.00", _FONT, size, unit)
    pad = 3 * unit
    label_wh = (text_w + 2 * pad, text_h + 2 * pad)
    taken = frames
    for frame, score in zip(frames[:_LABELS_AT_MOST], scores.tolist(), strict=False):
        rect = _free_place(frame, label_wh, taken, scene.shape[:2], unit)
        if rect is None:
            continue
        taken = np.vstack((taken, rect))
        x1, y1, x2, y2 = rect.tolist()
        # A dark chip is legible on white and on black, and lets the scene shine through.
        chip = scene[y1:y2, x1:x2]
        np.right_shift(chip, 2, out=chip)
        cv2.putText(scene, f"{score:.2f}", (x1 + pad, y2 - pad), _FONT, size, _MARK_BGR, unit, cv2.LINE_AA)


def _bracket_rects(boxes: _Rects, unit: int) -> _Rects:
    """Boxes (N, 4) grown so that the brackets stand clear of the target and are never too small to be seen."""
    centre = (boxes[:, :2] + boxes[:, 2:]) // 2
    half = np.maximum((boxes[:, 2:] - boxes[:, :2] + 1) // 2 + _MARGIN_PX * unit, _LEAST_SIDE_PX * unit // 2)
    return np.hstack((centre - half, centre + half)).astype(np.int32)


def _corner_lines(rects: _Rects) -> NDArray[np.int32]:
    """Four corners of three points each: (4 N, 3, 2)."""
    arm = np.maximum((rects[:, 2:] - rects[:, :2]).min(axis=1) // 4, 3)
    lines = []
    for x_side, y_side in ((0, 1), (2, 1), (0, 3), (2, 3)):
        x, y = rects[:, x_side], rects[:, y_side]
        along_x = x + (arm if x_side == 0 else -arm)
        along_y = y + (arm if y_side == 1 else -arm)
        lines.append(np.stack((np.stack((along_x, y), 1), np.stack((x, y), 1), np.stack((x, along_y), 1)), 1))
    return np.concatenate(lines).astype(np.int32)


def _free_place(
    frame: _Rects, size_wh: tuple[int, int], taken: _Rects, scene_hw: tuple[int, ...], unit: int
) -> _Rects | None:
    """Where a label goes: beside its brackets, inside the picture, if possible on nothing else; None if nowhere."""
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
    """(N, M): True where a rectangle and another share no pixel."""
    before = (rects[:, None, 2:] <= others[None, :, :2]).any(2)
    behind = (rects[:, None, :2] >= others[None, :, 2:]).any(2)
    return np.logical_or(before, behind)


def _draw_strip(strip: Picture, report: Report, fps: float | None, title: str, unit: int) -> None:
    strip[:] = _STRIP_BGR
    frame, count = report.frame, len(report.detections)
    left, right = 10 * unit, strip.shape[1] - 10 * unit
    if report.error is not None:
        _draw_words(strip, f"frame {frame.index} failed: {report.error}", left, unit, _FAILED_BGR)
        return
    parts = [f"frame {frame.index}", f"{count} detection{'' if count == 1 else 's'}"]
    parts += [] if fps is None else [f"{fps:.0f} fps"]
    parts += [f"dropped {frame.dropped}"] if frame.dropped else []
    for part in parts:
        if left + _width_of(part, unit) > right:
            return
        left = _draw_words(strip, part, left, unit, _TEXT_BGR) + 18 * unit
    title_x = right - _width_of(title, unit)
    if title_x >= left:
        _draw_words(strip, title, title_x, unit, _TITLE_BGR)


def _draw_words(strip: Picture, words: str, x: int, unit: int, colour: tuple[int, int, int]) -> int:
    """Write on the status line from ``x`` on; returns where the words end."""
    text = _drawable(words)
    size = _STRIP_FONT_SCALE * unit
    cv2.putText(strip, text, (x, strip.shape[0] - 8 * unit), _FONT, size, colour, unit, cv2.LINE_AA)
    return x + _width_of(words, unit)


def _width_of(words: str, unit: int) -> int:
    (width, _), _ = cv2.getTextSize(_drawable(words), _FONT, _STRIP_FONT_SCALE * unit, unit)
    return width


def _drawable(words: str) -> str:
    """What OpenCV's built-in font has glyphs for."""
    return one_line(words).encode("ascii", "replace").decode()
