"""Write the message of every frame as one line of JSON."""

from __future__ import annotations

import errno
import os
import stat
import sys
import threading
from io import FileIO
from pathlib import Path

from lpnet_rt.errors import SinkError, reason
from lpnet_rt.files import create_file
from lpnet_rt.messages import encode
from lpnet_rt.reports import Report
from lpnet_rt.stamping import FrameStamper

__all__ = ["JsonlSink", "LineFile"]


class LineFile:
    """A file of lines shared by sinks in several threads; each line is written before the next is accepted.

    Attributes:
        path: The path as given.
        is_reader_gone: True once the reader of standard output, or of a pipe, has gone.
    """

    def __init__(self, path: str, overwrite: bool = False) -> None:
        """Open the file.

        Args:
            path: File to write; ``-`` is standard output; pipes and devices are written to directly.
            overwrite: Replace an existing file when the first line is written; else it is refused.

        Raises:
            SinkError: The file exists, cannot be written, or is being written by another process.
        """
        self.path = path
        self.is_reader_gone = False
        self._users = 0
        self._lock = threading.Lock()
        # Unbuffered: nothing in this process could be lost when it is killed or closing fails.
        if path == "-":
            self._file = FileIO(sys.stdout.fileno(), "w", closefd=False)
        elif _is_special(path):
            self._file = FileIO(_open_special(path), "w")
        else:
            self._file = FileIO(create_file(Path(path), "jsonl", overwrite), "w")
        self._is_empty = path == "-" or not stat.S_ISREG(os.fstat(self._file.fileno()).st_mode)

    def join(self) -> None:
        """Add a user: the file stays open until every user has closed it."""
        with self._lock:
            self._users += 1

    def write(self, line: bytes) -> None:
        """Write one whole line; nothing if the reader has gone.

        Raises:
            SinkError: The disk is full or the file is closed.
        """
        with self._lock:
            if self.is_reader_gone:
                return
            if self._file.closed:
                raise SinkError(f"jsonl: {self.path}: expected an open file, found it closed; open a new sink")
            rest = memoryview(line + b"\n")
            try:
                if not self._is_empty:
                    os.ftruncate(self._file.fileno(), 0)
                    self._is_empty = True
                while rest:
                    rest = rest[self._file.write(rest) :]
            except BrokenPipeError:
                self.is_reader_gone = True
            except OSError as error:
                raise SinkError(f"jsonl: {self.path}: cannot write: {reason(error)}") from error

    def close(self) -> None:
        """Close the file if it has no other user.

        Raises:
            SinkError: The written data could not be saved.
        """
        with self._lock:
            self._users -= 1
            if self._users > 0:
                return
            try:
                self._file.close()
            except OSError as error:
                raise SinkError(f"jsonl: {self.path}: cannot write: {reason(error)}") from error


class JsonlSink:
    """Writes JSON Lines; each line is written before the next frame, so that a kill loses at most one."""

    def __init__(self, file: LineFile, stamper: FrameStamper) -> None:
        """Write to an open file.

        Args:
            file: May be shared by the sinks of several sources.
            stamper: Shared by all outputs of the source, so that all write the same message for a frame.
        """
        file.join()
        self._file, self._stamper = file, stamper
        self._is_closed = False

    @property
    def wants_stop(self) -> bool:
        """True once the reader of standard output, or of a pipe, has gone."""
        return self._file.is_reader_gone

    def write(self, report: Report) -> None:
        """Write one line.

        Raises:
            SinkError: The disk is full or the file is closed.
        """
        self._file.write(encode(self._stamper.stamp(report)))

    def tick(self) -> None:
        """Do nothing."""

    def close(self, outcome: str = "end") -> None:
        """Release the file; harmless when called twice.

        Raises:
            SinkError: The written data could not be saved.
        """
        if not self._is_closed:
            self._is_closed = True
            self._file.close()


def _is_special(path: str) -> bool:
    """Return whether a path is a pipe or a device, which have no content to overwrite."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def _open_special(path: str) -> int:
    """Open a pipe or a device without waiting for a reader.

    Raises:
        SinkError: It cannot be written, or nobody reads the pipe.
    """
    try:
        number = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise SinkError(
                f"jsonl {path}: expected a reader at the other end of the pipe, found none; start it first"
            ) from error
        raise SinkError(f"jsonl {path}: cannot be written: {reason(error)}") from error
    os.set_blocking(number, True)
    return number
