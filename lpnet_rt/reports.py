"""Report: the detector's result for one frame, which every sink receives."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lpnet_rt.camera_geometry import Directions
from lpnet_rt.detections import Detections
from lpnet_rt.frames import Frame
from lpnet_rt.tracking.updates import TrackUpdate

__all__ = ["Latency", "Report"]


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds that one frame spent in each stage.

    Every frame of a batch has the batch's time in the engine; detections are then extracted frame by frame.

    Attributes:
        queue_ms: Waiting between the source and the detector, and in a batch for the detections of frames before it.
        prepare_ms: Raw pixels to model input.
        infer_ms: Inside the engine.
        detect_ms: Score map to detections.
        total_ms: From the moment the frame was available to the moment its report was ready; the sum of the others.
    """

    queue_ms: float
    prepare_ms: float
    infer_ms: float
    detect_ms: float
    total_ms: float


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Report:
    """One frame with its detections.

    Attributes:
        frame: The frame as its source delivered it.
        detections: The detections; empty if ``error`` is set.
        latency: Time spent in each stage.
        score_map: (H, W) float32 in 0..1, the network's score of every pixel; from an engine with its own device,
            only the scores of candidate pixels, and 0 elsewhere.
        error: Why this frame failed, in one line, or None.
        weak: Detections below the threshold, if requested: they may extend tracks and are not published.
        tracks: Tracks of ``detections`` followed by ``weak``; None without tracking.
        directions: Directions of ``detections``, then of all tracks, of the events' first and of their last places, in
            their order; None without a ``[[camera]]``.
    """

    frame: Frame
    detections: Detections
    latency: Latency
    score_map: NDArray[np.float32]
    error: str | None = None
    weak: Detections = field(default_factory=Detections.empty)
    tracks: TrackUpdate | None = None
    directions: Directions | None = None
