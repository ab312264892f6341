"""Reports for tests of what takes them."""

from __future__ import annotations

import dataclasses

import numpy as np

from lpnet_rt.detections import detect
from lpnet_rt.frames import Frame
from lpnet_rt.reports import Latency, Report
from lpnet_rt.tracking import CameraMotion, TrackEvent, TrackState
from lpnet_rt.tracking.updates import Tracks, TrackUpdate


def make(index: int = 0, size_hw: tuple[int, int] = (48, 64), error: str | None = None, **frame: object) -> Report:
    """A dark frame with one bright blob that moves one pixel a frame."""
    height, width = size_hw
    image = np.full(size_hw, 40, np.uint8)
    score_map = np.zeros(size_hw, np.float32)
    x, y = 5 + index % max(1, width - 10), height // 2
    image[y : y + 3, x : x + 3] = 220
    score_map[y : y + 3, x : x + 3] = 0.9
    values = {"source": "clip", "pts_s": index / 30, "t_capture_us": 1_700_000_000_000_000, "t_read_ns": 1}
    return Report(
        frame=Frame(image=image, index=index, **(values | frame)),
        detections=detect(score_map, image, 0.5),
        latency=Latency(0.1, 0.2, 3.0, 0.4, 3.7),
        score_map=score_map,
        error=error,
    )


def with_track(report: Report) -> Report:
    """The report of one detection, with its track at (10, 20) and that track's confirmation."""
    covariance = np.zeros((1, 4, 4))
    covariance[0] = np.diag((0.04, 0.04, 9.0, 9.0))
    tracks = Tracks(
        id=np.array([7]),
        state=np.array([TrackState.CONFIRMED], np.int8),
        age_frames=np.array([30], np.int32),
        age_s=np.array([1.0]),
        hits=np.array([28], np.int32),
        probability=np.array([0.98]),
        xy=np.array([[10.0, 20.0]]),
        velocity_xy=np.array([[6.0, -3.0]]),
        covariance=covariance,
    )
    event = TrackEvent("confirmed", 7, True, 1.0, (5.0, 21.0), (9.0, 20.0), 0.9, 0.99, 0.98)
    update = TrackUpdate(
        t_s=1.0,
        epoch=0,
        detection_track_id=np.array([7]),
        detection_state=np.array([TrackState.CONFIRMED], np.int8),
        tracks=tracks,
        camera_motion=CameraMotion(0.0, 0.0, 1.0),
        events=(event,),
    )
    return dataclasses.replace(report, tracks=update)
