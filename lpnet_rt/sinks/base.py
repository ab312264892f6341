"""What a sink is."""

from __future__ import annotations

from typing import Protocol

from lpnet_rt.reports import Report

__all__ = ["Sink"]


class Sink(Protocol):
    """Takes reports in order, one for every frame.

    A sink opens its outputs in its constructor, so that a port in use or a folder that cannot be written is known
    before the first frame.
    """

    def write(self, report: Report) -> None:
        """Take one report.

        Raises:
            SinkError: If the output fails.
        """
        ...

    def close(self) -> None:
        """Finish and release the output; harmless when called twice."""
        ...
