"""Report: everything that is known about one frame when it leaves the detector; what every sink is given."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lpnet_rt.detections import Detections
from lpnet_rt.frames import Frame
from lpnet_rt.tracking.updates import TrackUpdate

__all__ = ["Latency", "Report"]


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds that one frame spent in each stage.

    Every frame of a batch has the batch's time in the engine; then one after the other becomes detections.

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
        detections: What was found; empty where ``error`` is set.
        latency: Where the time went.
        score_map: (H, W) float32 in 0..1, the network's score of every pixel; from an engine with a device of its own,
            the scores of candidate pixels only, and 0 elsewhere.
        error: None, or one line that says why this frame could not be judged.
        weak: What scores under the threshold, where that was asked for: it may extend tracks and is not published.
        tracks: What the tracker made of ``detections`` and after them ``weak``; None where nothing is tracked.
    """

    frame: Frame
    detections: Detections
    latency: Latency
    score_map: NDArray[np.float32]
    error: str | None = None
    weak: Detections = field(default_factory=Detections.empty)
    tracks: TrackUpdate | None = None
