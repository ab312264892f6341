"""The stages and their threads: sources -> lanes -> detector -> sessions -> sinks.

Each source has a reading thread, and one thread detects for all; reports are passed on in the thread that calls
``run``. A live source drops its oldest frame when the detector is behind; a file waits. The detector takes frames from
the sources in turn (all that are waiting, if its engine has its own device) and never waits for a batch to fill.

Sources fail independently: an error in one ends its session, after the frames before it, and the others continue. A
failed engine is reopened at most three times per minute; after that, and after any other error in the detector, the run
ends. A sink that fails is given up, and its session continues without it; a session ends when no sink is left. The
first error is raised from ``run``.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence

from lpnet_rt.clock import SYSTEM_CLOCK, Clock
from lpnet_rt.detector import Detector
from lpnet_rt.errors import EngineError, LpnetError
from lpnet_rt.frames import Frame
from lpnet_rt.pipeline.lanes import FullPolicy, LaneClosed, Lanes
from lpnet_rt.pipeline.session import Session
from lpnet_rt.reports import Report
from lpnet_rt.sources import Source
from lpnet_rt.text import redact

__all__ = ["Pipeline"]

_logger = logging.getLogger(__name__)

_QUEUED_FRAMES = 2
_QUEUED_REPORTS = 2
_IDLE_S = 0.05
# An engine that fails more often is not reopened.
_MAX_FAILURES, _FAILURES_S = 3, 60.0
_HELD_S = 0.005
_JOIN_S = 0.5
_JOIN_TRIES = 10


class Pipeline:
    """Any number of sessions and one detector; runs once.

    Attributes:
        turned_ns: When the thread of ``run`` last looked for reports; monotonic, nanoseconds; 0 before it began.
    """

    def __init__(self, sessions: Sequence[Session], detector: Detector, clock: Clock = SYSTEM_CLOCK) -> None:
        """Create the pipeline without starting it.

        Args:
            sessions: Sources with their outputs, at least one.
            detector: Turns frames into reports, for all of them.
            clock: Clock for the sinks' ticks.
        """
        self._sessions, self._detector, self._clock = sessions, detector, clock
        batch = detector.max_batch
        lanes = [_lane(session.source, batch) for session in sessions]
        self._lanes: Lanes[Frame, Report] = Lanes(lanes, max(_QUEUED_REPORTS, batch))
        self._open = dict(enumerate(sessions))
        self._stopped = threading.Event()
        self._changes: deque[Callable[[], None]] = deque()
        self._ticked_ns = self.turned_ns = 0
        self._failed_ns: list[int] = []

    def stop(self) -> None:
        """Ask the run to end; may be called from a signal handler or another thread."""
        self._stopped.set()

    def call(self, change: Callable[[], None]) -> None:
        """Have a function called between two reports, in the thread of ``run``; it must neither wait nor fail."""
        self._changes.append(change)

    def is_open(self, number: int) -> bool:
        """Return whether a session, by its place, has not ended yet."""
        return number in self._open

    def queues(self, number: int) -> dict[str, int]:
        """Return how many frames of a session wait for the ``detector``, and how many ``reports`` for its outputs."""
        frames, reports = self._lanes.waiting(number)
        return {"detector": frames, "reports": reports}

    def run(self) -> None:
        """Run until every source has ended, ``stop`` is called, a sink asks for it or the detector fails.

        The sinks are closed then; a source is closed only if it ended before others.

        Raises:
            LpnetError: The error of the detector, or of the first source that failed.
        """
        threads = [threading.Thread(target=self._detect, name="lpnet-detector", daemon=True)]
        for number, session in self._open.items():
            reading = (number, session.source)
            threads.append(threading.Thread(target=self._read, args=reading, name="lpnet-source", daemon=True))
        for thread in threads:
            thread.start()
        try:
            while self._open and not self._is_stopped():
                self._step()
            self._end_rest("interrupted" if self._is_stopped() else "end", None)
        except BaseException as error:
            self._end_rest(_outcome(error), error)
            raise
        finally:
            self._stopped.set()
            self._lanes.close(*range(len(self._sessions)))
            self._join(threads)
        for session in self._sessions:
            if session.error is not None:
                raise session.error

    def _step(self) -> None:
        """Pass on reports that are ready, and end finished sessions."""
        while self._changes:
            self._changes.popleft()()
        held = [number for number, session in self._open.items() if session.is_held or session.outcome is not None]
        for number, report in self._lanes.collect(_HELD_S if held else _IDLE_S, without=held):
            self._open[number].accept(report)
        now_ns = self.turned_ns = self._clock.monotonic_ns()
        is_due = now_ns - self._ticked_ns >= _IDLE_S * 1e9
        if is_due:
            self._ticked_ns = now_ns
        for number, session in list(self._open.items()):
            self._advance(number, session, is_due)

    def _advance(self, number: int, session: Session, is_due: bool) -> None:
        if session.outcome is not None:
            if session.try_close(in_haste=False):
                del self._open[number]
            return
        session.hand_out()
        if is_due or session.is_held:
            session.tick()
        if session.is_complete:
            self._end(number, session, None)
        elif not session.is_held and self._lanes.has_ended(number):
            self._end(number, session, self._lanes.error_of(number))

    def _end(self, number: int, session: Session, error: BaseException | None) -> None:
        self._lanes.close(number)
        session.end("end" if error is None else _outcome(error), error)
        if len(self._open) > 1:
            session.source.close()

    def _end_rest(self, outcome: str, error: BaseException | None) -> None:
        """End and close all open sessions; returns when everything is closed."""
        for session in self._open.values():
            if session.outcome is None:
                session.end(outcome, error)
        while self._open:
            self._open = {
                number: session
                for number, session in self._open.items()
                if not session.try_close(in_haste=self._stopped.is_set())
            }
            self.turned_ns = self._clock.monotonic_ns()
            if self._open:
                self._clock.sleep(_HELD_S)

    def _is_stopped(self) -> bool:
        return self._stopped.is_set() or any(session.wants_stop for session in self._sessions)

    def _join(self, threads: Sequence[threading.Thread]) -> None:
        """Wait briefly for the threads; one that is stuck in a native call is a daemon."""
        for _ in range(_JOIN_TRIES):
            # Repeated: a stop just before the engine starts a run has no effect on that run.
            self._detector.stop()
            for thread in threads:
                thread.join(_JOIN_S / _JOIN_TRIES / len(threads))
            if not any(thread.is_alive() for thread in threads):
                return

    def _read(self, number: int, source: Source) -> None:
        try:
            for frame in source:
                if self._stopped.is_set():
                    break
                self._lanes.put(number, frame)
        except LaneClosed:
            pass  # no more frames are wanted
        except BaseException as error:
            self._lanes.finish(number, error)
        else:
            self._lanes.finish(number)

    def _detect(self) -> None:
        try:
            while True:
                taken = self._lanes.take(self._detector.max_batch)
                frames = [
                    dataclasses.replace(frame, dropped=frame.dropped + late, late=late) for _, frame, late in taken
                ]
                reports = self._reports(frames)
                for (number, _, _), report in zip(taken, reports, strict=True):
                    self._lanes.deliver(number, report)
        except LaneClosed:
            pass  # nothing is left to detect
        except BaseException as error:
            self._lanes.fail(error)

    def _reports(self, frames: Sequence[Frame]) -> list[Report]:
        """Process frames; if the engine fails, report them as failed and reopen it, within the limit."""
        try:
            return self._detector.reports(frames)
        except EngineError as error:
            now_ns = self._clock.monotonic_ns()
            self._failed_ns = [at_ns for at_ns in self._failed_ns if now_ns - at_ns < _FAILURES_S * 1e9]
            too_many = len(self._failed_ns) >= _MAX_FAILURES
            if self._stopped.is_set() or too_many or not self._detector.can_reopen:
                raise
            self._failed_ns.append(now_ns)
            _logger.warning("%s; opening the engine again", error)
            reports = [self._detector.failed(frame, f"the engine failed: {error}") for frame in frames]
            self._detector.reopen()
            return reports


def _lane(source: Source, batch: int) -> tuple[int, FullPolicy]:
    # A file may fill the next batch while one is processed; of a live source only the newest frames matter.
    if source.live:
        return _QUEUED_FRAMES, FullPolicy.DROP_OLDEST
    return max(_QUEUED_FRAMES, batch), FullPolicy.WAIT


def _outcome(error: BaseException) -> str:
    known = isinstance(error, LpnetError)
    return f"error: {redact(str(error))}" if known else f"error: {type(error).__name__}"
