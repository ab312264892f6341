"""The interfaces of a sink."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from lpnet_rt.reports import Report

__all__ = ["Controls", "Sink", "SinkRunner"]


class Sink(Protocol):
    """Takes reports in order, one per frame.

    A sink opens its outputs in its constructor, so that a port in use or a read-only folder is reported before the
    first frame. It is used from one thread, not necessarily the one that opened it.
    """

    def write(self, report: Report) -> None:
        """Take one report.

        Raises:
            SinkError: If the output fails.
        """
        ...

    def tick(self) -> None:
        """Do periodic work; called about twenty times per second.

        Raises:
            SinkError: If the output fails.
        """
        ...

    def close(self, outcome: str = "end") -> None:
        """Finish and release the output; harmless when called twice.

        Args:
            outcome: ``end``, ``interrupted`` or ``error: ...``.

        Raises:
            SinkError: The output cannot be finished.
        """
        ...


@runtime_checkable
class Controls(Protocol):
    """Optional interface of an interactive sink.

    Attributes:
        wants_stop: True once the user has asked to end the run; may be read from any thread.
    """

    @property
    def wants_stop(self) -> bool: ...


class SinkRunner(Protocol):
    """Drives one sink; its methods are called from one thread and never raise. Only ``close`` waits.

    Attributes:
        name: Name of the output, for messages.
        failure: Why the output was given up, in one line, or None.
        missed: Number of frames that the output was too slow for.
        wants_stop: True once the output asks to end the run.
    """

    @property
    def name(self) -> str: ...

    @property
    def failure(self) -> str | None: ...

    @property
    def missed(self) -> int: ...

    @property
    def wants_stop(self) -> bool: ...

    def offer(self, report: Report) -> bool:
        """Hand over a report; False if the sink is full: offer it again later."""
        ...

    def tick(self) -> None:
        """Do periodic work."""
        ...

    def try_close(self, outcome: str, in_haste: bool = False) -> bool:
        """Start or continue to finish the output; True once it is released. Never waits."""
        ...

    def close(self, outcome: str, in_haste: bool = False) -> None:
        """Finish the output and release it.

        Args:
            outcome: ``end``, ``interrupted`` or ``error: ...``.
            in_haste: Wait for a sink only while it takes frames quickly.
        """
        ...
