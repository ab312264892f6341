from __future__ import annotations

import dataclasses

import numpy as np
from test_track_stage import SIZE_HW, make, report

from lpnet_rt.pipeline.zone_stage import ZoneStage
from lpnet_rt.settings.zones import ZoneSettings
from lpnet_rt.zones import Zones

BELOW = ((0.0, 60.0), (127.0, 60.0), (127.0, 95.0), (0.0, 95.0))  # the weak target of every report lies there
ABOVE = ((0.0, 0.0), (127.0, 0.0), (127.0, 59.0), (0.0, 59.0))


def stage(points: tuple[tuple[float, float], ...], kind: str = "ignore") -> ZoneStage:
    return ZoneStage(Zones([ZoneSettings(points=points, kind=kind)], "clip"))


def test_what_is_ignored_is_gone_weak_or_not_and_the_rest_is_as_it_was() -> None:
    given = report(3)
    left = stage(BELOW).drop(given)
    assert (len(left.detections), len(left.weak)) == (1, 0)
    assert left.detections.box_xyxy.tolist() == given.detections.box_xyxy.tolist()
    left = stage(ABOVE).drop(given)
    assert (len(left.detections), len(left.weak)) == (0, 1)
    assert stage(ABOVE, "watch").drop(given).weak.box_xyxy.tolist() == []


def test_a_report_of_which_nothing_is_dropped_is_the_same_report() -> None:
    given = report(3)
    assert stage(((0, 0), (3, 0), (0, 3))).drop(given) is given


def test_what_is_ignored_begins_and_extends_no_track() -> None:
    track, zones = make(), stage(ABOVE)
    updates = [track.track(zones.drop(report(index))).tracks for index in range(40)]
    assert [event.kind for update in updates if update for event in update.events] == []

    track, half = make(), stage(((50, 0), (127, 0), (127, 95), (50, 95)))
    updates = [track.track(half.drop(report(index))).tracks for index in range(90)]
    kinds = [event.kind for update in updates if update for event in update.events]
    assert kinds == ["started", "confirmed", "ended"], "the target went on inside the zone"


def test_frames_of_another_size_get_a_mask_of_their_own() -> None:
    zones = ZoneStage(Zones([ZoneSettings(points=((0, 0), (1, 0), (1, 1), (0, 1)), unit="share")], "clip"))
    first = report(1)
    larger = np.zeros((SIZE_HW[0] * 2, SIZE_HW[1] * 2), np.uint8)
    second = dataclasses.replace(first, frame=dataclasses.replace(first.frame, image=larger, epoch=1))
    assert [len(zones.drop(each).detections) for each in (first, second)] == [0, 0]
