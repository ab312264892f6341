"""What the tracker says of one frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lpnet_rt.frames import GreyImage
from lpnet_rt.tracking.camera_motion import CameraMotion
from lpnet_rt.tracking.table import TrackTable

__all__ = ["CHIP_PX", "TrackEvent", "TrackUpdate", "Tracks", "cut_chip", "make_event", "tracks_of"]

CHIP_PX = 64


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """Columns over the T tracks that are alive, oldest first.

    Coordinates are pixels of the frame; the centre of the first pixel is (0, 0). Velocities are against the background:
    the camera's motion is taken out.

    Attributes:
        id: (T,) int64, from 1; never used twice by one tracker.
        state: (T,) int8, values of :class:`lpnet_rt.tracking.TrackState`.
        age_frames: (T,) int32, frames since the first detection, that one included.
        age_s: (T,) float64, seconds since the first detection.
        hits: (T,) int32, frames with a detection.
        probability: (T,) float64 in 0..1, that the track is a target's.
        xy: (T, 2) float64, filtered or, where coasting, predicted position.
        velocity_xy: (T, 2) float64, pixels a second.
        reach_px: (T,) float64, farthest distance from the first place, against the background, pixels.
        covariance: (T, 4, 4) float64 of (x, y, vx, vy).
    """

    id: NDArray[np.int64]
    state: NDArray[np.int8]
    age_frames: NDArray[np.int32]
    age_s: NDArray[np.float64]
    hits: NDArray[np.int32]
    probability: NDArray[np.float64]
    xy: NDArray[np.float64]
    velocity_xy: NDArray[np.float64]
    reach_px: NDArray[np.float64]
    covariance: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.id)


@dataclass(frozen=True, slots=True, eq=False)
class TrackEvent:
    """A track started, was confirmed, or ended.

    Attributes:
        kind: What happened.
        track_id: To which track.
        confirmed: Whether the track has ever been confirmed.
        t_s: When: the frame's time; of an end, the time of the last detection.
        first_xy: Where the track was detected first, px.
        last_xy: Where it was detected last, px.
        duration_s: From its first detection to its last.
        best_score: The highest score of its detections.
        probability: Of being a target, now.
        chip: (64, 64), raw counts around a track that is confirmed now, the frame's edge repeated; else None.
    """

    kind: Literal["started", "confirmed", "ended"]
    track_id: int
    confirmed: bool
    t_s: float
    first_xy: tuple[float, float]
    last_xy: tuple[float, float]
    duration_s: float
    best_score: float
    probability: float
    chip: GreyImage | None = None


@dataclass(frozen=True, slots=True, eq=False)
class TrackUpdate:
    """What one frame changed.

    Attributes:
        t_s: The frame's time, seconds.
        epoch: How often the tracker has been reset.
        detection_track_id: (D,) int64, the track of each detection; 0 where it has none.
        detection_state: (D,) int8, that track's state; -1 where it has none.
        tracks: All tracks that are alive, coasting ones included.
        camera_motion: Of the background since the frame before.
        events: In order of time.
    """

    t_s: float
    epoch: int
    detection_track_id: NDArray[np.int64]
    detection_state: NDArray[np.int8]
    tracks: Tracks
    camera_motion: CameraMotion
    events: tuple[TrackEvent, ...]


def make_event(
    kind: Literal["started", "confirmed", "ended"], row: np.void, t_s: float, image: GreyImage | None = None
) -> TrackEvent:
    """The event of one row of the track table.

    Args:
        kind: What happened.
        row: One row.
        t_s: The frame's time.
        image: (H, W) raw counts to cut the chip from, or None.
    """
    return TrackEvent(
        kind=kind,
        track_id=int(row["id"]),
        confirmed=bool(row["confirmed"]),
        t_s=float(row["seen_s"]) if kind == "ended" else t_s,
        first_xy=_point(row["first_xy"]),
        last_xy=_point(row["last_xy"]),
        duration_s=float(row["seen_s"] - row["born_s"]),
        best_score=float(row["best_score"]),
        probability=float(row["probability"]),
        chip=None if image is None else cut_chip(image, *_point(row["xy"])),
    )


def tracks_of(table: TrackTable, t_s: float) -> Tracks:
    """The public columns of the track table, copied."""
    covariance = np.zeros((len(table), 4, 4))
    for axis in (0, 1):
        covariance[:, axis, axis] = table["var_p"]
        covariance[:, axis + 2, axis + 2] = table["var_v"]
        covariance[:, axis, axis + 2] = covariance[:, axis + 2, axis] = table["cov_pv"]
    return Tracks(
        id=table["id"].copy(),
        state=table["state"].copy(),
        age_frames=table["frames"].copy(),
        age_s=t_s - table["born_s"],
        hits=table["hits"].copy(),
        probability=table["probability"].copy(),
        xy=table["xy"].copy(),
        velocity_xy=table["velocity_xy"].copy(),
        reach_px=table["reach_px"].copy(),
        covariance=covariance,
    )


def _point(xy: NDArray[np.float64]) -> tuple[float, float]:
    return float(xy[0]), float(xy[1])


def cut_chip(image: GreyImage, x: float, y: float) -> GreyImage:
    """Return (64, 64) raw counts around a place, the frame's edge repeated; a copy.

    Args:
        image: (H, W) uint8 or uint16.
        x: To the right, pixels of the frame.
        y: Down, likewise.
    """
    height, width = image.shape
    reach = np.arange(-(CHIP_PX // 2), CHIP_PX // 2)
    rows, columns = np.clip(round(y) + reach, 0, height - 1), np.clip(round(x) + reach, 0, width - 1)
    return image[np.ix_(rows, columns)]
