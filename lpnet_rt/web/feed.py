"""Feed: what the page knows of one source, filled by the pipeline and read by the server's thread."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass

import msgspec
import numpy as np
from msgspec import Struct

from lpnet_rt.clock import Clock
from lpnet_rt.reports import Report
from lpnet_rt.sources.states import StateLog
from lpnet_rt.text import one_line, redact
from lpnet_rt.tracking import TrackState
from lpnet_rt.web.event_log import MemoryEventLog
from lpnet_rt.web.minute import LastMinute, MinuteCounts, count

__all__ = ["BOUNDS_MS", "STAGES", "Feed", "Newest", "Second", "StageHistogram", "Totals"]

STAGES = ("queue", "prepare", "infer", "detect", "total")
BOUNDS_MS = (1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 50.0, 75.0, 100.0, 150.0, 250.0, 500.0, 1000.0, 2500.0)
_HISTORY = 300
_MAX_LATENCIES = 1_000


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest frame of a source.

    Attributes:
        report: The frame with what was found.
        number: Number of the report, from 1.
        camera_xy: Motion of the background since the start, pixels: a trail stays with the scene.
    """

    report: Report
    number: int
    camera_xy: tuple[float, float]


@dataclass(slots=True)
class StageHistogram:
    """Durations of one stage.

    Attributes:
        counts: Number in each bucket of ``BOUNDS_MS``, and over the last bound.
        sum_ms: Sum of all, milliseconds.
    """

    counts: list[int]
    sum_ms: float = 0.0

    def add(self, duration_ms: float) -> None:
        """Count a duration, in milliseconds."""
        self.counts[bisect_left(BOUNDS_MS, duration_ms)] += 1
        self.sum_ms += duration_ms


class Second(Struct, frozen=True, kw_only=True):
    """What a source did in one second, for the page.

    Attributes:
        at_us: Unix time of its end, microseconds.
        state: As in the status messages.
        reason: Why, or None.
        since_us: Unix time at which the state began, microseconds, or None.
        reconnects: So often it came back.
        fps: Frames per second.
        p50_ms: Median latency, from frame available to report ready, milliseconds; 0 without frames.
        p99_ms: The 99th percentile, likewise.
        detections: Detections in this second.
        frames: Frames so far.
        dropped: Frames dropped so far, by the source or because the detector was behind.
        late: Part of ``dropped``: because the detector was behind.
        failed: Frames that failed so far.
    """

    at_us: int
    state: str
    reason: str | None
    since_us: int | None
    reconnects: int
    fps: float
    p50_ms: float
    p99_ms: float
    detections: int
    frames: int
    dropped: int
    late: int
    failed: int


@dataclass(slots=True)
class Totals:
    """Counts since the start."""

    frames: int = 0
    failed: int = 0
    damaged: int = 0
    detections: int = 0
    dropped: int = 0
    late: int = 0
    tentative: int = 0
    confirmed: int = 0
    coasting: int = 0
    started: int = 0
    confirmations: int = 0
    ended: int = 0


class Feed:
    """The sink of one source. It never waits: a report costs some microseconds, whoever watches.

    Attributes:
        name: Name of the source.
        log: Its states and counts.
        rate_hz: Its frame rate, or None.
        outcome: How the source ended, or None.
    """

    def __init__(self, name: str, log: StateLog, rate_hz: float | None, events: MemoryEventLog, clock: Clock) -> None:
        """Begin without frames.

        Args:
            name: Name of the source.
            log: Its states and counts.
            rate_hz: Its frame rate, or None.
            events: Takes its events.
            clock: Clock of the run.
        """
        self.name, self.log, self.rate_hz = name, log, rate_hz
        self.outcome: str | None = None
        self._events, self._clock = events, clock
        self._lock = threading.Lock()
        self._newest: Newest | None = None
        self._camera_xy = (0.0, 0.0)
        self._totals = Totals()
        self._stages = {stage: StageHistogram([0] * (len(BOUNDS_MS) + 1)) for stage in STAGES}
        self._minute = LastMinute()
        self._latencies: deque[float] = deque(maxlen=_MAX_LATENCIES)
        self._before = (clock.monotonic_ns(), 0, 0)
        self.history: deque[Second] = deque(maxlen=_HISTORY)

    def write(self, report: Report) -> None:
        """Take a report."""
        now_ns = self._clock.monotonic_ns()
        latency, update = report.latency, report.tracks
        with self._lock:
            if update is not None:
                motion, (x, y) = update.camera_motion, self._camera_xy
                self._camera_xy = (x + float(motion.dx), y + float(motion.dy))
                self._count_tracks(report)
            self._count(report)
            for stage in STAGES:
                self._stages[stage].add(getattr(latency, f"{stage}_ms"))
            self._latencies.append(latency.total_ms)
            self._minute.add(report, now_ns)
            self._newest = Newest(report, self._totals.frames, self._camera_xy)
        for event in () if update is None else update.events:
            self._events.note(report.frame, event)

    def tick(self) -> None:
        """Do nothing."""

    def close(self, outcome: str = "end") -> None:
        """Note how the source ended."""
        self.outcome = self.outcome or one_line(redact(outcome))

    @property
    def newest(self) -> Newest | None:
        """The newest frame, or None before the first."""
        with self._lock:
            return self._newest

    def totals(self) -> Totals:
        """Return a copy of the counts."""
        with self._lock:
            return Totals(**{name: getattr(self._totals, name) for name in Totals.__slots__})

    def stages(self) -> dict[str, StageHistogram]:
        """Return a copy of the histograms of every stage."""
        with self._lock:
            return {stage: StageHistogram([*of.counts], of.sum_ms) for stage, of in self._stages.items()}

    def minute(self) -> MinuteCounts:
        """Count what each threshold would have shown in the last minute."""
        now_ns = self._clock.monotonic_ns()
        with self._lock:
            frames = self._minute.frames(now_ns)
        return count(frames, now_ns)

    def end_second(self) -> Second:
        """Sum up the time since the last call, and keep it for the plots; called once a second."""
        now_ns = self._clock.monotonic_ns()
        with self._lock:
            latencies = np.array(self._latencies)
            self._latencies.clear()
            totals = msgspec.structs.replace(_PLAIN, **{name: getattr(self._totals, name) for name in _PLAIN_NAMES})
        then_ns, frames, detections = self._before
        self._before = (now_ns, totals.frames, totals.detections)
        p50, p99 = np.percentile(latencies, (50, 99)).tolist() if len(latencies) else (0.0, 0.0)
        second = msgspec.structs.replace(
            totals,
            at_us=self._clock.unix_us(),
            fps=round((totals.frames - frames) / max((now_ns - then_ns) / 1e9, 1e-3), 1),
            p50_ms=round(p50, 2),
            p99_ms=round(p99, 2),
            detections=totals.detections - detections,
            **self._state(),
        )
        self.history.append(second)
        return second

    def _state(self) -> dict[str, object]:
        state = self.log.state
        if self.outcome is not None:
            reason = None if self.outcome == "end" else self.outcome
            since_us = None if state is None else state.since_us
            return {"state": "ended", "reason": reason, "since_us": since_us}
        if state is None:
            return {"state": "live"}
        reason = None if state.reason is None else one_line(redact(state.reason))
        return {
            "state": state.state, "reason": reason, "since_us": state.since_us, "reconnects": state.reconnects,
        }  # fmt: skip

    def _count(self, report: Report) -> None:
        totals = self._totals
        totals.frames += 1
        totals.failed += report.error is not None
        totals.damaged += report.frame.damage is not None
        totals.detections += len(report.detections)
        totals.dropped, totals.late = report.frame.dropped, report.frame.late

    def _count_tracks(self, report: Report) -> None:
        assert report.tracks is not None
        totals, states = self._totals, report.tracks.tracks.state
        totals.tentative, totals.confirmed, totals.coasting = (
            int(np.count_nonzero(states == state))
            for state in (TrackState.TENTATIVE, TrackState.CONFIRMED, TrackState.COASTING)
        )
        for event in report.tracks.events:
            totals.started += event.kind == "started"
            totals.confirmations += event.kind == "confirmed"
            totals.ended += event.kind == "ended"


_PLAIN = Second(
    at_us=0, state="live", reason=None, since_us=None, reconnects=0, fps=0.0, p50_ms=0.0, p99_ms=0.0, detections=0,
    frames=0, dropped=0, late=0, failed=0,
)  # fmt: skip
_PLAIN_NAMES = ("frames", "detections", "dropped", "late", "failed")
