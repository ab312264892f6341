"""Blocking calls that may never return: a dead camera, a server that accepts and stays silent."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

__all__ = ["BlockingCalls", "FinishedError"]

_RELEASE_S = 1.0

_T = TypeVar("_T")
_Job = tuple[Callable[[], Any], "Future[Any]"]


class FinishedError(Exception):
    """The caller was released because another thread called ``finish``."""


class BlockingCalls:
    """Runs calls one at a time in a daemon thread, so that a hanging call cannot block the caller.

    The time limits of drivers and network libraries do not cover everything (name look-up, a driver that waits in the
    kernel). A hanging call stays in the daemon thread, which does not keep the process alive.
    """

    def __init__(self, name: str) -> None:
        """Start the thread.

        Args:
            name: Name of the thread.
        """
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._pending: Future[Any] | None = None
        self._finished = self._late = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """True once ``finish`` was called and the thread has ended."""
        return self._finished and not self._thread.is_alive()

    def call(self, job: Callable[[], _T], timeout_s: float) -> _T:
        """Run a job in the thread and wait for its result.

        Raises:
            TimeoutError: It did not return in time; it is still running, and only ``finish`` may be called next.
            FinishedError: Another thread called ``finish``.
            Exception: Whatever the job raised.
        """
        future: Future[_T] = Future()
        with self._lock:
            if self._finished:
                raise FinishedError
            self._pending = future
            self._jobs.put((job, future))
        try:
            return future.result(timeout_s)
        except TimeoutError:
            # Also if the job itself raised it: later calls do not wait for the thread.
            self._late = True
            raise

    def finish(self, release: Callable[[], None]) -> None:
        """Release a waiting caller, and run ``release`` in the thread once the current job has returned.

        If no job is running, waits up to one second for ``release``.
        """
        released: Future[None] = Future()
        with self._lock:
            if self._finished:
                return
            self._finished = True
            idle = self._pending is None or self._pending.done()
            if self._pending is not None and not self._pending.done():
                self._pending.set_exception(FinishedError())
            self._jobs.put((release, released))
            self._jobs.put(None)
        if idle and not self._late:
            with suppress(TimeoutError):
                released.exception(_RELEASE_S)

    def _work(self) -> None:
        while (item := self._jobs.get()) is not None:
            job, future = item
            result, failure = None, None
            try:
                result = job()
            except BaseException as error:  # handed to the caller, whatever it is
                failure = error
            with self._lock:
                if future.done():
                    continue
                if failure is None:
                    future.set_result(result)
                else:
                    future.set_exception(failure)
