"""A target seen in a direction: what Cursor on Target and SAPIENT report."""

from __future__ import annotations

from dataclasses import dataclass

from lpnet_rt.messages import DirectionMessage
from lpnet_rt.outputs.items import EventItem, Item, TrackItem

__all__ = ["Sighting", "sighting_of"]


@dataclass(frozen=True, slots=True)
class Sighting:
    """A target seen in a direction.

    Attributes:
        session: Session of the source; track numbers start again in the next.
        source: Name of the source.
        track: Number of the track.
        t_us: When, Unix time, microseconds.
        probability: That it is a target, 0..1.
        direction: Azimuth, elevation and their errors.
        is_last: Whether the track has ended: the event is out of date at once.
    """

    session: str
    source: str
    track: int
    t_us: int
    probability: float
    direction: DirectionMessage
    is_last: bool = False


def sighting_of(item: Item) -> Sighting | None:
    """The target that a track, or the end of one, is about; None for any other item."""
    if isinstance(item, TrackItem):
        report = item.report
        return Sighting(report.session, report.source, report.id, report.t_capture_us, report.probability, report)
    if isinstance(item, EventItem) and item.message.event == "ended":
        message = item.message
        return Sighting(
            message.session,
            message.source,
            message.track,
            message.t_capture_us,
            message.probability,
            message.last,
            True,
        )
    return None
