"""What a track's past says: columns of the track table that are carried from frame to frame."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lpnet_rt.detections import Detections
from lpnet_rt.tracking.camera_motion import CameraMotion
from lpnet_rt.tracking.table import RECENT, TrackTable

__all__ = ["STATIONARY_PX", "begin", "carry", "note_hits", "note_misses"]

# Further from where it began, against the background, a track is taken to have moved.
STATIONARY_PX = 4.0
_RECENT = 0.1  # weight of the newest frame in averages over some ten frames
_LAG_S = 0.7
_MAX_SURPRISE = 20.0
# Near and far move differently, and cameras turn: so much of the way that the background moved may be wrong.
_CAMERA_DOUBT = 0.05


def begin(tracks: TrackTable, detections: Detections, rows: NDArray[np.intp], t_s: float) -> None:
    """Fill in the history of new tracks.

    Args:
        tracks: (N,) new rows, changed in place; their motion is not touched.
        detections: Of the frame.
        rows: (N,) the detection that starts each.
        t_s: The frame's time.
    """
    tracks["born_s"] = tracks["seen_s"] = t_s
    tracks["frames"] = tracks["hits"] = 1
    for place in ("first_xy", "last_xy", "origin_xy", "lag_xy"):
        tracks[place] = detections.centroid_xy[rows]
    tracks["best_score"] = tracks["score_sum"] = detections.score[rows]
    tracks["recent"] = _figures(detections, rows, np.full(len(rows), 2.0))  # a surprise of 2 is what the filter expects


def carry(tracks: TrackTable, camera: CameraMotion, dt_s: float) -> None:
    """Keep the places of the past where they are in the scene, and count the frame; before detections are taken in."""
    step_xy = (camera.dx, camera.dy)
    tracks["origin_xy"] += step_xy
    lag_xy = tracks["lag_xy"]
    lag_xy += step_xy
    lag_xy += (1.0 - math.exp(-dt_s / _LAG_S)) * (tracks["xy"] - lag_xy)
    tracks["frames"] += 1


def note_hits(
    tracks: TrackTable,
    rows: NDArray[np.intp],
    detections: Detections,
    found: NDArray[np.intp],
    surprise: NDArray[np.float64],
    t_s: float,
) -> None:
    """Take in the detections of some tracks, whose positions have been corrected.

    Args:
        tracks: Changed in place.
        rows: (M,) tracks.
        detections: Of the frame.
        found: (M,) the detection of each.
        surprise: (M,) normalised innovation squared of each.
        t_s: The frame's time.
    """
    figures = _figures(detections, found, surprise)
    part = tracks[rows]
    part["hits"] += 1
    part["misses"] = 0
    part["unseen_s"] = 0.0
    part["seen_s"] = t_s
    part["last_xy"] = detections.centroid_xy[found]
    part["score_sum"] += figures[:, 0]
    part["best_score"] = np.maximum(part["best_score"], figures[:, 0])
    part["recent"] += _RECENT * (figures - part["recent"])
    part["reach_px"] = np.maximum(part["reach_px"], _reach_px(part))
    tracks[rows] = part


def note_misses(tracks: TrackTable, rows: NDArray[np.intp], dt_s: float) -> None:
    """Note that some tracks have no detection in this frame, which came ``dt_s`` after the one before."""
    tracks["misses"][rows] += 1
    tracks["unseen_s"][rows] += dt_s
    tracks["recent"][rows, 0] *= 1.0 - _RECENT


def _reach_px(tracks: TrackTable) -> NDArray[np.float64]:
    """(M,) how far each is from its origin, less what the camera's own way since then leaves in doubt."""
    off_xy, camera_xy = tracks["xy"] - tracks["origin_xy"], tracks["origin_xy"] - tracks["first_xy"]
    doubt_px = _CAMERA_DOUBT * np.hypot(camera_xy[:, 0], camera_xy[:, 1])
    reach_px: NDArray[np.float64] = np.maximum(np.hypot(off_xy[:, 0], off_xy[:, 1]) - doubt_px, 0.0)
    return reach_px


def _figures(detections: Detections, found: NDArray[np.intp], surprise: NDArray[np.float64]) -> NDArray[np.float64]:
    """(M, 5): the columns of :data:`lpnet_rt.tracking.table.RECENT` of one frame."""
    figures = np.empty((len(found), len(RECENT)))
    figures[:, 0] = detections.score[found]
    figures[:, 1] = np.log1p(detections.snr[found])
    figures[:, 2] = np.log(detections.area_px[found])
    figures[:, 3] = np.minimum(surprise, _MAX_SURPRISE)
    figures[:, 4] = math.log1p(len(detections))
    return figures
