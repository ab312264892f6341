"""Write the message of every frame as one line of JSON."""

from __future__ import annotations

import sys
from io import FileIO

from lpnet_rt.errors import SinkError
from lpnet_rt.messages import FrameStamper, encode
from lpnet_rt.reports import Report

__all__ = ["JsonlSink"]


class JsonlSink:
    """Writes JSON Lines; each line is in the file before the next frame, so that a kill loses at most one."""

    def __init__(self, path: str, stamper: FrameStamper) -> None:
        """Open the file, emptying one that is there.

        Args:
            path: File to write; ``-`` is standard output.
            stamper: Shared with the other outputs of the run, so that all write the same message for a frame.

        Raises:
            SinkError: The file cannot be written.
        """
        self._path = path
        self._stamper = stamper
        try:
            # Unbuffered: nothing is left in this process that a kill, or a second failure at closing, could lose.
            if path == "-":
                self._file = FileIO(sys.stdout.fileno(), "w", closefd=False)
            else:
                self._file = FileIO(path, "w")
        except OSError as error:
            raise SinkError(
                f"jsonl: {path}: cannot be written: {error.strerror}; give a file in a folder you can write"
            ) from error

    def write(self, report: Report) -> None:
        """Write one line.

        Raises:
            SinkError: The disk is full, the reader of standard output is gone or the sink is closed.
        """
        if self._file.closed:
            raise SinkError(f"jsonl: {self._path}: expected an open file, found it closed; open a new sink")
        rest = memoryview(encode(self._stamper.stamp(report)) + b"\n")
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise SinkError(f"jsonl: {self._path}: cannot write: {error.strerror}") from error

    def tick(self) -> None:
        """Nothing is due while no frames come."""

    def close(self, outcome: str = "end") -> None:
        """Close the file; harmless when called twice.

        Raises:
            SinkError: What was written cannot be kept.
        """
        try:
            self._file.close()
        except OSError as error:
            raise SinkError(f"jsonl: {self._path}: cannot write: {error.strerror}") from error
