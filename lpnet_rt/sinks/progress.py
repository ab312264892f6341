"""What a run has done so far: a progress bar on a terminal, and the summary at the end."""

from __future__ import annotations

import sys
import threading
from typing import TextIO

from lpnet_rt.clock import Clock
from lpnet_rt.reports import Report
from lpnet_rt.statistics import DurationHistogram

__all__ = ["Tally"]

_REDRAW_S = 0.1
_JOIN_S = 0.3


class Tally:
    """Counts every report; a bar on standard error, where that is a terminal, is drawn by a thread of its own.

    A terminal that is held (Ctrl-S) holds that thread and nothing else.
    """

    def __init__(self, title: str, frame_count: int | None, clock: Clock, bar: bool = True) -> None:
        """Start the bar.

        Args:
            title: Stands before the bar.
            frame_count: Frames to come, or None where that is not known.
            clock: For frames a second.
            bar: False draws none, terminal or not.
        """
        self._clock = clock
        self._frames = self._detections = self._failed = self._dropped = 0
        self._latency, self._infer = DurationHistogram(), DurationHistogram()
        self._began_ns = self._last_ns = clock.monotonic_ns()
        self._closed = threading.Event()
        self._drawer: threading.Thread | None = None
        if bar and sys.stderr.isatty():
            name = "lpnet-progress"
            self._drawer = threading.Thread(target=self._draw, args=(title, frame_count), name=name, daemon=True)
            self._drawer.start()

    def start(self) -> None:
        """Count time from here: everything is loaded."""
        self._began_ns = self._last_ns = self._clock.monotonic_ns()

    def count(self, report: Report) -> None:
        """Count a report."""
        self._frames += 1
        self._detections += len(report.detections)
        self._failed += report.error is not None
        self._dropped = report.frame.dropped
        self._latency.add(report.latency.total_ms)
        self._infer.add(report.latency.infer_ms)
        self._last_ns = self._clock.monotonic_ns()

    def close(self) -> None:
        """Take the bar away."""
        self._closed.set()
        if self._drawer is not None:
            self._drawer.join(_JOIN_S)
            self._drawer = None

    def _draw(self, title: str, frame_count: int | None) -> None:
        # Imported here, because it takes as long as opening a video, and most runs draw no bar.
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn(title), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False) as bar:
            task = bar.add_task("", total=frame_count)
            while not self._closed.wait(_REDRAW_S):
                words = f"{self._frames} frames  {self._rate_hz():.0f} fps  {self._detections} detections"
                bar.update(task, completed=self._frames, description=words, refresh=True)

    def print_summary(self, source: str, engine: str, out: TextIO) -> None:
        """Print frames, rate, detections and latency."""
        lost = "".join(
            f", {count} {word}" for count, word in ((self._dropped, "dropped"), (self._failed, "failed")) if count
        )
        seconds = (self._last_ns - self._began_ns) / 1e9
        print(
            f"{source}: {self._frames} frames in {seconds:.2f} s, {self._rate_hz():.1f} fps, "
            f"{self._detections} detections{lost}",
            file=out,
        )
        if self._frames:
            p50, p95, p99 = (self._latency.percentile(share) for share in (50, 95, 99))
            median_ms = self._infer.percentile(50)
            print(
                f"latency p50 {p50:.1f} ms, p95 {p95:.1f} ms, p99 {p99:.1f} ms; {engine} p50 {median_ms:.1f} ms",
                file=out,
            )

    def _rate_hz(self) -> float:
        return self._frames / max((self._last_ns - self._began_ns) / 1e9, 1e-9)
