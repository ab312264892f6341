"""Record the overlay in consecutive files, split by time and by changes of the picture size."""

from __future__ import annotations

import contextlib
import logging
import re
import time
from dataclasses import dataclass
from pathlib import Path

from lpnet_rt.clock import Clock
from lpnet_rt.reports import Report
from lpnet_rt.sinks.video import VideoSink
from lpnet_rt.view.overlay import Painter

__all__ = ["RecordingSink", "Retention"]

_logger = logging.getLogger(__name__)

_STAMP = r"\d{8}T\d{6}Z(-\d+)?"
_PRUNE_S = 60.0


@dataclass(frozen=True, slots=True)
class Retention:
    """Length of a recording's files, and how much is kept.

    Attributes:
        segment_s: Start a new file after this many seconds; None writes one file and deletes nothing.
        keep_s: Delete files that ended more than this many seconds ago; None keeps them.
        keep_bytes: Delete the oldest files when the total is larger; None keeps them.
    """

    segment_s: float | None = None
    keep_s: float | None = None
    keep_bytes: int | None = None


class RecordingSink:
    """Writes the overlay of every frame into the current segment.

    A segment has the time of its first frame (UTC) in its name, ``NAME-20260131T235959Z.mkv``. Only files with such
    names in the same folder are deleted, and never the current one.
    """

    def __init__(
        self, path: str, rate_hz: float | None, painter: Painter, clock: Clock, retention: Retention, overwrite: bool
    ) -> None:
        """Open the first file.

        Args:
            path: File to write, ending in .mp4 or .mkv; segments have their time in their names.
            rate_hz: Nominal frames per second of the source; None: 25.
            painter: Draws the overlay.
            clock: Clock of the run.
            retention: When to start a new file, and what to delete.
            overwrite: Replace an existing file; segments never do.

        Raises:
            SinkError: The file exists or cannot be written.
        """
        self._path, self._rate_hz, self._painter, self._clock = Path(path), rate_hz, painter, clock
        self._retention = retention
        self._began_ns = clock.monotonic_ns()
        self._current = self._segment() if retention.segment_s else Path(path)
        self._sink = VideoSink(str(self._current), rate_hz, painter, overwrite and not retention.segment_s)
        self._epoch: int | None = None
        self._pruned_ns = clock.monotonic_ns()
        self._prune()

    def write(self, report: Report) -> None:
        """Encode one frame.

        Raises:
            SinkError: The encoder fails, the disk is full or the sink is closed.
        """
        epoch = report.frame.epoch
        segment_s = self._retention.segment_s
        is_full = segment_s is not None and self._clock.monotonic_ns() - self._began_ns >= segment_s * 1e9
        if is_full or epoch != (epoch if self._epoch is None else self._epoch):
            self._begin_file()
        self._epoch = epoch
        self._sink.write(report)

    def tick(self) -> None:
        """Delete old segments, once per minute."""
        if self._clock.monotonic_ns() - self._pruned_ns >= _PRUNE_S * 1e9:
            self._prune()

    def close(self, outcome: str = "end") -> None:
        """Finish the file; harmless when called twice.

        Raises:
            SinkError: The end of the video cannot be written.
        """
        self._sink.close(outcome)

    def _begin_file(self) -> None:
        self._sink.close()
        self._began_ns = self._clock.monotonic_ns()
        self._current = self._segment()
        self._sink = VideoSink(str(self._current), self._rate_hz, self._painter)
        self._prune()

    def _segment(self) -> Path:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._clock.unix_us() / 1e6))
        names = (f"{self._path.stem}-{stamp}{tail}" for tail in ("", *(f"-{n}" for n in range(2, 10_000))))
        return next(candidate for name in names if not (candidate := self._path.with_stem(name)).exists())

    def _prune(self) -> None:
        """Delete segments over the limits; ones that cannot be deleted are skipped."""
        self._pruned_ns = self._clock.monotonic_ns()
        keep_s, keep_bytes = self._retention.keep_s, self._retention.keep_bytes
        if self._retention.segment_s is None or (keep_s is None and keep_bytes is None):
            return
        pattern = re.compile(rf"{re.escape(self._path.stem)}-{_STAMP}{re.escape(self._path.suffix)}")
        total = 0
        for path in sorted(self._path.parent.iterdir(), key=lambda path: path.name, reverse=True):
            if not pattern.fullmatch(path.name) or path.is_symlink():
                continue
            with contextlib.suppress(OSError):
                status = path.stat()
                total += status.st_size
                is_old = keep_s is not None and self._clock.unix_us() / 1e6 - status.st_mtime > keep_s
                if path != self._current and (is_old or (keep_bytes is not None and total > keep_bytes)):
                    path.unlink()
                    _logger.info("%s: deleted, %s", path, "too old" if is_old else "the recording is at its limit")
