"""The exception tree.

    LpnetError                  exit code 1   root: every error that lpnet-rt raises on purpose
    ├── SettingsError           exit code 2   a flag, a configuration key or a value is wrong
    ├── SourceError             exit code 3   the source cannot be opened or read
    │   ├── TruncatedError      exit code 4   the source is damaged; its readable part was processed
    │   └── LostError           exit code 4   a camera or stream was lost; earlier frames were processed
    ├── ModelError              exit code 5   a model file is missing, damaged or not a model
    ├── EngineError             exit code 6   an engine is missing or failed while running
    ├── SinkError               exit code 7   an output cannot be opened or written
    ├── DependencyError         exit code 8   a library is missing
    ├── DataError               exit code 9   a data set is missing, incomplete or malformed
    └── MessageError            exit code 10  a message does not match the wire schema

A message is one line: what was expected, what was found, what to do. Exceptions of libraries are wrapped where
they occur (``raise SourceError(...) from error``) and never cross a stage.
"""

from __future__ import annotations

from lpnet_rt.text import printable, redact

__all__ = [
    "DataError",
    "DependencyError",
    "EngineError",
    "LostError",
    "LpnetError",
    "MessageError",
    "ModelError",
    "SettingsError",
    "SinkError",
    "SourceError",
    "TruncatedError",
    "last_line",
    "reason",
]


class LpnetError(Exception):
    """Root of every error raised on purpose; ``exit_code`` is what the command line exits with.

    Its text is safe to show: one line, without terminal control characters and without passwords in URLs.
    """

    exit_code = 1

    def __str__(self) -> str:
        return printable(redact(" ".join(super().__str__().split())))


class SettingsError(LpnetError):
    """A flag, a configuration key or a value is wrong."""

    exit_code = 2


class SourceError(LpnetError):
    """The source cannot be opened or read."""

    exit_code = 3


class TruncatedError(SourceError):
    """The source is damaged or truncated; every readable frame was delivered."""

    exit_code = 4


class LostError(SourceError):
    """A camera or a stream that delivered frames ended, broke off or fell silent; earlier frames were delivered."""

    exit_code = 4


class ModelError(LpnetError):
    """A model file is missing, damaged or not a model of this project."""

    exit_code = 5


class EngineError(LpnetError):
    """An engine is missing, cannot load the model or failed while running."""

    exit_code = 6


class SinkError(LpnetError):
    """An output cannot be opened or written."""

    exit_code = 7


class DependencyError(LpnetError):
    """A library is missing; the message names the package that provides it."""

    exit_code = 8


class DataError(LpnetError):
    """A data set is missing, incomplete or malformed."""

    exit_code = 9


class MessageError(LpnetError):
    """A message does not match the wire schema."""

    exit_code = 10


def reason(error: BaseException) -> str:
    """Return the reason of a library's or the system's exception: one line of at most 200 characters."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return (" ".join(text.split()) or type(error).__name__)[:200]


def last_line(error: BaseException) -> str:
    """Return the last line of OpenVINO's message, which follows its file names: at most 200 characters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__
