"""Settings of events: what is kept of confirmed tracks, and which of them are alarms."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Struct

from lpnet_rt.settings.values import Duration, Size

__all__ = ["AlarmSettings", "EventSettings"]

_CLOCK_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]"
QuietHours = Annotated[
    str,
    msgspec.Meta(pattern=rf"^{_CLOCK_TIME}-{_CLOCK_TIME}\Z", description="two times of day, such as 22:00-06:00"),
]
_Margin = Annotated[float, msgspec.Meta(ge=0, le=60)]


class EventSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Events: every confirmed track as files in a folder, with a clip that begins before it.

    Attributes:
        folder: Folder for the events and their index; None keeps none.
        clips: Whether to keep clips.
        before_s: A clip begins so many seconds before the first detection, at the key frame before that.
        after_s: A clip ends so many seconds after the last detection.
        max_clip_s: An event that goes on for longer, in seconds, is closed; its track goes on as another event.
        buffer_mb: Limit on the memory for the time before an event, megabytes for each source.
        keep_age: Delete events that ended longer ago, such as ``30d``.
        keep_size: Delete the oldest events when their files exceed this, such as ``20GB``.
    """

    folder: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    clips: bool = True
    before_s: _Margin = 5.0
    after_s: _Margin = 5.0
    max_clip_s: Annotated[float, msgspec.Meta(ge=1, le=600)] = 120.0
    buffer_mb: Annotated[int, msgspec.Meta(ge=1, le=16_384)] = 128
    keep_age: Duration | None = None
    keep_size: Size | None = None


class AlarmSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which events are alarms.

    Attributes:
        min_motion_px: Only targets that have moved at least so far from their first place, against the background,
            in pixels.
        quiet_hours: No alarms at these times of day, local time, such as ``["22:00-06:00"]``.
        min_interval_s: At most one alarm of each source in so many seconds.
    """

    min_motion_px: Annotated[float, msgspec.Meta(ge=0, le=100_000)] = 0.0
    quiet_hours: tuple[QuietHours, ...] = ()
    min_interval_s: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = 0.0
