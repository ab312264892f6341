"""What is measured: frozen records that become JSON as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["EndToEnd", "Live", "Parity", "Results", "Spread", "StageTimes", "StartUp"]


@dataclass(frozen=True, slots=True)
class Spread:
    """Percentiles of durations, milliseconds.

    Attributes:
        p50_ms: Median.
        p95_ms: 95th percentile.
        p99_ms: 99th percentile.
        max_ms: Longest.
        count: Durations taken.
    """

    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    count: int

    @classmethod
    def of(cls, durations_ms: Sequence[float]) -> Spread:
        """Take at least one duration.

        Raises:
            ValueError: There is none.
        """
        if not durations_ms:
            raise ValueError("durations: expected at least one, found none")
        p50, p95, p99 = np.percentile(durations_ms, (50, 95, 99))
        return cls(float(p50), float(p95), float(p99), max(durations_ms), len(durations_ms))


@dataclass(frozen=True, slots=True)
class StageTimes:
    """One engine at one size, stage after stage in one thread; every figure is of one frame.

    Attributes:
        engine: Name and precision.
        size_wh: Width and height of the frames, pixels.
        batch: Frames that the engine took at once; times are a batch's divided by its frames.
        prepare: Raw pixels to model input.
        infer: Inside the engine.
        detect: Score map to detections, its copy and its check included.
        encode: Report to the bytes of a message.
        overhead: Everything but inference: the sum of the other three, frame by frame.
        fps: Frames per second of the four in a row.
        gmac: Multiply-accumulates of the network, in 10^9, or None where they cannot be counted.
        gmac_per_s: The same a second at the median of ``infer``.
        share_of_peak: ``gmac_per_s`` over that of a matrix product in the same precision, timed in the same run.
    """

    engine: str
    size_wh: tuple[int, int]
    batch: int
    prepare: Spread
    infer: Spread
    detect: Spread
    encode: Spread
    overhead: Spread
    fps: float
    gmac: float | None = None
    gmac_per_s: float | None = None
    share_of_peak: float | None = None


@dataclass(frozen=True, slots=True)
class EndToEnd:
    """One file through the main job in a process of its own, to messages that arrived; medians over runs.

    Attributes:
        name: Of the file.
        engine: Name and precision.
        frames: That arrived.
        fps: Frames per second from the first message to the last: median, lowest and highest of the runs.
        wall_s: Whole process, start-up and shutdown included.
        peak_mib: Resident memory at its highest, of all runs.
        decode_fps: The same file decoded and thrown away, nothing else running.
    """

    name: str
    engine: str
    frames: int
    fps: tuple[float, float, float]
    wall_s: float
    peak_mib: float
    decode_fps: float


@dataclass(frozen=True, slots=True)
class Live:
    """A file played at its camera's pace: every frame is due at its time, whether or not the detector is ready.

    Attributes:
        name: Of the file.
        engine: Name and precision.
        due: Frames that the camera would have delivered.
        arrived: Frames whose message arrived.
        dropped: Frames that the publisher says it dropped.
        latency: From a frame's due time to its message at the subscriber.
        beside_inference: The same without the time inside the engine.
        memory_early_mib: Resident memory after the first fifth of the run, or None where the run was too short.
        memory_end_mib: And at its end.
        peak_mib: And at its highest.
    """

    name: str
    engine: str
    due: int
    arrived: int
    dropped: int
    latency: Spread
    beside_inference: Spread
    memory_early_mib: float | None
    memory_end_mib: float | None
    peak_mib: float


@dataclass(frozen=True, slots=True)
class StartUp:
    """From the start of a process to its first messages, seconds, medians over runs.

    Attributes:
        import_s: ``import lpnet_rt``, inside a fresh interpreter.
        import_detector_s: ``from lpnet_rt import Detector``, the same.
        cold_s: To the first message with a detection, with an empty cache of compiled models and choices.
        warm_s: The same with the cache that the cold run left.
        warm_first_frame_s: To the first message of all.
    """

    import_s: float
    import_detector_s: float
    cold_s: float | None
    warm_s: float | None
    warm_first_frame_s: float


@dataclass(frozen=True, slots=True)
class Parity:
    """One engine's detections beside the reference's on the same frames.

    Attributes:
        name: Of the frames.
        engine: Name and precision.
        reference: The same of the reference.
        frames: Compared.
        detections: That the reference found.
        gained: That only this engine found.
        lost: That only the reference found.
        largest_move_px: Of a centroid.
        largest_score_difference: Of a detection that both found.
    """

    name: str
    engine: str
    reference: str
    frames: int
    detections: int
    gained: int
    lost: int
    largest_move_px: float
    largest_score_difference: float


@dataclass(frozen=True, slots=True)
class Results:
    """Everything that one run measured, but for the machine."""

    stages: list[StageTimes]
    end_to_end: list[EndToEnd]
    live: list[Live]
    start_up: StartUp | None
    parity: list[Parity]
    skipped: list[str]
