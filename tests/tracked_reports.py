"""Reports with tracks, events and directions, and a clock that stands still, for tests of outputs with peers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from made_reports import make

from lpnet_rt.clock import Clock
from lpnet_rt.outputs.peer import Peer
from lpnet_rt.outputs.sink import PeerSink, Wishes
from lpnet_rt.pipeline.angle_stage import AngleStage
from lpnet_rt.reports import Report
from lpnet_rt.settings import CameraSettings
from lpnet_rt.sources.states import StateLog
from lpnet_rt.stamping import FrameStamper
from lpnet_rt.tracking import CameraMotion, TrackEvent, TrackState
from lpnet_rt.tracking.updates import Tracks, TrackUpdate

CAMERA = CameraSettings(
    azimuth_deg=90.0, elevation_deg=0.0, field_of_view_deg=10.0, azimuth_error_deg=0.1, elevation_error_deg=0.1,
    roll_error_deg=0.1, latitude_deg=50.0, longitude_deg=8.0, height_m=150.0, position_error_m=3.0, height_error_m=5.0,
)  # fmt: skip


def event(kind: str, track: int = 1, confirmed: bool = True) -> TrackEvent:
    chip = np.full((64, 64), 90, np.uint8) if kind == "confirmed" else None
    return TrackEvent(kind, track, confirmed, 1.0, (10.0, 24.0), (32.0, 24.0), 2.5, 0.95, 0.99, chip)


def tracked(
    index: int = 0,
    ids: Sequence[int] = (1,),
    events: Sequence[TrackEvent] = (),
    camera: CameraSettings | None = None,
    state: TrackState = TrackState.CONFIRMED,
    source: str = "north",
    y: float = 24.0,
) -> Report:
    """A frame with its one detection in the first of some tracks, all at (32, y) and alive."""
    report = make(index, source=source)
    count = len(ids)
    tracks = Tracks(
        id=np.array(ids, np.int64),
        state=np.full(count, state, np.int8),
        age_frames=np.full(count, 30, np.int32),
        age_s=np.full(count, 1.0),
        hits=np.full(count, 28, np.int32),
        probability=np.full(count, 0.97),
        xy=np.tile((32.0, y), (count, 1)),
        velocity_xy=np.tile((30.0, 0.0), (count, 1)),
        covariance=np.tile(np.eye(4) * 0.04, (count, 1, 1)),
        reach_px=np.full(count, 7.0),
    )
    first = ids[0] if count else 0
    update = TrackUpdate(
        t_s=index / 30,
        epoch=0,
        detection_track_id=np.array([first], np.int64),
        detection_state=np.array([state if count else -1], np.int8),
        tracks=tracks,
        camera_motion=CameraMotion(0.0, 0.0, 1.0),
        events=tuple(events),
    )
    report = dataclasses.replace(report, tracks=update)
    return report if camera is None else AngleStage(camera, source).add(report)


def sink_for(peers: Sequence[Peer], wishes: Wishes, clock: Clock, log: StateLog | None = None) -> PeerSink:
    return PeerSink(peers, wishes, "north", FrameStamper("lpnet-rt", clock), log or StateLog(), clock)
