from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpnet_rt.detections import Detections
from lpnet_rt.settings.zones import ZoneSettings
from lpnet_rt.zones import Zones, filled

SIZE_HW = (96, 128)
LEFT = ((0.0, 0.0), (40.0, 0.0), (40.0, 95.0), (0.0, 95.0))
TOP = ((0.0, 0.0), (127.0, 0.0), (127.0, 20.0), (0.0, 20.0))


def at(*places_xy: tuple[float, float]) -> Detections:
    n = len(places_xy)
    return Detections(
        centroid_xy=np.array(places_xy, np.float32).reshape(n, 2),
        box_xyxy=np.zeros((n, 4), np.int32),
        score=np.ones(n, np.float32),
        area_px=np.ones(n, np.int32),
        peak=np.ones(n, np.int32),
        snr=np.ones(n, np.float32),
    )


def counted(zones: list[ZoneSettings], *places_xy: tuple[float, float]) -> list[bool]:
    return Zones(zones, "mast").select(at(*places_xy), SIZE_HW).tolist()


def test_without_zones_everything_counts() -> None:
    assert not Zones([], "mast")
    assert counted([], (0, 0), (127, 95)) == [True, True]
    assert counted([]) == []


def test_what_lies_in_an_ignore_zone_is_dropped_its_outline_included() -> None:
    assert counted([ZoneSettings(points=LEFT)], (0, 0), (40.4, 50), (41, 50), (127, 95)) == [False, False, True, True]


def test_only_what_lies_in_a_watch_zone_counts_and_an_ignore_zone_in_it_is_stronger() -> None:
    zones = [ZoneSettings(points=TOP, kind="watch"), ZoneSettings(points=LEFT)]
    assert counted(zones, (60, 10), (60, 30), (20, 10), (20, 30)) == [True, False, False, False]
    both = [ZoneSettings(points=TOP, kind="watch"), ZoneSettings(points=LEFT, kind="watch")]
    assert counted(both, (60, 10), (60, 30), (20, 30)) == [True, False, True]


def test_zones_of_other_sources_have_no_effect() -> None:
    zones = [ZoneSettings(points=LEFT, source="other"), ZoneSettings(points=TOP, source="mast")]
    assert Zones(zones, "mast").zones == (zones[1],)
    assert counted(zones, (20, 50), (20, 10)) == [True, False]


def test_a_centroid_at_the_very_edge_and_a_polygon_beyond_it() -> None:
    around = ((-50.0, -50.0), (900.0, -50.0), (900.0, 900.0), (-50.0, 900.0))
    assert counted([ZoneSettings(points=around, kind="watch")], (-0.4, -0.4), (127.5, 95.5)) == [True, True]
    assert counted([ZoneSettings(points=around)], (0, 0), (127, 95)) == [False, False]


def test_the_mask_follows_the_size_of_the_frame() -> None:
    half = ZoneSettings(points=((0, 0), (0.5, 0), (0.5, 1), (0, 1)), unit="share")
    zones = Zones([half], "mast")
    assert [zones.counting(size_hw).mean() for size_hw in ((100, 200), (50, 80))] == pytest.approx([0.5, 0.5], abs=0.02)
    assert zones.counting((50, 80)) is zones.counting((50, 80)), "it is not drawn again for every frame"


@given(
    corners=st.lists(st.tuples(st.floats(-0.5, 127.5), st.floats(-0.5, 95.5)), min_size=3, max_size=8),
    places=st.lists(st.tuples(st.floats(-0.5, 127.4), st.floats(-0.5, 95.4)), min_size=1, max_size=40),
    kind=st.sampled_from(("ignore", "watch")),
)
def test_a_zone_in_pixels_and_the_same_in_shares_select_the_same(
    corners: list[tuple[float, float]], places: list[tuple[float, float]], kind: str
) -> None:
    height, width = SIZE_HW
    px = ZoneSettings(points=tuple(corners), kind=kind)
    shares = ZoneSettings(
        points=tuple(((x + 0.5) / width, (y + 0.5) / height) for x, y in corners), kind=kind, unit="share"
    )
    assert (filled(px, SIZE_HW) == filled(shares, SIZE_HW)).all()
    assert counted([px], *places) == counted([shares], *places)


@given(corners=st.lists(st.tuples(st.integers(0, 127), st.integers(0, 95)), min_size=3, max_size=8))
def test_ignoring_and_watching_the_same_polygon_share_the_frame_between_them(corners: list[tuple[int, int]]) -> None:
    ignored, watched = (Zones([ZoneSettings(points=tuple(corners), kind=kind)], "a") for kind in ("ignore", "watch"))
    assert (ignored.counting(SIZE_HW) ^ watched.counting(SIZE_HW)).all()
