"""The command line's standard error: the library's log, and the error that ends a verb."""

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
    """One line per record, without control characters and passwords."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the message; warnings and errors carry the program's name."""
        prefix = "lpnet-rt: " if record.levelno >= logging.WARNING else ""
        return prefix + printable(redact(record.getMessage()))


class _StderrHandler(logging.Handler):
    """Writes to the current ``sys.stderr``."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record; ignore a closed standard error."""
        try:
            print(self.format(record), file=sys.stderr, flush=True)
        except (OSError, ValueError):
            self.handleError(record)


@contextmanager
def logs_on_stderr() -> Iterator[None]:
    """Show the library's log, from INFO up, while a verb runs."""
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
    """Run a separate program, such as a benchmark, with the command line's log and error output.

    Returns:
        The result of ``work``, or the exit code of the LpnetError that ended it.
    """
    with logs_on_stderr():
        try:
            return work()
        except LpnetError as error:
            print(f"lpnet-rt: {error}", file=sys.stderr)
            return error.exit_code
