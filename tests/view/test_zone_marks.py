from __future__ import annotations

import numpy as np
import pytest
from test_overlay import STRIP_PX, SteppedClock, report

from lpnet_rt.settings.zones import ZoneSettings
from lpnet_rt.view.overlay import Painter, Status, draw
from lpnet_rt.view.zone_marks import ZONE_BGR, ZoneMarks
from lpnet_rt.zones import Zones

SQUARE = ((100.0, 100.0), (200.0, 100.0), (200.0, 200.0), (100.0, 200.0))


def marks(*zones: ZoneSettings) -> ZoneMarks:
    return ZoneMarks(Zones(zones, "clip"))


@pytest.mark.parametrize("kind", ["ignore", "watch"])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_an_outline_in_the_colour_of_its_kind_through_which_the_scene_shows(kind: str, level: int) -> None:
    image = np.full((512, 640), level, np.uint8)
    zone = ZoneSettings(points=SQUARE, kind=kind)
    picture = draw(report(image), Status(), zones=marks(zone))[:-STRIP_PX]
    expected = [round(0.6 * channel + 0.4 * level) for channel in ZONE_BGR[kind]]
    assert picture[150, 100].tolist() == pytest.approx(expected, abs=1)
    assert picture[150, 102].tolist() == [level] * 3, "thin"
    assert (picture[101:200, 101:200] == level).all(), "nothing inside"
    assert (picture[85:97, 100:150] != level).any(), "its name is above"


def test_targets_are_not_drawn_over() -> None:
    image = np.full((512, 640), 60, np.uint8)
    image[148:153, 98:103] = 220
    picture = draw(report(image, [(98, 148, 103, 153)]), Status(), zones=marks(ZoneSettings(points=SQUARE)))
    assert (picture[148:153, 98:103] == 220).all()


def test_a_zone_in_shares_around_the_whole_frame_is_drawn_along_its_edge_at_every_size() -> None:
    whole = marks(ZoneSettings(points=((0, 0), (1, 0), (1, 1), (0, 1)), unit="share", kind="watch", name="all of it"))
    painter = Painter("clip", SteppedClock(), zones=whole)
    for size_hw in ((256, 320), (512, 640), (100, 120)):
        for picture in (
            painter.paint(report(np.zeros(size_hw, np.uint8))),
            painter.paint_paused(report(np.zeros(size_hw, np.uint8))),
        ):
            scene = picture[:-STRIP_PX]
            for edge in (scene[0], scene[-1], scene[:, 0], scene[:, -1]):
                assert (edge.astype(int).max(axis=1) > 100).all()


def test_without_zones_nothing_changes() -> None:
    given = report(np.full((64, 64), 9, np.uint8))
    assert (draw(given, Status(), zones=marks()) == draw(given, Status())).all()


def test_a_zone_that_lies_outside_of_the_frame_and_a_name_without_glyphs_do_no_harm() -> None:
    far = ZoneSettings(points=((-900, -900), (-800, -900), (-800, -800)), name="Schornstein \u2603" * 5)
    assert draw(report(np.zeros((48, 48), np.uint8)), Status(), zones=marks(far)).shape[2] == 3
