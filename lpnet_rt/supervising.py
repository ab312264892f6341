"""Supervision of a run by its main thread: what the service manager is told, and when settings are re-read."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from lpnet_rt.clock import Clock
from lpnet_rt.pipeline.health import Health
from lpnet_rt.service_manager import Notifier

__all__ = ["Supervisor", "signals"]

_logger = logging.getLogger(__name__)

_STATUS_S = 5.0


class Supervisor:
    """Tells the service manager how a run is; the main thread calls :meth:`step` some twenty times per second."""

    def __init__(self, clock: Clock, notes: str = "", notifier: Notifier | None = None) -> None:
        """Start before the run is ready.

        Args:
            clock: Clock of the run.
            notes: Put before every status, such as a warning that must stay visible.
            notifier: Of the service manager; None: that of the environment.
        """
        self._clock, self._notes = clock, notes
        self._notifier = notifier or Notifier()
        self._is_ready = self._is_stopping = False
        self._problem: str | None = None
        self._fed_ns = self._said_ns = -(10**18)
        self._reloads = 0
        self._reloading: threading.Thread | None = None

    def ask_reload(self) -> None:
        """Re-read the settings at the next step; safe in a signal handler."""
        self._reloads += 1

    def step(self, health: Health | None, reload: Callable[[], None] | None) -> None:
        """Tell readiness, health and status, and start to re-read the settings where that was asked for.

        Args:
            health: Of the run; None until it is ready.
            reload: Re-reads the settings, in a thread of its own; None: not yet.
        """
        if health is None or self._is_stopping:
            return
        if not self._is_ready:
            self._is_ready = True
            self._notifier.ready()
        self._reload(reload)
        self._judge(health)
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._said_ns >= _STATUS_S * 1e9:
            self._said_ns = now_ns
            self._notifier.status(self._notes + (self._problem or health.describe()))

    def stop(self) -> None:
        """Tell that the run ends."""
        if not self._is_stopping:
            self._is_stopping = True
            self._notifier.stopping()

    def _reload(self, reload: Callable[[], None] | None) -> None:
        is_over = self._reloading is not None and not self._reloading.is_alive()
        if is_over:
            self._reloading = None
            self._notifier.ready()
        if reload is not None and self._reloads and self._reloading is None:
            self._reloads = 0
            self._notifier.reloading()
            self._reloading = threading.Thread(target=reload, name="lpnet-reload", daemon=True)
            self._reloading.start()

    def _judge(self, health: Health) -> None:
        """Feed the watchdog twice per its time, but not while the run is unhealthy."""
        problem = health.problem()
        if (problem is None) != (self._problem is None):
            _logger.warning("%s", "healthy again" if problem is None else f"unhealthy: {problem}")
        self._problem = problem
        watchdog_s, now_ns = self._notifier.watchdog_s, self._clock.monotonic_ns()
        if watchdog_s is not None and problem is None and now_ns - self._fed_ns >= watchdog_s / 2 * 1e9:
            self._fed_ns = now_ns
            self._notifier.feed_watchdog()


@contextlib.contextmanager
def signals(caught: list[int], stop: Callable[[], None], reload: Callable[[], None] | None) -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into an orderly stop, a second one ends at once; and SIGHUP into ``reload``.

    Args:
        caught: Takes the numbers of the signals that end the run.
        stop: Asks the run to end.
        reload: Asks for the settings to be re-read; None: SIGHUP is left as it is. A SIGHUP because the terminal was
            closed is a stop.
    """

    def answer(number: int, _frame: FrameType | None) -> None:
        if number not in (signal.SIGINT, signal.SIGTERM) and reload is not None and not (had_terminal and _is_alone()):
            reload()
            return
        caught.append(number)
        if len(caught) > 1:
            raise KeyboardInterrupt
        stop()

    had_terminal = not _is_alone()
    numbers = [signal.SIGINT, signal.SIGTERM]
    numbers += [signal.SIGHUP] if reload is not None and hasattr(signal, "SIGHUP") else []
    before = {number: signal.signal(number, answer) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_alone() -> bool:
    """Return whether there is no terminal, or no longer one: its end is a SIGHUP, too."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | getattr(os, "O_NOCTTY", 0)))
    except OSError:
        return True
    return False
