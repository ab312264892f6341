"""The command line's standard error: what the library logs, and the error that ends a verb."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lpnet_rt.errors import LpnetError
from lpnet_rt.text import printable, redact

__all__ = ["exit_code_of", "logs_on_stderr"]

_ROOT = "lpnet_rt"


class _OneLineFormatter(logging.Formatter):
    """One line per record, without control characters and passwords, whatever the names in it hold."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the message; warnings and errors carry the program's name."""
        prefix = "lpnet-rt: " if record.levelno >= logging.WARNING else ""
        return prefix + printable(redact(record.getMessage()))


class _StderrHandler(logging.Handler):
    """Writes to whatever ``sys.stderr`` is at that time."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record; a standard error that is gone ends nothing."""
        try:
            print(self.format(record), file=sys.stderr, flush=True)
        except (OSError, ValueError):
            self.handleError(record)


@contextmanager
def logs_on_stderr() -> Iterator[None]:
    """Show what the library logs, from INFO upwards, while a verb runs."""
    logger, handler = logging.getLogger(_ROOT), _StderrHandler()
    handler.setFormatter(_OneLineFormatter())
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


def exit_code_of(work: Callable[[], int]) -> int:
    """Run a program of its own, such as a benchmark: logs and errors as the command line shows them.

    Returns:
        What ``work`` returns, or the exit code of the LpnetError that ended it.
    """
    with logs_on_stderr():
        try:
            return work()
        except LpnetError as error:
            print(f"lpnet-rt: {error}", file=sys.stderr)
            return error.exit_code
