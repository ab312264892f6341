"""How long each stage of the detector takes, engine beside engine in the same run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from lpnet_rt.benchmarks.results import Spread, StageTimes
from lpnet_rt.clock import Clock
from lpnet_rt.detections import candidate_score, detect_candidates
from lpnet_rt.detector import Detector
from lpnet_rt.engines.scorer import HostScorer
from lpnet_rt.errors import EngineError
from lpnet_rt.frames import Frame
from lpnet_rt.messages import encode
from lpnet_rt.reports import Latency, Report
from lpnet_rt.stamping import FrameStamper

__all__ = ["engine_name", "measure_stages"]


@dataclass(slots=True)
class _Times:
    """Milliseconds of every frame, stage by stage."""

    prepare: list[float] = field(default_factory=list)
    infer: list[float] = field(default_factory=list)
    detect: list[float] = field(default_factory=list)
    encode: list[float] = field(default_factory=list)

    def add(self, latency: Latency, encode_ms: float) -> None:
        self.prepare.append(latency.prepare_ms)
        self.infer.append(latency.infer_ms)
        self.detect.append(latency.detect_ms)
        self.encode.append(encode_ms)

    def overhead(self) -> list[float]:
        return [sum(parts) for parts in zip(self.prepare, self.detect, self.encode, strict=True)]


def engine_name(detector: Detector) -> str:
    """Engine and precision, as tables name them."""
    engine = detector.choice.engine
    return f"{engine.name} {engine.precision}"


def measure_stages(
    detectors: Sequence[Detector], frames: Sequence[Frame], rounds: int, batch: int, clock: Clock
) -> tuple[list[StageTimes], list[str]]:
    """Time every engine on the same frames; the engines take turns, so that a disturbance falls on all of them alike.

    One round of every engine is a warm-up that counts for nothing.

    Args:
        detectors: One an engine.
        frames: Of one size, at least ``batch``.
        rounds: How often each engine goes through the frames.
        batch: Frames at a time.
        clock: Tells the time.

    Returns:
        What was measured, and one line for each engine that cannot take such batches.

    Raises:
        EngineError: An engine failed on single frames.
    """
    taken: dict[int, _Times] = {}
    skipped = []
    for index, detector in enumerate(detectors):
        try:
            _run_round(detector, frames, batch, clock)
            taken[index] = _Times()
        except EngineError as error:
            if batch == 1:
                raise
            skipped.append(f"{engine_name(detector)}, batch {batch}: {error}")
    for _ in range(rounds):
        for index, times in taken.items():
            for latency, encode_ms in _run_round(detectors[index], frames, batch, clock):
                times.add(latency, encode_ms)
    height, width = frames[0].size_hw
    measured = [_summarise(engine_name(detectors[index]), (width, height), batch, t) for index, t in taken.items()]
    return measured, skipped


def _run_round(detector: Detector, frames: Sequence[Frame], batch: int, clock: Clock) -> list[tuple[Latency, float]]:
    """Do all frames; the times of each, and how long its message took."""
    stamper = FrameStamper(detector.card.name, clock)
    done = []
    for first in range(0, len(frames) - batch + 1, batch):
        together = frames[first : first + batch]
        reports = [detector.report(together[0])] if batch == 1 else _report_batch(detector, together, clock)
        for report in reports:
            began = clock.monotonic_ns()
            encode(stamper.stamp(report))
            done.append((report.latency, (clock.monotonic_ns() - began) / 1e6))
    return done


def _report_batch(detector: Detector, frames: Sequence[Frame], clock: Clock) -> list[Report]:
    """What ``Detector.report`` does, for many frames at once; the times of the batch are shared out evenly."""
    scorer = HostScorer(detector.choice.engine, detector.card, clock)
    scored = scorer.score_batch([frame.image for frame in frames], candidate_score(detector.threshold))
    found = [
        detect_candidates(one.candidates, frame.image, detector.threshold)
        for one, frame in zip(scored, frames, strict=True)
    ]
    times_ns = [scored[0].began_ns, scored[0].prepared_ns, scored[0].scored_ns, clock.monotonic_ns()]
    prepare_ms, infer_ms, detect_ms = (float(share) for share in np.diff(times_ns) / 1e6 / len(frames))
    latency = Latency(0.0, prepare_ms, infer_ms, detect_ms, prepare_ms + infer_ms + detect_ms)
    return [
        Report(frame, these, latency, one.score_map()) for frame, these, one in zip(frames, found, scored, strict=True)
    ]


def _summarise(engine: str, size_wh: tuple[int, int], batch: int, times: _Times) -> StageTimes:
    overhead = times.overhead()
    whole_ms = sum(overhead) + sum(times.infer)
    return StageTimes(
        engine=engine,
        size_wh=size_wh,
        batch=batch,
        prepare=Spread.of(times.prepare),
        infer=Spread.of(times.infer),
        detect=Spread.of(times.detect),
        encode=Spread.of(times.encode),
        overhead=Spread.of(overhead),
        fps=1000.0 * len(overhead) / whole_ms,
    )
