"""The stages and how they run side by side: source -> frames -> detector -> reports -> sinks.

Reading and detecting have a thread each; sinks run in the thread that calls ``run``, which may own a window. A live
source drops its oldest frame when the detector is behind; a file waits. Where the engine has a device of its own, the
detector takes as many frames as are waiting in one batch, and never waits for a batch to fill. An error in any stage
ends the others and is raised from ``run``; frames that came before it are finished first where the source was at fault.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Sequence

from lpnet_rt.channels import Channel, ChannelClosed, FullPolicy
from lpnet_rt.detector import Detector
from lpnet_rt.frames import Frame
from lpnet_rt.reports import Report
from lpnet_rt.sinks.base import Sink
from lpnet_rt.sources import Source

__all__ = ["Pipeline"]

_QUEUED_FRAMES = 2
_QUEUED_REPORTS = 2
_IDLE_S = 0.05
_JOIN_S = 0.5
_DEVICE_JOIN_S = 10.0


class Pipeline:
    """One source, one detector, any number of sinks; runs once."""

    def __init__(self, source: Source, detector: Detector, sinks: Sequence[Sink]) -> None:
        self._source, self._detector, self._sinks = source, detector, sinks
        policy = FullPolicy.DROP_OLDEST if source.live else FullPolicy.WAIT
        # A file may fill a batch while the one before it is at work; of a live source the newest frames count.
        queued = _QUEUED_FRAMES if source.live else max(_QUEUED_FRAMES, detector.most_frames)
        self._frames: Channel[Frame] = Channel(queued, policy)
        self._reports: Channel[Report] = Channel(_QUEUED_REPORTS, FullPolicy.WAIT)
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End soon; may be called from a signal handler or another thread."""
        self._stopped.set()

    def run(self, on_idle: Callable[[], bool] = lambda: False) -> None:
        """Run until the source ends, ``stop`` is called or a stage fails.

        Args:
            on_idle: Called after every report and whenever none came for a twentieth of a second; True ends the run.

        Raises:
            LpnetError: What a stage raised. Sinks stay open: whoever opened them closes them.
        """
        threads = [
            threading.Thread(target=self._read, name="lpnet-source", daemon=True),
            threading.Thread(target=self._detect, name="lpnet-detector", daemon=True),
        ]
        for thread in threads:
            thread.start()
        try:
            while not self._stopped.is_set():
                report = self._reports.get(_IDLE_S)
                if report is not None:
                    for sink in self._sinks:
                        sink.write(report)
                if on_idle():
                    break
        except ChannelClosed:
            pass  # the source has ended and every report is written
        finally:
            self._stopped.set()
            self._reports.abort()
            self._frames.abort()
            for thread in threads:
                # A device's first frames take seconds; a thread that is left behind inside its driver ends badly.
                thread.join(_JOIN_S if self._detector.most_frames == 1 else _DEVICE_JOIN_S)

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
