"""Tracks in the picture for the eye: where they came from, what state they are in, and which number they have."""

from __future__ import annotations

import math
from collections import deque

import cv2
import numpy as np
from numpy.typing import NDArray

from lpnet_rt.reports import Report
from lpnet_rt.tracking import TrackState

__all__ = ["TRACK_BGR", "Trails", "coasting_boxes", "colours_of", "draw_trails", "labels_of"]

_Picture = NDArray[np.uint8]
_Colour = tuple[int, int, int]

TRACK_BGR: dict[int, _Colour] = {
    -1: (70, 240, 255),  # no track: as without a tracker
    TrackState.TENTATIVE: (160, 160, 150),
    TrackState.CONFIRMED: (90, 255, 120),
    TrackState.COASTING: (255, 190, 90),
}
_TRAIL_POINTS = 90
_COASTING_SIDE_PX = 8


class Trails:
    """The last places of each track that is alive, at most 90 (three seconds at 30 frames per second).

    The trails stay with the scene where the camera moves.
    """

    def __init__(self) -> None:
        self._points: dict[int, deque[NDArray[np.float64]]] = {}

    def note(self, report: Report) -> None:
        """Add where the tracks of a report are."""
        update = report.tracks
        if update is None:
            return
        shift = np.array((update.camera_motion.dx, update.camera_motion.dy))
        alive = {}
        for number, state, xy in zip(update.tracks.id.tolist(), update.tracks.state, update.tracks.xy, strict=True):
            if state == TrackState.TENTATIVE:
                continue
            points = self._points.get(number, deque(maxlen=_TRAIL_POINTS))
            if shift.any():
                points = deque((point + shift for point in points), maxlen=_TRAIL_POINTS)
            points.append(xy)
            alive[number] = points
        self._points = alive

    def of(self, number: int) -> NDArray[np.float64]:
        """(N, 2) pixels of the frame, oldest first; empty for a track that is not known."""
        points = self._points.get(number)
        return np.array(points) if points else np.zeros((0, 2))


def labels_of(report: Report) -> list[str]:
    """What stands beside each detection: its score, and its track's number and direction once that is confirmed."""
    scores = [f"{score:.2f}" for score in report.detections.score.tolist()]
    update = report.tracks
    if update is None:
        return scores
    numbers = update.detection_track_id[: len(scores)].tolist()
    states = update.detection_state[: len(scores)].tolist()
    return [
        f"#{number} {score}{direction}" if state >= TrackState.CONFIRMED else score
        for number, state, score, direction in zip(numbers, states, scores, _directions(report), strict=True)
    ]


def _directions(report: Report) -> list[str]:
    """Azimuth and elevation of each detection, degrees, with a space before them; empty where they are not known."""
    count, found = len(report.detections), report.directions
    if found is None:
        return [""] * count
    pairs = zip(found.azimuth_deg[:count].tolist(), found.elevation_deg[:count].tolist(), strict=True)
    # 359.97 is shown as 0.0, not as 360.0.
    return [f"  az {round(az, 1) % 360:.1f} el {el:+.1f}" if math.isfinite(az) else "" for az, el in pairs]


def colours_of(report: Report) -> list[_Colour]:
    """The colour of each detection's mark, by the state of its track."""
    count = len(report.detections)
    states = [-1] * count if report.tracks is None else report.tracks.detection_state[:count].tolist()
    return [TRACK_BGR[state] for state in states]


def coasting_boxes(report: Report) -> tuple[NDArray[np.int32], list[str], list[_Colour]]:
    """Boxes of confirmed tracks without a detection of their own, their labels and colours.

    Returns:
        (N, 4) int32, pixels of the frame; N labels; N colours.
    """
    update = report.tracks
    if update is None:
        return np.zeros((0, 4), np.int32), [], []
    tracks, seen = update.tracks, update.detection_track_id[: len(report.detections)]
    chosen = np.flatnonzero((tracks.state != TrackState.TENTATIVE) & ~np.isin(tracks.id, seen))
    half = _COASTING_SIDE_PX // 2
    centres = np.rint(tracks.xy[chosen]).astype(np.int32)
    states = tracks.state[chosen].tolist()
    labels = [
        f"#{number}{' coasting' if state == TrackState.COASTING else ''}"
        for number, state in zip(tracks.id[chosen].tolist(), states, strict=True)
    ]
    return np.hstack((centres - half, centres + half)), labels, [TRACK_BGR[state] for state in states]


def draw_trails(scene: _Picture, report: Report, trails: Trails, scale_xy: tuple[float, float], unit: int) -> None:
    """Draw where the confirmed tracks of a report came from.

    Args:
        scene: (H, W, 3) uint8, BGR, drawn upon.
        report: The frame with its tracks.
        trails: What was noted of the frames up to this one.
        scale_xy: From pixels of the frame to pixels of the scene.
        unit: Thickness of a line, pixels.
    """
    if report.tracks is None:
        return
    tracks = report.tracks.tracks
    for number, state in zip(tracks.id.tolist(), tracks.state.tolist(), strict=True):
        points = trails.of(number)
        if len(points) < 2:
            continue
        scaled = ((points + 0.5) * scale_xy * 8).round().astype(np.int32)
        colour = tuple(channel * 3 // 4 for channel in TRACK_BGR[state])
        cv2.polylines(scene, [scaled[:, None]], False, (0, 0, 0), 2 * unit, cv2.LINE_AA, 3)
        cv2.polylines(scene, [scaled[:, None]], False, colour, unit, cv2.LINE_AA, 3)
