"""Progress of a run: progress bars on a terminal or lines in a log, and the summary at the end."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Sequence
from typing import TextIO

from lpnet_rt.clock import Clock
from lpnet_rt.reports import Report
from lpnet_rt.statistics import DurationHistogram

__all__ = ["ProgressBars", "ProgressLog", "Tally"]

_logger = logging.getLogger(__name__)

_REDRAW_S = 0.1
_JOIN_S = 0.3


class Tally:
    """Counts the reports of a source.

    Attributes:
        source: Name of the source.
        frame_count: Expected number of frames, or None if unknown.
        frames: Reports counted so far.
    """

    def __init__(self, source: str, frame_count: int | None, clock: Clock) -> None:
        self.source, self.frame_count = source, frame_count
        self.frames = 0
        self._clock = clock
        self._detections = self._failed = self._dropped = 0
        self._latency, self._infer = DurationHistogram(), DurationHistogram()
        self._began_ns = self._last_ns = clock.monotonic_ns()

    def start(self) -> None:
        """Start the time measurement, once everything is loaded."""
        self._began_ns = self._last_ns = self._clock.monotonic_ns()

    def count(self, report: Report) -> Report:
        """Count a report, and return it."""
        self.frames += 1
        self._detections += len(report.detections)
        self._failed += report.error is not None
        self._dropped = report.frame.dropped
        self._latency.add(report.latency.total_ms)
        self._infer.add(report.latency.infer_ms)
        self._last_ns = self._clock.monotonic_ns()
        return report

    @property
    def last_ns(self) -> int:
        """When the last report was counted, or the measurement began; monotonic, nanoseconds."""
        return self._last_ns

    def describe(self) -> str:
        """Return the progress in a few words."""
        return f"{self.frames} frames  {self._rate_hz():.0f} fps  {self._detections} detections"

    def figures(self) -> dict[str, float]:
        """Return the counts, the rate and the latency so far, by name."""
        percentiles = {f"latency_p{share}_ms": round(self._latency.percentile(share), 1) for share in (50, 95, 99)}
        return {
            "frames": self.frames,
            "fps": round(self._rate_hz(), 2),
            "detections": self._detections,
            "dropped": self._dropped,
            "failed": self._failed,
            **percentiles,
        }

    def print_summary(self, engine: str, out: TextIO) -> None:
        """Print frames, rate, detections and latency."""
        lost = "".join(
            f", {count} {word}" for count, word in ((self._dropped, "dropped"), (self._failed, "failed")) if count
        )
        seconds = (self._last_ns - self._began_ns) / 1e9
        print(
            f"{self.source}: {self.frames} frames in {seconds:.2f} s, {self._rate_hz():.1f} fps, "
            f"{self._detections} detections{lost}",
            file=out,
        )
        if self.frames:
            p50, p95, p99 = (self._latency.percentile(share) for share in (50, 95, 99))
            median_ms = self._infer.percentile(50)
            print(
                f"latency p50 {p50:.1f} ms, p95 {p95:.1f} ms, p99 {p99:.1f} ms; {engine} p50 {median_ms:.1f} ms",
                file=out,
            )

    def _rate_hz(self) -> float:
        return self.frames / max((self._last_ns - self._began_ns) / 1e9, 1e-9)


class ProgressBars:
    """One bar per source on standard error if it is a terminal, drawn by a separate thread.

    A paused terminal (Ctrl-S) blocks only that thread.
    """

    def __init__(self, tallies: Sequence[Tally], enabled: bool = True) -> None:
        """Start the bars.

        Args:
            tallies: The counts to show.
            enabled: False draws no bars.
        """
        self._tallies = tallies
        self._closed = threading.Event()
        self._drawer: threading.Thread | None = None
        if enabled and sys.stderr.isatty():
            self._drawer = threading.Thread(target=self._draw, name="lpnet-progress", daemon=True)
            self._drawer.start()

    def close(self) -> None:
        """Remove the bars."""
        self._closed.set()
        if self._drawer is not None:
            self._drawer.join(_JOIN_S)
            self._drawer = None

    def _draw(self) -> None:
        # Imported here: it is as slow as opening a video, and many runs draw no bar.
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.fields[source]}"), BarColumn(), TextColumn("{task.description}"))
        console = Console(stderr=True)
        with Progress(*columns, TimeElapsedColumn(), console=console, transient=True, auto_refresh=False) as bars:
            tasks = [bars.add_task("", total=tally.frame_count, source=tally.source) for tally in self._tallies]
            while not self._closed.wait(_REDRAW_S):
                for task, tally in zip(tasks, self._tallies, strict=True):
                    bars.update(task, completed=tally.frames, description=tally.describe())
                bars.refresh()


class ProgressLog:
    """A line in the log for each source every few seconds, and one at the end, with the figures as fields."""

    def __init__(self, tallies: Sequence[Tally], interval_s: float) -> None:
        """Start the lines.

        Args:
            tallies: The counts to log.
            interval_s: Time between two lines of a source, seconds.
        """
        self._tallies, self._interval_s = tallies, interval_s
        self._closed = threading.Event()
        self._writer = threading.Thread(target=self._write, name="lpnet-progress", daemon=True)
        self._writer.start()

    def close(self) -> None:
        """Log the last lines."""
        if not self._closed.is_set():
            self._closed.set()
            self._writer.join(_JOIN_S)
            self._log("ended")

    def _write(self) -> None:
        while not self._closed.wait(self._interval_s):
            self._log("running")

    def _log(self, progress: str) -> None:
        for tally in self._tallies:
            fields = {"source": tally.source, "fields": {"progress": progress, **tally.figures()}}
            _logger.info("%s: %s", tally.source, tally.describe(), extra=fields)
