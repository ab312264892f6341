from __future__ import annotations

from typing import Any

from stepped_clock import SteppedClock
from tracked_reports import event, sink_for, tracked

from lpnet_rt.outputs.items import EventItem, StateItem, TrackItem
from lpnet_rt.outputs.outbox import Outbox, OutboxLimits
from lpnet_rt.outputs.sink import Wishes
from lpnet_rt.sources.states import SourceState, StateLog
from lpnet_rt.tracking import TrackState


class Kept:
    """Takes what a sink hands over."""

    def __init__(self) -> None:
        self.items: list[Any] = []

    def put(self, item: object, key: object) -> None:
        self.items.append(item)

    def of(self, kind: type) -> list[Any]:
        return [item for item in self.items if isinstance(item, kind)]


def items(clock: SteppedClock, frames: int, events: int = 0) -> Kept:
    kept = Kept()
    sink = sink_for([kept], Wishes(("confirmed", "ended"), rate_hz=100.0), clock)
    for index in range(frames):
        clock.sleep(1 / 30)
        sink.write(tracked(index, events=[event("confirmed", index)] if index < events else ()))
    return kept


def test_tracks_go_at_a_limited_rate_and_events_at_once(clock: SteppedClock) -> None:
    kept = Kept()
    sink = sink_for([kept], Wishes(("confirmed", "ended"), rate_hz=2.0), clock)
    for index in range(90):
        clock.sleep(1 / 30)
        sink.write(tracked(index, ids=(1, 2), events=[event("confirmed"), event("started", 3, False)] * (index == 7)))
    reports = [item.report for item in kept.of(TrackItem)]
    assert {report.id: sum(r.id == report.id for r in reports) for report in reports} == {1: 6, 2: 6}
    assert reports[0].score == 0.9
    assert reports[0].source == "north"
    assert [item.message.event for item in kept.of(EventItem)] == ["confirmed"]
    assert kept.of(StateItem) == []


def test_tentative_tracks_and_tracks_that_were_never_confirmed_are_left_out(clock: SteppedClock) -> None:
    kept = Kept()
    sink = sink_for([kept], Wishes(rate_hz=10.0), clock)
    sink.write(tracked(0, state=TrackState.TENTATIVE, events=[event("ended", 4, False), event("ended", 5, True)]))
    assert kept.of(TrackItem) == []
    assert [item.message.track for item in kept.of(EventItem)] == [5]


def test_states_go_at_their_changes_and_at_intervals(clock: SteppedClock) -> None:
    kept, log = Kept(), StateLog()
    sink = sink_for([kept], Wishes(state_every_s=10.0), clock, log)
    sink.tick()
    for index in range(60):
        clock.sleep(1 / 30)
        sink.write(tracked(index, ids=(1,) if index >= 30 else ()))
    log.add(SourceState("lost", "rtsp://user:hunter2@camera/s: silent", 5, 5, reconnects=3))
    sink.tick()
    for _ in range(400):
        clock.sleep(0.05)
        sink.tick()
    sink.close("end")
    sink.close("end")
    found = [(item.state, item.tracks, item.is_news) for item in kept.of(StateItem)]
    assert found[:3] == [("live", 0, True), ("live", 1, True), ("lost", 1, True)]
    assert found[-1] == ("ended", 0, True)
    assert len(found) == 6
    assert kept.items[1].fps == 30.0
    assert "hunter2" not in kept.items[2].reason


def test_only_the_newest_of_a_track_waits_and_events_in_their_order(clock: SteppedClock) -> None:
    box = Outbox(OutboxLimits())
    for item in items(clock, 60, events=2).items:
        box.put(item, "track", clock.now_ns)
    assert len(box) == 3
    sent = []
    while (entry := box.first(clock.now_ns)) is not None:
        sent.append(entry.item)
        box.remove(entry)
    assert [type(item) for item in sent] == [EventItem, EventItem, TrackItem]
    assert sent[-1].report.seq == 59
    assert box.dropped == 0


def test_the_oldest_is_dropped_first_and_a_flood_of_tracks_drops_no_event(clock: SteppedClock) -> None:
    box = Outbox(OutboxLimits(events=3, updates=10))
    kept = items(clock, 50, events=5)
    for number, item in enumerate(kept.items):
        box.put(item, number, clock.now_ns)
    assert (len(box), box.dropped_full) == (13, 2 + 40)
    assert box.first(clock.now_ns).item.message.track == 2


def test_what_has_waited_for_too_long_is_dropped(clock: SteppedClock) -> None:
    box = Outbox(OutboxLimits(keep_s=60.0, fresh_s=5.0))
    for item in items(clock, 1, events=1).items:
        box.put(item, "track", clock.now_ns)
    clock.sleep(5.0)
    assert isinstance(box.first(clock.now_ns).item, EventItem)
    assert (len(box), box.dropped_old) == (1, 1)
    clock.sleep(55.0)
    assert box.first(clock.now_ns) is None
    assert box.dropped_old == 2


def test_an_item_that_was_replaced_while_it_was_sent_is_not_lost(clock: SteppedClock) -> None:
    box = Outbox(OutboxLimits())
    first, second = items(clock, 2).items
    box.put(first, "track", clock.now_ns)
    entry = box.first(clock.now_ns)
    box.put(second, "track", clock.now_ns)
    box.remove(entry)
    assert box.first(clock.now_ns).item is second
