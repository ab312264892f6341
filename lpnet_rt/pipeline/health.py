"""Whether a run is healthy: its main thread turns, and every source delivers or is being connected again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lpnet_rt.clock import Clock
from lpnet_rt.sinks.progress import Tally
from lpnet_rt.sources.states import StateLog

__all__ = ["Health", "Watched"]

_BEING_CONNECTED = ("connecting", "lost", "frozen")


@dataclass(frozen=True, slots=True)
class Watched:
    """A source whose frames are expected.

    Attributes:
        log: Its states.
        tally: Counts its frames as they are handed out.
        is_open: Returns False once the source has ended, after which nothing is expected of it.
    """

    log: StateLog
    tally: Tally
    is_open: Callable[[], bool]


class Health:
    """Judges a run, from another thread."""

    def __init__(
        self, turned_ns: Callable[[], int], sources: Sequence[Watched], unhealthy_after_s: float, clock: Clock
    ) -> None:
        """Watch a run.

        Args:
            turned_ns: Returns when the pipeline's main thread last turned; 0 before it begins.
            sources: Its sources.
            unhealthy_after_s: Longest time without a turn or a frame, seconds.
            clock: Clock of the run.
        """
        self._turned_ns, self._sources, self._clock = turned_ns, sources, clock
        self._limit_ns = round(unhealthy_after_s * 1e9)

    def problem(self) -> str | None:
        """Return what is wrong in one line; None: the run is healthy, or has not begun."""
        now_ns, turned_ns = self._clock.monotonic_ns(), self._turned_ns()
        if not turned_ns:
            return None
        if now_ns - turned_ns > self._limit_ns:
            return f"the pipeline has stood still for {(now_ns - turned_ns) / 1e9:.0f} s"
        for source in self._sources:
            state = source.log.state
            if not source.is_open() or (state is not None and state.state in _BEING_CONNECTED):
                continue
            since_ns = max(source.tally.last_ns, 0 if state is None else state.since_ns)
            if now_ns - since_ns > self._limit_ns:
                name, silent_s = source.tally.source, (now_ns - since_ns) / 1e9
                return f"{name}: no frame for {silent_s:.0f} s, and it is not being connected again"
        return None

    def describe(self) -> str:
        """Return the state and progress of each source in one line."""
        return "; ".join(
            f"{tally.source}: {'live' if log.state is None else log.state.state}, {tally.describe()}"
            for log, tally in ((source.log, source.tally) for source in self._sources)
        )
