"""The command line's standard error: the library's log, and the error that ends a verb; as text or as JSON."""

from __future__ import annotations

import datetime
import json
import logging
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from lpnet_rt.errors import LpnetError, reason
from lpnet_rt.text import printable, redact

__all__ = [
    "exit_code_of",
    "hide_passwords_in_crashes",
    "is_json",
    "logs_on_stderr",
    "say_error",
    "say_interrupted",
    "use_json",
    "wants_json",
]

_ROOT = "lpnet_rt"
_logger = logging.getLogger(f"{_ROOT}.console")


class _OneLineFormatter(logging.Formatter):
    """One line per record, without control characters and passwords."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the message; warnings and errors carry the program's name."""
        prefix = "lpnet-rt: " if record.levelno >= logging.WARNING else ""
        return prefix + _clean(record.getMessage())


class _JsonFormatter(logging.Formatter):
    """One JSON object per record: ``time`` (UTC), ``level``, ``logger``, ``message``, ``source`` or null, fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object in ASCII, without passwords."""
        time = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line: dict[str, object] = {
            "time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _clean(record.getMessage()),
            "source": getattr(record, "source", None),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = redact("".join(traceback.format_exception(*record.exc_info)))
        return json.dumps(line)


def _clean(text: str) -> str:
    return printable(redact(text))


class _StderrHandler(logging.Handler):
    """Writes to the current ``sys.stderr``."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record; ignore a closed standard error."""
        try:
            print(self.format(record), file=sys.stderr, flush=True)
        except (OSError, ValueError):
            self.handleError(record)


@contextmanager
def logs_on_stderr(as_json: bool = False) -> Iterator[None]:
    """Show the library's log, from INFO up, while a verb runs.

    Args:
        as_json: One JSON object per line in place of text; see also :func:`use_json`.
    """
    logger, handler = logging.getLogger(_ROOT), _StderrHandler()
    handler.setFormatter(_OneLineFormatter())
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    if as_json:
        use_json()
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


def use_json() -> None:
    """Write one JSON object per line from now on."""
    for handler in _handlers():
        handler.setFormatter(_JsonFormatter())


def is_json() -> bool:
    """Return whether lines are JSON objects."""
    return any(isinstance(handler.formatter, _JsonFormatter) for handler in _handlers())


def _handlers() -> list[_StderrHandler]:
    return [handler for handler in logging.getLogger(_ROOT).handlers if isinstance(handler, _StderrHandler)]


def wants_json(arguments: Sequence[str]) -> bool:
    """Return whether arguments ask for JSON, before they are parsed: an error in them is logged in JSON, too."""
    pairs = zip(arguments, [*arguments[1:], ""], strict=False)
    return any(one == "--log-format=json" or (one, other) == ("--log-format", "json") for one, other in pairs)


def say_error(error: BaseException, exit_code: int) -> None:
    """Log the error that ends a verb; the text of one that is not ours is shortened, and JSON has its traceback.

    Args:
        error: An LpnetError, or any other exception.
        exit_code: What the process exits with; a field in JSON.
    """
    extra = {"fields": {"exit_code": exit_code}}
    if isinstance(error, LpnetError):
        _logger.error("%s", error, extra=extra)
    else:
        _logger.critical("%s: %s", type(error).__name__, reason(error), extra=extra, exc_info=error)


def say_interrupted() -> None:
    """Log that Ctrl-C ended a verb."""
    _logger.warning("interrupted")


def hide_passwords_in_crashes() -> None:
    """Take passwords in URLs out of the tracebacks that end the process or a thread."""

    def show(error: BaseException | None) -> None:
        if error is not None and not isinstance(error, SystemExit):
            sys.stderr.write(redact("".join(traceback.format_exception(error))))

    sys.excepthook = lambda kind, error, trace: show(error)
    threading.excepthook = lambda crash: show(crash.exc_value)


def exit_code_of(work: Callable[[], int]) -> int:
    """Run a separate program, such as a benchmark, with the command line's log and error output.

    Returns:
        The result of ``work``, or the exit code of the LpnetError that ended it.
    """
    with logs_on_stderr():
        try:
            return work()
        except LpnetError as error:
            say_error(error, error.exit_code)
            return error.exit_code
