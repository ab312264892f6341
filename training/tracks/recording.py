"""What a detector finds in a clip, and how its camera moves, kept in a file: trackers are then tried in seconds."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lpnet_rt.detections import CandidatePixels, Detections
from lpnet_rt.errors import DataError, reason
from lpnet_rt.files import read_limited, write_whole
from lpnet_rt.frames import Frame, GreyImage
from lpnet_rt.tracking import CameraMotion, CameraMotionEstimator, detect_with_weak

__all__ = ["RecordedMotion", "Recording", "load_recording", "record", "save_recording"]

_MAX_BYTES = 1 << 30
_NAMES = tuple(field.name for field in fields(Detections))


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One clip.

    Attributes:
        name: Of the clip.
        size_hw: Height and width of its frames, px.
        t_s: (F,) time of each frame.
        counts: (F,) detections in each.
        detections: Of all frames, one after the other.
        motion: (F, 3) dx, dy, confidence of the camera's motion.
    """

    name: str
    size_hw: tuple[int, int]
    t_s: NDArray[np.float64]
    counts: NDArray[np.int64]
    detections: Detections
    motion: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.t_s)

    def frames(self) -> Iterator[tuple[float, Detections, CameraMotion]]:
        """Time, detections and camera motion of each frame."""
        ends = np.cumsum(self.counts)
        for t_s, end, count, motion in zip(self.t_s, ends, self.counts, self.motion, strict=True):
            part = slice(end - count, end)
            columns = {name: getattr(self.detections, name)[part] for name in _NAMES}
            yield float(t_s), Detections(**columns), CameraMotion(*(float(value) for value in motion))


class RecordedMotion:
    """Stands in for the estimator of the camera's motion: gives what was recorded."""

    def __init__(self) -> None:
        self.now = CameraMotion(0.0, 0.0, 0.0)

    def update(self, image: GreyImage, targets_xy: NDArray[np.floating] | None = None) -> CameraMotion:
        """The motion that was set last."""
        return self.now

    def reset(self) -> None:
        """Nothing to forget."""


def record(
    name: str, frames: Iterable[tuple[Frame, CandidatePixels]], threshold: float, weak_threshold: float
) -> Recording:
    """Go through a clip once.

    Args:
        name: Of the clip.
        frames: Each with its pixels that score at least the weak threshold.
        threshold: The detector's.
        weak_threshold: Score of the weakest detection kept.
    """
    camera = CameraMotionEstimator()
    found, times, motions = [], [], []
    size_hw = (0, 0)
    for frame, candidates in frames:
        detections = detect_with_weak(candidates, frame.image, threshold, weak_threshold)
        motion = camera.update(frame.image, detections.centroid_xy)
        motions.append((motion.dx, motion.dy, motion.confidence))
        found.append(detections)
        times.append(float(frame.index) if frame.pts_s is None else frame.pts_s)
        size_hw = frame.size_hw
    found = found or [Detections.empty()]
    columns = {column: np.concatenate([getattr(one, column) for one in found]) for column in _NAMES}
    counts = np.array([len(one) for one in found[: len(times)]], np.int64)
    return Recording(name, size_hw, np.array(times), counts, Detections(**columns), np.array(motions).reshape(-1, 3))


def save_recording(recording: Recording, path: Path) -> None:
    """Write it, whole or not at all.

    Raises:
        SinkError: It cannot be written.
    """
    buffer = io.BytesIO()
    columns = {name: getattr(recording.detections, name) for name in _NAMES}
    np.savez_compressed(
        buffer,
        size_hw=np.array(recording.size_hw),
        t_s=recording.t_s,
        counts=recording.counts,
        motion=recording.motion,
        **columns,
    )
    write_whole(path, buffer.getvalue(), "recording")


def load_recording(path: Path) -> Recording:
    """Read what :func:`save_recording` wrote.

    Raises:
        DataError: It is missing, damaged or something else.
    """
    content = read_limited(path, _MAX_BYTES, "recording", DataError)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            height, width = (int(side) for side in file["size_hw"])
            detections = Detections(**{name: file[name] for name in _NAMES})
            return Recording(path.stem, (height, width), file["t_s"], file["counts"], detections, file["motion"])
    except Exception as error:  # damaged archives raise whatever zipfile, zlib and numpy come upon
        raise DataError(f"{path}: expected a recording, found: {reason(error)}; delete it and record again") from error
