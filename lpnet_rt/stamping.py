"""From reports to messages: every frame gets its number and its words on the wire once, for all outputs."""

from __future__ import annotations

import base64
import math
import threading
import uuid
import weakref

import cv2
import msgspec
import numpy as np

from lpnet_rt.angle_fields import DirectionFields
from lpnet_rt.clock import Clock
from lpnet_rt.frames import GreyImage
from lpnet_rt.messages import (
    INT_LIMIT,
    CameraMessage,
    CameraMotionMessage,
    DetectionMessage,
    EventMessage,
    FrameMessage,
    LatencyMessage,
    PlacedTrackMessage,
    PointMessage,
    PolarityName,
    TrackMessage,
    TrackStateName,
)
from lpnet_rt.reports import Latency, Report
from lpnet_rt.text import TEXT_LIMIT, one_line
from lpnet_rt.tracking import CameraMotion, TrackState

__all__ = ["FrameStamper", "event_messages", "frame_message"]

_TRACK_STATES: dict[int, TrackStateName] = {
    TrackState.TENTATIVE: "tentative", TrackState.CONFIRMED: "confirmed", TrackState.COASTING: "coasting",
}  # fmt: skip


class FrameStamper:
    """Numbers the frames of one session; all outputs get the same message for the same report.

    Thread-safe. Outputs may lag, so messages are kept while their reports are in use.

    Attributes:
        session: Random identifier of this session.
        model: Name of the model.
        polarity: Of the targets that are searched for.
        camera: Where the camera stands and looks, or None.
    """

    def __init__(
        self, model: str, clock: Clock, polarity: PolarityName = "hot", camera: CameraMessage | None = None
    ) -> None:
        self.session = uuid.uuid4().hex[:16]
        self.model, self.polarity, self.camera = one_line(model), polarity, camera
        self._clock = clock
        self._next_seq = 0
        self._lock = threading.Lock()
        self._messages: dict[int, FrameMessage] = {}

    @property
    def last_seq(self) -> int | None:
        """Number of the last frame stamped, or None before the first."""
        return self._next_seq - 1 if self._next_seq else None

    def number(self, report: Report) -> Report:
        """Number a report before any output requests its message; return the report."""
        self.stamp(report)
        return report

    def stamp(self, report: Report) -> FrameMessage:
        """Return the message of a report; repeated calls return the same message."""
        with self._lock:
            message = self._messages.get(id(report))
            if message is None:
                now_us = self._clock.unix_us()
                message = frame_message(report, self.session, self._next_seq, self.model, now_us, self.polarity)
                self._next_seq += 1
                self._messages[id(report)] = message
                # After the report is freed, its id may be reused.
                weakref.finalize(report, self._messages.pop, id(report), None)
            return message


def frame_message(
    report: Report, session: str, seq: int, model: str, now_us: int, polarity: PolarityName = "hot"
) -> FrameMessage:
    """Convert a report to the wire schema: pixels and milliseconds to 3 decimals, scores to 4.

    A number that is not finite, or an integer that does not fit a JavaScript number, makes the frame fail:
    ``error`` names it, and there are no detections.

    Args:
        report: Report of the frame.
        session: Identifier of the session.
        seq: Number of the frame in the session.
        model: Name of the model.
        now_us: Unix time of publication, microseconds.
        polarity: Of the targets that were searched for.
    """
    frame = report.frame
    faults: list[str] = [] if report.error is None else [one_line(report.error)]
    detections, tracks = _detection_messages(report, faults) if report.error is None else ((), ())
    camera = None if report.tracks is None else report.tracks.camera_motion
    height, width = frame.size_hw
    message = FrameMessage(
        session=session,
        seq=seq,
        source=frame.source,
        frame=_fitting(frame.index, "frame", faults),
        width=width,
        height=height,
        t_capture_us=_fitting(frame.t_capture_us, "t_capture_us", faults),
        pts_s=None if frame.pts_s is None else _finite(frame.pts_s, 6, "pts_s", faults),
        t_publish_us=_fitting(now_us, "t_publish_us", faults),
        latency_ms=_latency_message(report.latency, faults),
        dropped=_fitting(frame.dropped, "dropped", faults),
        model=model,
        detections=detections,
        file=None if frame.file is None else one_line(frame.file),
        clock=frame.clock,
        epoch=frame.epoch,
        tracks=tracks,
        camera_motion=None if camera is None else _camera_message(camera),
        polarity=polarity,
    )
    if faults:
        return msgspec.structs.replace(message, detections=(), tracks=(), error="; ".join(faults)[:TEXT_LIMIT])
    return message


def event_messages(
    report: Report, session: str, first_seq: int, frame: FrameMessage, now_us: int
) -> list[EventMessage]:
    """Convert the track events of a frame to the wire schema.

    Args:
        report: Report with the events of its tracks.
        session: Identifier of the session.
        first_seq: Number of the first event.
        frame: The frame's message.
        now_us: Unix time of publication, microseconds.
    """
    events = () if report.tracks is None else report.tracks.events
    directions = DirectionFields(report.directions)
    return [
        EventMessage(
            session=session,
            source=frame.source,
            event_seq=first_seq + number,
            event=event.kind,
            track=event.track_id,
            confirmed=event.confirmed,
            seq=frame.seq,
            t_capture_us=frame.t_capture_us,
            first=_point(event.first_xy, directions, -2 * len(events) + number),
            last=_point(event.last_xy, directions, -len(events) + number),
            duration_s=round(event.duration_s, 3),
            best_score=round(event.best_score, 4),
            probability=round(event.probability, 4),
            chip=None if event.chip is None else _png(event.chip),
            t_publish_us=now_us,
        )
        for number, event in enumerate(events)
    ]


def _point(xy: tuple[float, float], directions: DirectionFields, row: int) -> PointMessage:
    return PointMessage(x=round(xy[0], 3), y=round(xy[1], 3), **directions.at(row))


def _png(chip: GreyImage) -> str:
    return base64.b64encode(cv2.imencode(".png", chip)[1].tobytes()).decode("ascii")


def _camera_message(camera: CameraMotion) -> CameraMotionMessage:
    return CameraMotionMessage(
        dx=round(camera.dx, 3), dy=round(camera.dy, 3), confidence=round(float(np.clip(camera.confidence, 0, 1)), 3)
    )


def _detection_messages(
    report: Report, faults: list[str]
) -> tuple[tuple[DetectionMessage, ...], tuple[PlacedTrackMessage, ...]]:
    """Convert a frame's detections, each with its track, and the tracks without a detection."""
    detections = report.detections
    floats = np.column_stack((detections.centroid_xy, detections.score, detections.snr))
    if not np.isfinite(floats).all():
        row = int(np.flatnonzero(~np.isfinite(floats).all(axis=1))[0])
        faults.append(f"detection {row}: expected finite numbers, found {floats[row].tolist()} (cx, cy, score, snr)")
        return (), ()
    if len(detections) and not (detections.score.min() >= 0 and detections.score.max() <= 1):
        faults.append(f"detections: expected scores in 0..1, found {detections.score.min()}..{detections.score.max()}")
        return (), ()
    directions = DirectionFields(report.directions)
    tracks, others = _track_messages(report, directions, faults)
    boxes, areas, peaks = detections.box_xyxy.tolist(), detections.area_px.tolist(), detections.peak.tolist()
    messages = tuple(
        DetectionMessage(
            cx=round(cx, 3),
            cy=round(cy, 3),
            box=tuple(box),
            score=round(score, 4),
            area_px=area,
            peak=peak,
            snr=round(snr, 2),
            track=track,
            **directions.at(row),
        )
        for row, ((cx, cy, score, snr), box, area, peak, track) in enumerate(
            zip(floats.tolist(), boxes, areas, peaks, tracks, strict=True)
        )
    )
    return messages, others


def _track_messages(
    report: Report, directions: DirectionFields, faults: list[str]
) -> tuple[list[TrackMessage | None], tuple[PlacedTrackMessage, ...]]:
    """Convert the track of each detection, or None, and confirmed or coasting tracks without a detection."""
    update, count = report.tracks, len(report.detections)
    if update is None:
        return [None] * count, ()
    tracks = update.tracks
    floats = np.column_stack((tracks.probability, tracks.xy, tracks.velocity_xy))
    if not np.isfinite(floats).all():
        faults.append("tracks: expected finite numbers, found others")
        return [None] * count, ()
    columns = zip(
        tracks.id.tolist(), tracks.state.tolist(), tracks.age_frames.tolist(), tracks.hits.tolist(), floats.tolist(),
        strict=True,
    )  # fmt: skip
    of_detection = set(update.detection_track_id[:count].tolist())
    own: dict[int, TrackMessage] = {}
    others = []
    for row, (number, state, age, hits, (probability, x, y, vx, vy)) in enumerate(columns):
        values = {
            "id": number, "state": _TRACK_STATES[state], "age": age, "hits": hits,
            "probability": round(min(max(probability, 0.0), 1.0), 4), "vx": round(vx, 3), "vy": round(vy, 3),
            **directions.with_rates_at(count + row),
        }  # fmt: skip
        if number in of_detection:
            own[number] = TrackMessage(**values)
        elif state != TrackState.TENTATIVE:
            others.append(PlacedTrackMessage(x=round(x, 3), y=round(y, 3), **values))
    return [own.get(number) for number in update.detection_track_id[:count].tolist()], tuple(others)


def _latency_message(latency: Latency, faults: list[str]) -> LatencyMessage:
    return LatencyMessage(
        queue=_finite(latency.queue_ms, 3, "latency queue", faults),
        prepare=_finite(latency.prepare_ms, 3, "latency prepare", faults),
        infer=_finite(latency.infer_ms, 3, "latency infer", faults),
        detect=_finite(latency.detect_ms, 3, "latency detect", faults),
        total=_finite(latency.total_ms, 3, "latency total", faults),
    )


def _finite(value: float, digits: int, name: str, faults: list[str]) -> float:
    if math.isfinite(value):
        return round(float(value), digits)
    faults.append(f"{name}: expected a finite number, found {value}")
    return 0.0


def _fitting(value: int, name: str, faults: list[str]) -> int:
    if abs(value) <= INT_LIMIT:
        return int(value)
    faults.append(f"{name}: expected an integer within 2^53 - 1, found {value}")
    return 0
