"""Which events are alarms."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from lpnet_rt.errors import SettingsError
from lpnet_rt.events.alarm import AlarmRule, Moment, Motion
from lpnet_rt.settings import AlarmSettings, load_settings

NOON_US = 1_700_049_600_000_000  # 2023-11-15 12:00 UTC


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is an hour ahead."""
    monkeypatch.setenv("TZ", "CET-1")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def moment(t_s: float, connection: tuple[int, int] = (0, 0), t_us: int = NOON_US) -> Moment:
    return Moment(t_us, t_s, connection)


def test_only_what_has_moved_far_enough() -> None:
    rule = AlarmRule(AlarmSettings(min_motion_px=5.0))
    assert rule.decide(Motion(4.9), moment(0.0)) == "it moved 4.9 px, less than 5 px"
    assert rule.decide(Motion(5.0), moment(0.1)) is None


@pytest.mark.parametrize(
    ("hour", "minute", "hours", "is_quiet"),
    [
        (21, 59, "22:00-06:00", False),
        (22, 0, "22:00-06:00", True),
        (3, 0, "22:00-06:00", True),
        (5, 59, "22:00-06:00", True),
        (6, 0, "22:00-06:00", False),
        (12, 30, "12:00-13:00", True),
        (13, 0, "12:00-13:00", False),
    ],
)
def test_quiet_hours_are_local(berlin: None, hour: int, minute: int, hours: str, is_quiet: bool) -> None:
    rule = AlarmRule(AlarmSettings(quiet_hours=(hours,)))
    t_us = NOON_US + ((hour - 13) * 60 + minute) * 60_000_000  # noon UTC is 13:00 there
    assert rule.decide(Motion(0.0), moment(0.0, t_us=t_us)) == ("it came in quiet hours" if is_quiet else None)


def test_at_most_one_alarm_in_so_many_seconds() -> None:
    rule = AlarmRule(AlarmSettings(min_interval_s=30.0))
    why = "another alarm came less than 30 s before"
    assert rule.decide(Motion(0.0), moment(10.0)) is None
    assert rule.decide(Motion(0.0), moment(39.9)) == why
    assert rule.decide(Motion(0.0), moment(40.0)) is None  # a file may be read faster than it was recorded
    assert rule.decide(Motion(0.0), moment(500.0, (0, 1))) == why  # the times of two connections say nothing
    assert rule.decide(Motion(0.0), moment(1.0, (0, 1), NOON_US + 30_000_000)) is None


@pytest.mark.parametrize("hours", ["22-6", "24:00-06:00", "22:00-06:60", "22:00 - 06:00", "22:00-06:00\n"])
def test_other_hours_are_refused(hours: str) -> None:
    with pytest.raises(SettingsError, match="two times of day, such as 22:00-06:00"):
        load_settings(None, {"alarm.quiet_hours": [hours]})


def test_events_need_tracks() -> None:
    with pytest.raises(SettingsError, match="an event is a confirmed track"):
        load_settings(None, {"events.folder": "events", "track.enabled": False})
