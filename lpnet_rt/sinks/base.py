"""What a sink is."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from lpnet_rt.reports import Report

__all__ = ["Controls", "Sink", "SinkRunner"]


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


class SinkRunner(Protocol):
    """Drives one sink; its methods are called from one thread and never raise. Only ``close`` waits.

    Attributes:
        name: Of the output, for messages.
        failure: None, or why the output was given up, in one line.
        missed: Frames that the output was too slow for.
        wants_stop: True once the output asks for the end of the run.
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
        """Hand a report over; False where the sink is full: offer it again later."""
        ...

    def tick(self) -> None:
        """Do what is due while no frames come."""
        ...

    def try_close(self, outcome: str, in_haste: bool = False) -> bool:
        """Begin to finish the output, or go on with it; True once it is released. Never waits."""
        ...

    def close(self, outcome: str, in_haste: bool = False) -> None:
        """Finish the output and release it.

        Args:
            outcome: ``end``, ``interrupted`` or ``error: ...``.
            in_haste: Wait for a sink only as long as it takes frames quickly.
        """
        ...
