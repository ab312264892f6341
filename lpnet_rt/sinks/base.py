"""What a sink is."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from lpnet_rt.reports import Report

__all__ = ["Controls", "Sink"]


class Sink(Protocol):
    """Takes reports in order, one for every frame.

    A sink opens its outputs in its constructor, so that a port in use or a folder that cannot be written is known
    before the first frame. It is used from one thread, not always the one that opened it.
    """

    def write(self, report: Report) -> None:
        """Take one report.

        Raises:
            SinkError: If the output fails.
        """
        ...

    def tick(self) -> None:
        """Do what is due while no frames come; called some twenty times a second.

        Raises:
            SinkError: If the output fails.
        """
        ...

    def close(self, outcome: str = "end") -> None:
        """Finish and release the output; harmless when called twice.

        Args:
            outcome: ``end``, ``interrupted`` or ``error: ...``: how the run ended.

        Raises:
            SinkError: What was written cannot be finished.
        """
        ...


@runtime_checkable
class Controls(Protocol):
    """What a sink that a person sits at may also have.

    Attributes:
        wants_stop: True once the person has asked for the end of the run; may be read from any thread.
    """

    @property
    def wants_stop(self) -> bool: ...
