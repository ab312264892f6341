"""The stages and how they run side by side: source -> frames -> detector -> reports -> sinks.

Reading and detecting have a thread each; reports are handed out in the thread that calls ``run``. A live source drops
its oldest frame when the detector is behind; a file waits. Where the engine has a device of its own, the detector
takes as many frames as are waiting in one batch, and never waits for a batch to fill. An error in the source or in the
detector ends the run and is raised from ``run``; frames that came before it are finished first where the source was at
fault. A sink that fails is given up, and the run goes on without it; it ends when no sink is left.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Sequence

from lpnet_rt.channels import Channel, ChannelClosed, FullPolicy
from lpnet_rt.detector import Detector
from lpnet_rt.frames import Frame
from lpnet_rt.reports import Report
from lpnet_rt.sinks.base import SinkRunner
from lpnet_rt.sources import Source

__all__ = ["Pipeline"]

_QUEUED_FRAMES = 2
_QUEUED_REPORTS = 2
_IDLE_S = 0.05
_JOIN_S = 0.5
_JOIN_TRIES = 10


class Pipeline:
    """One source, one detector, any number of sinks; runs once."""

    def __init__(
        self, source: Source, detector: Detector, sinks: Sequence[SinkRunner], frames: int | None = None
    ) -> None:
        """Start nothing yet.

        Args:
            source: Where frames come from.
            detector: Turns frames into reports.
            sinks: Where reports go; they stay open: whoever opened them closes them.
            frames: Stop after so many reports; frames that were dropped do not count.
        """
        self._source, self._detector, self._sinks = source, detector, sinks
        self._limit = frames
        policy = FullPolicy.DROP_OLDEST if source.live else FullPolicy.WAIT
        # A file may fill a batch while the one before it is at work; of a live source the newest frames count.
        queued = _QUEUED_FRAMES if source.live else max(_QUEUED_FRAMES, detector.most_frames)
        self._frames: Channel[Frame] = Channel(queued, policy)
        self._reports: Channel[Report] = Channel(_QUEUED_REPORTS, FullPolicy.WAIT)
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End soon; may be called from a signal handler or another thread."""
        self._stopped.set()

    def run(self, on_report: Callable[[Report], None] = lambda report: None) -> None:
        """Run until the source ends, ``stop`` is called, a sink asks for it or a stage fails.

        Args:
            on_report: Called with every report before the sinks get it.

        Raises:
            LpnetError: What the source or the detector raised.
        """
        threads = [
            threading.Thread(target=self._read, name="lpnet-source", daemon=True),
            threading.Thread(target=self._detect, name="lpnet-detector", daemon=True),
        ]
        for thread in threads:
            thread.start()
        handled = 0
        try:
            while not self._is_over() and handled != self._limit:
                report = self._reports.get(_IDLE_S)
                if report is None:
                    self._tick()
                    continue
                on_report(report)
                self._hand_out(report)
                handled += 1
        except ChannelClosed:
            pass  # the source has ended and every report is handed out
        finally:
            self._stopped.set()
            self._reports.abort()
            self._frames.abort()
            self._join(threads)

    def _join(self, threads: Sequence[threading.Thread]) -> None:
        """Wait a moment for the stages; one that is left behind in a native call is a daemon."""
        for _ in range(_JOIN_TRIES):
            # Again and again: a stop that comes just before a run of the engine starts has no effect on it.
            self._detector.stop()
            for thread in threads:
                thread.join(_JOIN_S / _JOIN_TRIES / len(threads))
            if not any(thread.is_alive() for thread in threads):
                return

    def _is_over(self) -> bool:
        if self._stopped.is_set() or any(sink.wants_stop for sink in self._sinks):
            return True
        return len(self._sinks) > 0 and all(sink.failure is not None for sink in self._sinks)

    def _hand_out(self, report: Report) -> None:
        """Give a report to every sink; while one has to be waited for, the others are kept alive."""
        for sink in self._sinks:
            while not sink.offer(report) and not self._is_over():
                self._tick()

    def _tick(self) -> None:
        for sink in self._sinks:
            sink.tick()

    def _read(self) -> None:
        try:
            for frame in self._source:
                if self._stopped.is_set():
                    break
                self._frames.put(frame)
        except ChannelClosed:
            pass  # the run was stopped
        except BaseException as error:
            self._frames.finish(error)
        else:
            self._frames.finish()

    def _detect(self) -> None:
        try:
            while True:
                frames = self._frames.take(self._detector.most_frames)
                dropped = self._frames.dropped
                frames = [dataclasses.replace(frame, dropped=frame.dropped + dropped) for frame in frames]
                for report in self._detector.reports(frames):
                    self._reports.put(report)
        except ChannelClosed:
            self._reports.finish()
        except BaseException as error:
            self._frames.abort()
            self._reports.finish(error)
