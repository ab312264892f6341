"""A live source that reconnects after any failure."""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Literal

from lpnet_rt.clock import SYSTEM_CLOCK, Clock
from lpnet_rt.errors import LpnetError, SettingsError, SourceError, TruncatedError
from lpnet_rt.frames import Frame
from lpnet_rt.settings import SourceSettings
from lpnet_rt.sources.backoff import Backoff
from lpnet_rt.sources.base import Connection, LiveSource, UnusableSourceError
from lpnet_rt.sources.blocking import FinishedError
from lpnet_rt.sources.states import EpochCounter, OnState, SourceCounts, SourceState, State

__all__ = ["ReconnectingSource"]

_LOG = logging.getLogger("lpnet_rt.sources")

# After a connection that lasted this long, the backoff starts over.
_STEADY_S = 2.0
# An attempt that took longer got no answer; the next one knocks first.
_SLOW_S = 1.5
# Limit on connections that hang in the kernel or in a name look-up and keep their threads.
_MAX_LEFT_BEHIND = 4
# Time before reconnecting again if the picture is still frozen; doubles each time.
_REFETCH_S = 5.0
_MAX_REFETCH_S = 60.0


class ReconnectingSource(LiveSource):
    """Delivers the frames of a camera or a stream across any number of connections.

    A break, silence, end or refusal is not an error: the source is tried again, with pauses of 0.2 to 1 s, and after
    ten minutes up to 10 s, until :meth:`close`. Only a recording (over ``http``, of known length) ends, as it would
    without reconnecting. ``index`` and ``dropped`` of the frames continue; each connection is a new handle, and closes
    before the next one opens unless it hangs.
    """

    def __init__(
        self,
        connection: Callable[[], Connection],
        settings: SourceSettings,
        clock: Clock = SYSTEM_CLOCK,
        on_state: OnState | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        """Prepare; nothing is connected yet.

        Args:
            connection: Returns a new, unconnected connection.
            settings: ``frames`` is used.
            clock: Clock for the start of each state.
            on_state: Called with every change of state, in the thread that noticed it; must not block.
            backoff: Pauses between attempts; None: 0.2 to 1 s, and after ten minutes up to 10 s.

        Raises:
            SettingsError: A password that the URL refers to is missing.
        """
        self._make, self._clock, self._on_state = connection, clock, on_state
        self._lock = threading.RLock()
        self._closed = threading.Event()
        self._backoff = backoff or Backoff()
        self._epochs = EpochCounter()
        self._before = SourceCounts()
        self._left_behind: list[Connection] = []
        self._connected = self._slow = False
        self._restart_reason: str | None = None
        self._refetch_s, self._refetch_ns = _REFETCH_S, 0
        self._live_connections = 0
        self._away_since_ns = clock.monotonic_ns()
        self._logged: tuple[State, bool] = ("connecting", False)
        self._state = SourceState("connecting", None, clock.unix_us(), self._away_since_ns)
        self._connection: Connection | None = connection()
        self._shown = self._connection.shown
        super().__init__(self._connection.name, settings.frames)

    @property
    def state(self) -> SourceState:
        """The current state; after closing, the last one: ``ended`` only if nothing was lost."""
        return self._state

    @property
    def counts(self) -> SourceCounts:
        """Frame counts of all connections so far."""
        with self._lock:
            return self._before + self._connection.counts if self._connection is not None else self._before

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames until the source is closed.

        Raises:
            UnusableSourceError: It can never be read.
            TruncatedError: It is a recording that ended with damage.
            LostError: It is a recording that broke off.
        """
        try:
            while not self._closed.is_set():
                if self._connected or self.try_connect():
                    yield from self._frames()
                if not self._closed.is_set():
                    away_s = (self._clock.monotonic_ns() - self._away_since_ns) / 1e9
                    self._closed.wait(self._backoff.next_s(away_s))
        finally:
            self.close()

    def close(self) -> None:
        """Disconnect for good; a reader in another thread ends at once."""
        with self._lock:
            connection = self._connection
            if not self._closed.is_set() and self._state.state in ("live", "calibrating"):
                self._set("ended", None)
            self._closed.set()
        if connection is not None:
            connection.close()

    def try_connect(self) -> bool:
        """Make one attempt to connect, within ``open_timeout_s``; ``close`` interrupts it.

        Returns:
            Whether it is connected; if not, ``state`` has the reason.

        Raises:
            UnusableSourceError: It can never be read.
        """
        if self._connected:
            return True
        begun_ns = self._clock.monotonic_ns()
        try:
            connection = self._fresh_connection()
            if connection is None:
                return False
            connection.connect(knock=self._slow)
        except FinishedError:
            return False
        except UnusableSourceError:
            self.close()
            raise
        except (SourceError, SettingsError) as error:
            self._slow = self._clock.monotonic_ns() - begun_ns > _SLOW_S * 1e9
            self._lose(error)
            return False
        self.rate_hz = connection.rate_hz or self.rate_hz
        self._connected, self._slow = True, False
        return True

    def note_picture(self, verdict: Literal["live", "calibrating", "frozen"]) -> None:
        """Take the verdict of a :class:`~lpnet_rt.sources.freeze.FreezeGuard` on the latest frame, from any thread.

        On a frozen picture the source reconnects; if the picture stays frozen, again after 5 s, then after twice as
        long each time, up to a minute.
        """
        with self._lock:
            state, now_ns = self._state.state, self._clock.monotonic_ns()
            if self._closed.is_set() or state not in ("live", "calibrating", "frozen"):
                return
            connection = None
            if verdict == "frozen":
                self._set("frozen", "the picture stands still")
                if now_ns >= self._refetch_ns:
                    self._refetch_ns = now_ns + round(self._refetch_s * 1e9)
                    self._refetch_s = min(2 * self._refetch_s, _MAX_REFETCH_S)
                    self._restart_reason = "the picture stands still"
                    connection = self._connection
            elif verdict == "live":
                self._refetch_s, self._refetch_ns = _REFETCH_S, 0
                self._set("live", None)
            elif state == "live":
                self._set("calibrating", "the picture stands still or has changed in level or gain")
        if connection is not None:
            connection.close()

    def _fresh_connection(self) -> Connection | None:
        """Return a connection to try, or None if closed or too many hang."""
        with self._lock:
            self._left_behind = [connection for connection in self._left_behind if not connection.is_over]
            if self._closed.is_set():
                return None
            if self._connection is None and len(self._left_behind) >= _MAX_LEFT_BEHIND:
                self._lose(SourceError(f"{_MAX_LEFT_BEHIND} earlier attempts have not returned yet"))
                return None
            if self._connection is None:
                self._connection = self._make()
            return self._connection

    def _frames(self) -> Iterator[Frame]:
        """Yield the frames of the connection until it breaks, then close it."""
        connection = self._connection
        assert connection is not None
        begun_ns: int | None = None
        try:
            for frame in connection:
                if begun_ns is None:
                    begun_ns = self._clock.monotonic_ns()
                    self._live_connections += 1
                yield self._stamped(frame)
        except SourceError as error:
            if connection.is_recording or isinstance(error, UnusableSourceError):
                self._set("ended" if isinstance(error, TruncatedError) else "lost", self._short(error))
                raise
            failure = error
        else:
            if connection.is_recording and not self._closed.is_set():
                self._set("ended", None)
                self._closed.set()
                return
            failure = SourceError(self._restart_reason or "it ended")
        if begun_ns is not None:
            self._away_since_ns = self._clock.monotonic_ns()
            if self._away_since_ns - begun_ns > _STEADY_S * 1e9:
                self._backoff.reset()
        self._lose(failure)

    def _stamped(self, frame: Frame) -> Frame:
        """Renumber a connection's frame for the whole source."""
        epoch, before = self._epochs.of(frame.image, frame.bit_depth), self._before
        with self._lock:
            is_first = frame.index == frame.dropped
            # After a frozen picture, only ``note_picture`` decides that it is live again.
            waits = is_first and self._state.state in ("connecting", "lost")
            if waits or epoch != self._state.epoch or self._reconnects != self._state.reconnects:
                self._set("live" if waits else self._state.state, None if waits else self._state.reason, epoch)
        return dataclasses.replace(
            frame,
            index=before.delivered + before.left_out + frame.index,
            dropped=before.left_out + frame.dropped,
            epoch=epoch,
            reconnects=self._reconnects,
        )

    @property
    def _reconnects(self) -> int:
        return max(self._live_connections - 1, 0)

    def _lose(self, error: LpnetError) -> None:
        """Close the connection, add its counts, and enter the state ``lost`` or ``connecting``."""
        with self._lock:
            connection, self._connection, self._connected = self._connection, None, False
            if connection is not None:
                self._before += connection.counts
                self._left_behind.append(connection)
            if not self._closed.is_set() and self._restart_reason is None:
                self._set("lost" if self._live_connections else "connecting", self._short(error))
            self._restart_reason = None
        if connection is not None:
            connection.close()

    def _short(self, error: LpnetError) -> str:
        return str(error).removeprefix(f"{self._shown}: ").removeprefix("the stream was lost: ")

    def _set(self, state: State, reason: str | None, epoch: int | None = None) -> None:
        """Enter a state, and call ``on_state`` if anything has changed."""
        with self._lock:
            before = self._state
            same = state == before.state
            since_us, since_ns = before.since_us, before.since_ns
            if not same:
                since_us, since_ns = self._clock.unix_us(), self._clock.monotonic_ns()
            epoch = before.epoch if epoch is None else epoch
            self._state = SourceState(state, reason, since_us, since_ns, self._reconnects, epoch)
            if self._state == before:
                return
            self._log(before)
            if self._on_state is not None:
                self._on_state(self._state)

    def _log(self, before: SourceState) -> None:
        """Log every change of state once."""
        state, reason = self._state.state, self._state.reason
        if (state, reason is not None) == self._logged:
            return
        was_announced = self._logged != ("connecting", False)
        self._logged = (state, reason is not None)
        away_s = (self._state.since_ns - before.since_ns) / 1e9
        if "calibrating" in (state, before.state) and reason is None:
            _LOG.info("%s: live, after %.1f s of calibration", self._shown, away_s)
        elif state == "calibrating":
            _LOG.info("%s: calibrating: %s", self._shown, reason)
        elif state == "live" and was_announced:
            _LOG.warning("%s: live, after %.1f s", self._shown, away_s)
        elif reason is not None and state != "ended":
            _LOG.warning("%s: %s: %s; waiting for it and trying again", self._shown, state, reason)
