"""Events: confirmed tracks as files, with clips that begin before them, and an index to find them by."""

from lpnet_rt.events.alarm import AlarmRule
from lpnet_rt.events.hub import EventHub, EventListener, EventNotice
from lpnet_rt.events.index import EventSummary
from lpnet_rt.events.record import ClipNote, EventRecord, Place, TrackRow
from lpnet_rt.events.store import EventFilter, EventPage, EventStore

__all__ = [
    "AlarmRule",
    "ClipNote",
    "EventFilter",
    "EventHub",
    "EventListener",
    "EventNotice",
    "EventPage",
    "EventRecord",
    "EventStore",
    "EventSummary",
    "Place",
    "TrackRow",
]
