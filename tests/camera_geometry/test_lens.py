from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lpnet_rt.camera_geometry import Lens
from lpnet_rt.settings.camera import CameraSettings

SIZE_HW = (512, 640)
CORNERS = np.array(((0, 0), (639, 0), (0, 511), (639, 511), (319.5, 255.5)), np.float64)


def camera(**values: object) -> CameraSettings:
    return CameraSettings(azimuth_deg=0, elevation_deg=0, **values)


def test_the_edges_of_the_picture_are_half_the_field_of_view_away() -> None:
    lens = Lens.of(camera(field_of_view_deg=40.0, vertical_field_of_view_deg=30.0), SIZE_HW)
    rays, _, _ = lens.rays(np.array(((-0.5, 255.5), (639.5, 255.5), (319.5, -0.5), (319.5, 255.5))))
    tan_x, tan_y = math.tan(math.radians(20)), math.tan(math.radians(15))
    np.testing.assert_allclose(rays, ((-tan_x, 0), (tan_x, 0), (0, -tan_y), (0, 0)), atol=1e-12)
    assert lens.field_of_view_deg == pytest.approx(40.0)


def test_the_three_ways_to_state_a_lens_agree() -> None:
    # A 14 mm lens before 640 pixels of 12 um.
    by_lens = Lens.of(camera(focal_length_mm=14.0, pixel_pitch_um=12.0), SIZE_HW)
    focal = 14_000 / 12
    by_field = Lens.of(camera(field_of_view_deg=math.degrees(2 * math.atan(320 / focal))), SIZE_HW)
    by_opencv = Lens.of(camera(fx=focal, fy=focal, cx=319.5, cy=255.5, width=640, height=512), SIZE_HW)
    for lens in (by_field, by_opencv):
        np.testing.assert_allclose(lens.matrix, by_lens.matrix, rtol=1e-12)


def test_binned_pictures_have_the_same_field_of_view() -> None:
    whole = Lens.of(camera(focal_length_mm=14.0, pixel_pitch_um=12.0), SIZE_HW)
    binned = Lens.of(camera(focal_length_mm=14.0, pixel_pitch_um=12.0, binning=2), (256, 320))
    assert binned.field_of_view_deg == pytest.approx(whole.field_of_view_deg)


def test_intrinsics_are_scaled_to_the_frame() -> None:
    stated = camera(fx=900.0, fy=910.0, cx=500.0, cy=400.0, width=1280, height=1024, k1=-0.1)
    half, whole = Lens.of(stated, SIZE_HW), Lens.of(stated, (1024, 1280))
    # A pixel of the half-size picture covers two by two of the whole: its centre lies between theirs.
    np.testing.assert_allclose(half.rays(CORNERS)[0], whole.rays(2 * CORNERS + 0.5)[0], atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    st.floats(2, 110),
    st.floats(-0.15, 0.15),
    st.floats(-0.02, 0.02),
    st.floats(-0.002, 0.002),
    st.floats(-0.002, 0.002),
)
def test_pixels_to_directions_and_back_is_the_identity(
    field: float, k1: float, k2: float, p1: float, p2: float
) -> None:
    corner = math.hypot(*SIZE_HW) / SIZE_HW[1] * math.tan(math.radians(field) / 2)
    distortion = {"k1": k1 / corner**2, "k2": k2 / corner**4, "p1": p1 / corner, "p2": p2 / corner}
    lens = Lens.of(camera(field_of_view_deg=field, **distortion), SIZE_HW)
    rays, by_pixel, _ = lens.rays(CORNERS)
    if k1 < -0.12:  # from about -0.148 on, the model cannot reach the corners
        assume(np.isfinite(rays).all())
    np.testing.assert_allclose(lens.pixels(np.column_stack((rays, np.ones(5)))), CORNERS, atol=1e-5)
    step = np.array((0.01, 0.0))
    moved = (lens.rays(CORNERS + step)[0] - lens.rays(CORNERS - step)[0]) / 0.02
    np.testing.assert_allclose(by_pixel[:, :, 0], moved, rtol=1e-3, atol=1e-3 * abs(moved).max())


def test_k1_moves_pixels_as_its_derivative_says() -> None:
    lens, more = (Lens.of(camera(field_of_view_deg=60.0, k1=k1), SIZE_HW) for k1 in (-0.1, -0.1 + 1e-6))
    rays, _, by_k1 = lens.rays(CORNERS)
    moved = (more.pixels(np.column_stack((rays, np.ones(5)))) - CORNERS) / 1e-6
    np.testing.assert_allclose(by_k1, moved, rtol=1e-3, atol=0.05)


def test_without_distortion_the_derivative_by_k1_is_the_same() -> None:
    none, tiny = (Lens.of(camera(field_of_view_deg=60.0, k1=k1), SIZE_HW).rays(CORNERS)[2] for k1 in (0.0, 1e-9))
    np.testing.assert_allclose(none, tiny, rtol=1e-5, atol=1e-5)


def test_a_pixel_that_the_model_of_distortion_cannot_reach_has_no_direction() -> None:
    # x (1 - 0.9 x^2) is at most 0.41 at x = 0.61: pixels further out are seen from nowhere.
    lens = Lens.of(camera(field_of_view_deg=100.0, k1=-0.9), SIZE_HW)
    rays = lens.rays(CORNERS)[0]
    assert np.isnan(rays[:4]).all()
    np.testing.assert_allclose(rays[4], 0.0, atol=1e-12)


def test_what_is_behind_the_camera_has_no_pixel() -> None:
    lens = Lens.of(camera(field_of_view_deg=60.0), SIZE_HW)
    pixels = lens.pixels(np.array(((0.0, 0.0, -1.0), (0.0, 0.0, 1.0), (1.0, 0.0, 0.0))))
    assert np.isnan(pixels[[0, 2]]).all()
    np.testing.assert_allclose(pixels[1], (319.5, 255.5))
    assert lens.pixels(np.zeros((0, 3))).shape == (0, 2)


def test_a_pixel_without_a_direction_takes_none_from_others() -> None:
    lens = Lens.of(camera(field_of_view_deg=100.0, k1=-0.9), SIZE_HW)
    inner = np.array(((300.0, 200.0), (360.0, 300.0)))
    among = lens.rays(np.vstack((CORNERS[:1], (np.nan, 3.0), inner, (1e9, -1e9))))[0]
    np.testing.assert_allclose(among[2:4], lens.rays(inner)[0], atol=1e-9)
    assert np.isnan(among[[0, 1, 4]]).all()
