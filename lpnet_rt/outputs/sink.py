"""One source's share of an output: from its reports to items for the peer, at a limited rate per track."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from lpnet_rt.clock import Clock
from lpnet_rt.messages import FrameMessage, StateName
from lpnet_rt.outputs.items import EventItem, Item, StateItem, TrackItem, track_reports
from lpnet_rt.outputs.peer import Peer
from lpnet_rt.reports import Report
from lpnet_rt.settings.outputs import EventName
from lpnet_rt.sources.states import StateLog
from lpnet_rt.stamping import FrameStamper, event_messages
from lpnet_rt.text import one_line, redact

__all__ = ["PeerSink", "Wishes"]

_FPS_NS = 900_000_000  # a rate over less says little
_COUNT_NS = 1_000_000_000  # the number of tracks is sent so often, but the first and the last track at once


@dataclass(frozen=True, slots=True)
class Wishes:
    """What an output sends.

    Attributes:
        events: Kinds of events.
        rate_hz: Items per second of each confirmed track; 0: no tracks.
        state_every_s: Longest time between two states; None: no states.
        only_confirmed: Leave out events of tracks that have never been confirmed.
    """

    events: Sequence[EventName] = ("confirmed", "ended")
    rate_hz: float = 0.0
    state_every_s: float | None = None
    only_confirmed: bool = True


class PeerSink:
    """Hands a source's confirmed tracks, events and states to peers; never waits.

    Used from the pipeline's thread; what a peer's words for them are is the peer's thread's work.
    """

    def __init__(
        self, peers: Sequence[Peer], wishes: Wishes, source: str, stamper: FrameStamper, log: StateLog, clock: Clock
    ) -> None:
        """Create it.

        Args:
            peers: They get the same items.
            wishes: What they want.
            source: Name of the source.
            stamper: Shared by all outputs of the source.
            log: The source's states.
            clock: Clock of the run.
        """
        self._peers, self._wishes, self._source = peers, wishes, source
        self._stamper, self._log, self._clock = stamper, log, clock
        self._sent_ns: dict[int, int] = {}
        self._events = self._frames = self._dropped = self._tracks = 0
        self._size_hw: tuple[int, int] | None = None
        self._state_ns: int | None = None
        self._fps_ns, self._fps_frames, self._fps = clock.monotonic_ns(), 0, 0.0
        self._before: tuple[StateName, str | None, bool] | None = None
        self._tracks_then = 0
        self._is_closed = False

    def write(self, report: Report) -> None:
        """Hand over what a report has for the peers."""
        message = self._stamper.stamp(report)
        size_hw = self._size_hw = report.frame.size_hw
        self._frames += 1
        self._dropped = message.dropped
        self._put_events(report, message, size_hw)
        self._put_tracks(message, size_hw)
        self.tick()

    def tick(self) -> None:
        """Hand over the state of the source, when due or changed."""
        every_s = self._wishes.state_every_s
        if every_s is None or self._is_closed:
            return
        now_ns = self._clock.monotonic_ns()
        state = self._log.state
        name: StateName = "live" if state is None else state.state
        now = (name, None if state is None else state.reason, self._tracks > 0)
        pause_ns = _COUNT_NS if self._tracks != self._tracks_then else every_s * 1e9
        is_due = self._state_ns is None or now_ns - self._state_ns >= pause_ns
        if is_due or now != self._before:
            self._put_state(name, now[1], now_ns, now != self._before)
            self._before, self._tracks_then = now, self._tracks

    def close(self, outcome: str = "end") -> None:
        """Hand over the end of the source; harmless when called twice. The peers stay open."""
        if not self._is_closed and self._wishes.state_every_s is not None:
            self._tracks = 0
            why = None if outcome == "end" else one_line(redact(outcome))
            self._put_state("ended", why, self._clock.monotonic_ns(), True)
        self._is_closed = True

    def _put(self, item: Item, key: Hashable) -> None:
        for peer in self._peers:
            peer.put(item, key)

    def _put_events(self, report: Report, message: FrameMessage, size_hw: tuple[int, int]) -> None:
        if report.tracks is None or not report.tracks.events:
            return
        session, now_us = message.session, message.t_publish_us
        for event in event_messages(report, session, self._events, message, now_us):
            self._events += 1
            if event.event == "ended":
                self._sent_ns.pop(event.track, None)
            is_wanted = event.confirmed or event.event == "started" or not self._wishes.only_confirmed
            if is_wanted and event.event in self._wishes.events:
                self._put(EventItem(event, size_hw), None)

    def _put_tracks(self, message: FrameMessage, size_hw: tuple[int, int]) -> None:
        reports = track_reports(message)
        self._tracks = len(reports)
        if not self._wishes.rate_hz:
            return
        now_ns, period_ns = self._clock.monotonic_ns(), 1e9 / self._wishes.rate_hz
        for report in reports:
            sent_ns = self._sent_ns.get(report.id)
            if sent_ns is None or now_ns - sent_ns >= period_ns:
                self._sent_ns[report.id] = now_ns
                self._put(TrackItem(report, size_hw), (self._source, report.id))

    def _put_state(self, name: StateName, why: str | None, now_ns: int, is_news: bool) -> None:
        state = self._log.state
        if now_ns - self._fps_ns >= _FPS_NS:
            self._fps = round((self._frames - self._fps_frames) * 1e9 / (now_ns - self._fps_ns), 2)
            self._fps_ns, self._fps_frames = now_ns, self._frames
        item = StateItem(
            source=self._source,
            session=self._stamper.session,
            state=name,
            reason=None if why is None else one_line(redact(why)),
            since_us=None if state is None else state.since_us,
            fps=self._fps,
            tracks=self._tracks,
            frames=self._frames,
            dropped=self._dropped,
            reconnects=0 if state is None else state.reconnects,
            t_us=self._clock.unix_us(),
            size_hw=self._size_hw,
            is_news=is_news,
        )
        self._state_ns = now_ns
        self._put(item, self._source)
