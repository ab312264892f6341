from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from test_overlay import report

from lpnet_rt.errors import SinkError
from lpnet_rt.settings.zones import ZoneSettings
from lpnet_rt.view.zone_editor import ZoneCanvas, ZoneDraft, edit_zones
from lpnet_rt.view.zone_marks import ZONE_BGR

FRAME = np.full((100, 160), 60, np.uint8)


def test_a_polygon_is_closed_from_three_corners_on_and_gets_a_name_of_its_own() -> None:
    draft = ZoneDraft("mast", ["ignore-1"])
    for corner in ((1, 2), (30, 2.04)):
        draft.add(*corner)
    assert not draft.close()
    draft.add(30, 40)
    assert draft.close()
    draft.kind = "watch"
    for corner in ((0, 0), (5, 0), (5, 5)):
        draft.add(*corner)
    assert draft.close()
    assert draft.zones == [
        ZoneSettings(points=((1, 2), (30, 2.0), (30, 40)), kind="ignore", name="ignore-2", source="mast"),
        ZoneSettings(points=((0, 0), (5, 0), (5, 5)), kind="watch", name="watch-1", source="mast"),
    ]
    assert draft.points == []


def test_corners_on_one_line_make_no_zone() -> None:
    draft = ZoneDraft("mast")
    for number in range(4):
        draft.add(number, number)
    assert not draft.close()
    assert len(draft.points) == 4


def test_undo_takes_corners_back_and_then_opens_the_last_zone_again() -> None:
    draft = ZoneDraft("mast")
    draft.undo()
    for corner in ((0, 0), (5, 0), (5, 5)):
        draft.add(*corner)
    draft.close()
    draft.kind = "watch"
    draft.undo()
    assert (draft.zones, draft.kind, draft.points) == ([], "ignore", [(0, 0), (5, 0), (5, 5)])
    draft.undo()
    assert draft.points == [(0, 0), (5, 0)]


@pytest.mark.parametrize("most_hw", [(900, 1400), (100, 120)])
def test_a_click_is_at_the_pixel_that_it_shows(most_hw: tuple[int, int]) -> None:
    canvas = ZoneCanvas(report(FRAME), ZoneDraft("clip"), (), most_hw)
    scale = canvas.size_hw[1] / 160
    assert canvas.place(0, 0) == pytest.approx((max(0.5 / scale - 0.5, 0),) * 2)
    assert canvas.place(round(80.5 * scale - 0.5), round(50.5 * scale - 0.5)) == pytest.approx(
        (80, 50), abs=0.5 / scale
    )
    assert canvas.place(10_000, 10_000) == (159, 99)


def test_the_picture_shows_what_is_drawn_and_what_there_is() -> None:
    draft = ZoneDraft("clip")
    canvas = ZoneCanvas(report(FRAME), draft, [ZoneSettings(points=((10, 60), (40, 60), (40, 90)))], (900, 1400))
    before = canvas.paint()
    for corner in ((100, 10), (140, 10)):
        draft.add(*corner)
    changed = (canvas.paint() != before).any(axis=2)
    rows, columns = np.nonzero(changed)
    scale = canvas.size_hw[1] / 160
    assert rows.min() == pytest.approx(10.5 * scale, abs=4)
    assert (columns.min(), columns.max()) == pytest.approx((100.5 * scale, 140.5 * scale), abs=4)
    assert before.shape[:2] == canvas.size_hw
    red = np.abs(before.astype(int) - ZONE_BGR["ignore"]).sum(axis=2) < 120
    assert red[round(60.5 * scale), round(25 * scale)]


def test_a_zone_is_drawn_with_the_mouse_and_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")  # a real SDL without a screen
    monkeypatch.setenv("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    import pygame

    draft, saved = ZoneDraft("clip"), list[Sequence[ZoneSettings]]()

    pygame.display.init()  # so that what the person does is there before the window is
    for pos in ((20, 20), (400, 20), (400, 200), (0, 0)):
        pygame.event.post(pygame.event.Event(pygame.MOUSEBUTTONDOWN, button=1, pos=pos))
    for key in (pygame.K_u, pygame.K_w, pygame.K_RETURN, pygame.K_s, pygame.K_q):
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=key))
    edit_zones(report(FRAME), draft, (), lambda zones: saved.append(list(zones)))
    ((zone,),) = saved
    assert zone.kind == "watch"
    assert zone.points == pytest.approx(np.array(((4.6, 4.6), (99.6, 4.6), (99.6, 49.6))))
    assert draft.zones == [zone]


def test_without_a_display_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SinkError, match="expected a display, found none; write a picture with --out"):
        edit_zones(report(FRAME), ZoneDraft("clip"), (), lambda zones: None)
