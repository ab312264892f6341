"""Session: one source with its stages and outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lpnet_rt.reports import Report
from lpnet_rt.sinks.base import SinkRunner
from lpnet_rt.sources import Source

__all__ = ["Session"]

Stage = Callable[[Report], Report]


class Session:
    """One source, the stages that its reports pass through, and its outputs.

    Used from one thread. A full output blocks only this session: the report waits, and is not offered again to outputs
    that have taken it.

    Attributes:
        source: Source of the frames.
        sinks: The outputs; the first is closed last.
        max_frames: End after this many reports, or None.
        handled: Reports that every output has taken.
        outcome: How the session ended, or None before its end; see :meth:`end`.
        error: The error that ended it, or None.
    """

    def __init__(
        self,
        source: Source,
        sinks: Sequence[SinkRunner],
        stages: Sequence[Stage] = (),
        max_frames: int | None = None,
    ) -> None:
        """Create a session of an open source and open outputs.

        Args:
            source: Source of the frames.
            sinks: The outputs.
            stages: Functions that process each report before the outputs, in order: a tracker, a counter.
            max_frames: End after this many reports; dropped frames do not count.
        """
        self.source, self.max_frames = source, max_frames
        self.sinks: tuple[SinkRunner, ...] = tuple(sinks)
        self.handled = 0
        self.outcome: str | None = None
        self.error: BaseException | None = None
        self._stages = tuple(stages)
        self._report: Report | None = None
        self._takers: list[SinkRunner] = []
        self._leaving: list[SinkRunner] = []

    @property
    def is_held(self) -> bool:
        """True while an output has yet to take the last report; no new one can be accepted."""
        return self._report is not None

    @property
    def is_complete(self) -> bool:
        """True once the wanted number of frames is done or no output is left."""
        return self.handled == self.max_frames or (
            len(self.sinks) > 0 and all(sink.failure is not None for sink in self.sinks)
        )

    @property
    def wants_stop(self) -> bool:
        """True once an output asks to end the run."""
        return any(sink.wants_stop for sink in self.sinks)

    def exchange(self, old: Sequence[SinkRunner], new: Sequence[SinkRunner]) -> None:
        """Exchange outputs between two reports: the old ones get everything up to now, the new ones what follows.

        Args:
            old: Outputs to finish and close, without waiting for them.
            new: Open outputs.
        """
        self.sinks = (*(sink for sink in self.sinks if sink not in old), *new)
        self._leaving += old

    def accept(self, report: Report) -> None:
        """Put a report through the stages; :meth:`hand_out` gives it to the outputs."""
        for stage in self._stages:
            report = stage(report)
        self._report, self._takers = report, list(self.sinks)

    def hand_out(self) -> None:
        """Offer the last report to the outputs that have yet to take it."""
        if self._report is None:
            return
        report = self._report
        self._takers = [sink for sink in self._takers if not sink.offer(report)]
        if not self._takers:
            self._report = None
            self.handled += 1

    def tick(self) -> None:
        """Do the outputs' periodic work."""
        for sink in self.sinks:
            sink.tick()
        # One that has yet to take the last report stays open.
        self._leaving = [sink for sink in self._leaving if sink in self._takers or not sink.try_close("end")]

    def end(self, outcome: str, error: BaseException | None = None) -> None:
        """Record how the session ended; a waiting report is dropped.

        Args:
            outcome: ``end``, ``interrupted`` or ``error: ...``.
            error: The error that ended it, or None.
        """
        self.outcome, self.error = outcome, error
        self._report = None

    def try_close(self, in_haste: bool) -> bool:
        """Continue to close the outputs after :meth:`end`; never waits.

        The first output, the publisher if there is one, is closed last: its end message implies that the others are
        complete.

        Args:
            in_haste: Give an output little time to finish.

        Returns:
            True once all are closed.
        """
        outcome = self.outcome or "end"
        others = [sink.try_close(outcome, in_haste) for sink in (*self._leaving, *reversed(self.sinks[1:]))]
        return all(others) and all(sink.try_close(outcome, in_haste) for sink in self.sinks[:1])
