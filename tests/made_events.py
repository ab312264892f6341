"""Reports with tracks, and videos whose pictures say which frame they are, for tests of events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from lpnet_rt.detections import Detections
from lpnet_rt.events import EventRecord, Place
from lpnet_rt.events.record import event_id
from lpnet_rt.frames import Frame
from lpnet_rt.reports import Latency, Report
from lpnet_rt.tracking import CameraMotion, TrackState, TrackUpdate
from lpnet_rt.tracking.updates import Tracks

__all__ = [
    "RATE_HZ",
    "SESSION",
    "START_US",
    "Seen",
    "frame_of",
    "made_record",
    "number_of",
    "numbered_image",
    "tracked",
    "write_numbered",
]

RATE_HZ = 30
SESSION = "0123456789abcdef"
START_US = 1_700_000_000_000_000
SIZE_HW = (48, 128)
_BITS = 14
_CELL_PX = 8


@dataclass(frozen=True)
class Seen:
    """One track in one frame; without a score it is not detected there."""

    track: int
    x: float = 40.0
    y: float = 20.0
    score: float | None = 0.9
    state: TrackState = TrackState.CONFIRMED
    reach_px: float = 20.0
    probability: float = 0.95


def numbered_image(number: int, dtype: type = np.uint8) -> np.ndarray:
    """A picture with its number in cells of 8x8 pixels, which survive any codec."""
    low, high = (40, 200) if dtype == np.uint8 else (4_000, 12_000)
    image = np.full(SIZE_HW, low, dtype)
    for bit in range(_BITS):
        if number >> bit & 1:
            image[16:24, _CELL_PX * bit : _CELL_PX * (bit + 1)] = high
    image[40:44, number % 120 : number % 120 + 4] = high
    return image


def number_of(image: np.ndarray) -> int:
    """The number that a picture shows."""
    cells = image[16:24, : _CELL_PX * _BITS].reshape(8, _BITS, _CELL_PX).mean(axis=(0, 2))
    threshold = 120 if image.dtype == np.uint8 else 8_000
    return sum(1 << bit for bit, level in enumerate(cells) if level > threshold)


def frame_of(number: int, dtype: type = np.uint8, **values: object) -> Frame:
    """A frame of a numbered source."""
    defaults = {
        "image": numbered_image(number, dtype),
        "index": number,
        "source": "mast",
        "pts_s": number / RATE_HZ,
        "t_capture_us": 1_700_000_000_000_000 + number * 1_000_000 // RATE_HZ,
        "t_read_ns": 1_000_000_000 + number * 1_000_000_000 // RATE_HZ,
        "bit_depth": 8 if dtype == np.uint8 else 14,
    }
    return Frame(**(defaults | values))


def tracked(frame: Frame, seen: Sequence[Seen] = ()) -> Report:
    """The report of a frame with these tracks."""
    found = [one for one in seen if one.score is not None]
    count = len(seen)
    xy = np.array([(one.x, one.y) for one in found], np.float32).reshape(-1, 2)
    corner = xy.astype(np.int32)
    detections = Detections(
        centroid_xy=xy,
        box_xyxy=np.concatenate((corner, corner + 3), axis=1),
        score=np.array([one.score for one in found], np.float32),
        area_px=np.full(len(found), 9, np.int32),
        peak=np.full(len(found), 200, np.int32),
        snr=np.full(len(found), 8.0, np.float32),
    )
    tracks = Tracks(
        id=np.array([one.track for one in seen], np.int64),
        state=np.array([one.state for one in seen], np.int8),
        age_frames=np.full(count, 9, np.int32),
        age_s=np.full(count, 0.3),
        hits=np.zeros(count, np.int32),
        probability=np.array([one.probability for one in seen]),
        xy=np.array([(one.x, one.y) for one in seen]).reshape(-1, 2),
        velocity_xy=np.zeros((count, 2)),
        reach_px=np.array([one.reach_px for one in seen]),
        covariance=np.zeros((count, 4, 4)),
    )
    update = TrackUpdate(
        t_s=frame.t_read_ns / 1e9 if frame.pts_s is None else frame.pts_s,
        epoch=frame.reconnects,
        detection_track_id=np.array([one.track for one in found], np.int64),
        detection_state=np.array([one.state for one in found], np.int8),
        tracks=tracks,
        camera_motion=CameraMotion(0.0, 0.0, 0.0),
        events=(),
    )
    score_map = np.zeros(frame.size_hw, np.float32)
    return Report(frame, detections, Latency(0.0, 0.0, 0.0, 0.0, 0.0), score_map, tracks=update)


def write_numbered(
    path: Path,
    count: int,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    container: str | None = None,
) -> Path:
    """Write a video of numbered pictures at 30 frames a second; 16-bit pixel formats get 16-bit pictures."""
    dtype = np.uint16 if "16" in pix_fmt else np.uint8
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream(codec, rate=RATE_HZ, options=options or {"preset": "ultrafast", "g": "30"})
        stream.height, stream.width = SIZE_HW
        stream.pix_fmt = pix_fmt
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(
                numbered_image(number, dtype), "gray" if dtype == np.uint8 else "gray16le"
            )
            frame = frame if frame.format.name == pix_fmt else frame.reformat(format=pix_fmt)
            frame.pts, frame.time_base = number, Fraction(1, RATE_HZ)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def made_record(track: int, t_us: int = START_US, **changes: object) -> EventRecord:
    """The record of a closed event."""
    place = Place(t_us=t_us, t_s=1.5, x=10.0, y=20.0)
    values: dict[str, object] = {
        "id": event_id(t_us, SESSION, track, 1), "source": "mast", "session": SESSION, "track": track, "part": 1,
        "state": "closed", "ended": "the track ended", "first": place, "last": place, "duration_s": 2.0,
        "probability": 0.9, "best_score": 0.95, "hits": 20, "moved_px": 33.0, "width": 640, "height": 512,
        "alarm": True, "alarm_t_us": t_us, "no_alarm": None, "model": "lpnet-rt", "engine": "openvino bf16",
        "software": "lpnet-rt 0.1.0", "chip": None, "view": None, "clip": None, "no_clip": "clips are switched off",
    }  # fmt: skip
    return EventRecord(**(values | changes))
