"""Blocking calls that may never come back: a dead camera, a server that accepts and stays silent."""

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
    """The caller was let go because another thread called ``finish``."""


class BlockingCalls:
    """Runs calls one after the other in a daemon thread, so that one that hangs cannot hold the caller.

    Drivers and network libraries have time limits of their own, and none of them covers everything (name look-up,
    a driver that waits in the kernel). What hangs is left to the daemon thread, which does not keep the process.
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
        """True once ``finish`` was called and the thread has ended, so that nothing is left behind."""
        return self._finished and not self._thread.is_alive()

    def call(self, job: Callable[[], _T], timeout_s: float) -> _T:
        """Run a job in the thread and wait for what it returns.

        Raises:
            TimeoutError: It did not return in time; it still runs, and only ``finish`` may follow.
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
            # Also where the job itself raised it: nothing that follows waits for the thread.
            self._late = True
            raise

    def finish(self, release: Callable[[], None]) -> None:
        """Let a waiting caller go and run ``release`` in the thread once the job that runs there has returned.

        Where no job runs, ``release`` has been run when this returns, unless that takes over a second.
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
