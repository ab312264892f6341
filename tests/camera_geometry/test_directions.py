from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lpnet_rt.camera_geometry import (
    CameraGeometry,
    Directions,
    Orientation,
    Points,
    azimuth_elevation,
    unit_vectors,
    wrapped,
)
from lpnet_rt.camera_geometry.directions import UNKNOWN_AZIMUTH_DEG
from lpnet_rt.settings.camera import CameraSettings

SIZE_HW = (512, 640)
CENTRE = (319.5, 255.5)
EXACT = {
    "azimuth_error_deg": 0.0,
    "elevation_error_deg": 0.0,
    "roll_error_deg": 0.0,
    "field_of_view_error_deg": 0.0,
    "principal_point_error_px": 0.0,
}


def camera(azimuth: float = 0.0, elevation: float = 0.0, roll: float = 0.0, **values: object) -> CameraSettings:
    of_all = {"azimuth_deg": azimuth, "elevation_deg": elevation, "roll_deg": roll, "field_of_view_deg": 40.0}
    return CameraSettings(**{**of_all, **EXACT, **values})


def found(
    stated: CameraSettings, *xy: tuple[float, float], variance: float = 0.0, velocity: object = 0.0
) -> Directions:
    pixels = np.array(xy, np.float64)
    velocities = np.zeros_like(pixels) + velocity
    count = len(pixels)
    return CameraGeometry(stated, SIZE_HW).directions(
        Points(pixels, np.full(count, variance), velocities, np.full(count, 0.25))
    )


@pytest.mark.parametrize(
    ("stated", "xy", "azimuth", "elevation"),
    [
        (camera(90, 10), CENTRE, 90, 10),
        (camera(), (639.5, 255.5), 20, 0),  # to the right is clockwise
        (camera(), (319.5, -0.5), 0, math.degrees(math.atan(256 / 320 * math.tan(math.radians(20))))),  # up is up
        (camera(roll=90), (319.5, 255.5 - 320), 20, 0),  # camera turned clockwise: its top points to the right
        (camera(roll=-90), (319.5, 255.5 - 320), 340, 0),
        (camera(350), (639.5, 255.5), 10, 0),  # over north
        (camera(10), (-0.5, 255.5), 350, 0),
        (camera(0, 90), (639.5, 255.5), 90, 70),  # at the zenith, with the picture's top to the south
        (camera(0, 90), (319.5, 255.5 + 320), 0, 70),
    ],
)
def test_conventions(stated: CameraSettings, xy: tuple[float, float], azimuth: float, elevation: float) -> None:
    directions = found(stated, xy)
    assert (directions.azimuth_deg[0] - azimuth + 180) % 360 - 180 == pytest.approx(0, abs=1e-9)
    assert directions.elevation_deg[0] == pytest.approx(elevation, abs=1e-9)


@settings(max_examples=80, deadline=None)
@given(st.floats(0, 359.99), st.floats(-89, 89), st.floats(-180, 180))
def test_an_orientation_is_its_matrix(azimuth: float, elevation: float, roll: float) -> None:
    matrix = Orientation(azimuth, elevation, roll).matrix()
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(3), atol=1e-12)
    assert np.linalg.det(matrix) == pytest.approx(1)
    np.testing.assert_allclose(Orientation.of_matrix(matrix).matrix(), matrix, atol=1e-12)


def test_at_the_zenith_an_orientation_has_no_roll() -> None:
    matrix = Orientation(30, 90, 20).matrix()
    read_back = Orientation.of_matrix(matrix)
    assert (read_back.elevation_deg, read_back.roll_deg) == (pytest.approx(90), 0.0)
    np.testing.assert_allclose(read_back.matrix(), matrix, atol=1e-9)


def test_azimuths_stay_under_360() -> None:
    assert [wrapped(a) for a in (360.0, -1e-20, 725.0, -10.0)] == [0.0, 0.0, 5.0, 350.0]
    azimuth, elevation = azimuth_elevation(np.array(((-1e-20, 1.0, 0.0), (0.0, 0.0, 2.0))))
    assert azimuth[0] == 0.0
    assert elevation[1] == 90.0


def test_directions_and_pixels_are_inverse() -> None:
    stated = camera(200, 35, 12, k1=-0.2)
    geometry = CameraGeometry(stated, SIZE_HW)
    xy = np.array(((3, 5), (600, 20), (300, 500)), np.float64)
    directions = found(stated, *xy.tolist())
    pixels = geometry.pixels(unit_vectors(directions.azimuth_deg, directions.elevation_deg))
    np.testing.assert_allclose(pixels, xy, atol=1e-5)


@pytest.mark.parametrize(
    ("key", "parameter", "step"),
    [
        ("azimuth_error_deg", "azimuth_deg", 0.01),
        ("elevation_error_deg", "elevation_deg", 0.01),
        ("roll_error_deg", "roll_deg", 0.01),
        ("field_of_view_error_deg", "field_of_view_deg", 0.01),
        ("k1_error", "k1", 0.0001),
    ],
)
@pytest.mark.parametrize("elevation", [5.0, 75.0])
def test_an_error_is_what_a_change_of_that_size_does(key: str, parameter: str, step: float, elevation: float) -> None:
    stated = camera(120, elevation, 25, k1=-0.15)
    moved = msgspec.structs.replace(stated, **{parameter: getattr(stated, parameter) + step})
    at = ((40.0, 480.0), (500.0, 60.0))
    one, other = found(stated, *at), found(moved, *at)
    errors = found(msgspec.structs.replace(stated, **{key: step}), *at)
    change = abs((other.azimuth_deg - one.azimuth_deg + 180) % 360 - 180)
    np.testing.assert_allclose(errors.azimuth_error_deg, change, rtol=0.01, atol=1e-7)
    np.testing.assert_allclose(
        errors.elevation_error_deg, abs(other.elevation_deg - one.elevation_deg), rtol=0.01, atol=1e-7
    )


def test_errors_of_the_centroid_and_of_the_principal_point_add_up() -> None:
    # Half a pixel of 40 degrees / 640, in the middle of the picture.
    per_px = math.degrees(2 * math.tan(math.radians(20)) / 640)
    of_centroid = found(camera(), CENTRE, variance=0.25)
    assert of_centroid.azimuth_error_deg[0] == pytest.approx(0.5 * per_px)
    both = found(camera(principal_point_error_px=0.5), CENTRE, variance=0.25)
    assert both.elevation_error_deg[0] == pytest.approx(math.sqrt(0.5) * per_px)


def test_the_azimuth_grows_uncertain_towards_the_zenith_and_ends_as_unknown() -> None:
    errors = {e: found(camera(0, e), CENTRE, variance=1.0).azimuth_error_deg[0] for e in (0.0, 60.0, 89.0, 90.0)}
    assert errors[60.0] == pytest.approx(2 * errors[0.0])
    assert errors[89.0] == pytest.approx(errors[0.0] / math.cos(math.radians(89)))
    assert errors[90.0] == UNKNOWN_AZIMUTH_DEG
    assert found(camera(0, 90), CENTRE, variance=1.0).elevation_error_deg[0] == pytest.approx(errors[0.0], rel=1e-6)


def test_rates_follow_the_velocity() -> None:
    per_px = math.degrees(2 * math.tan(math.radians(20)) / 640)
    directions = found(camera(0, 60), CENTRE, velocity=(10.0, -20.0))
    assert directions.azimuth_rate_deg_s[0] == pytest.approx(10 * per_px / math.cos(math.radians(60)))
    assert directions.elevation_rate_deg_s[0] == pytest.approx(20 * per_px)
    assert directions.angular_speed_deg_s[0] == pytest.approx(math.hypot(10, 20) * per_px)
    assert directions.elevation_rate_error_deg_s[0] == pytest.approx(0.5 * per_px)


def test_rates_are_those_of_a_target_that_moves() -> None:
    stated = camera(10, 50, -15, k1=-0.1)
    first, later = found(stated, (500, 100), velocity=(30.0, 12.0)), found(stated, (500 + 30e-4, 100 + 12e-4))
    assert first.azimuth_rate_deg_s[0] == pytest.approx((later.azimuth_deg - first.azimuth_deg)[0] * 1e4, rel=1e-3)
    assert first.elevation_rate_deg_s[0] == pytest.approx(
        (later.elevation_deg - first.elevation_deg)[0] * 1e4, rel=1e-3
    )


def test_an_uncertain_field_of_view_makes_rates_uncertain() -> None:
    directions = found(camera(field_of_view_error_deg=4.0), CENTRE, velocity=(100.0, 0.0))
    share = math.radians(4.0) / math.sin(math.radians(40.0))
    assert directions.azimuth_rate_error_deg_s[0] == pytest.approx(directions.azimuth_rate_deg_s[0] * share, rel=0.01)


def test_a_covariance_replaces_the_errors() -> None:
    errors = {
        "azimuth_error_deg": 0.4,
        "elevation_error_deg": 0.2,
        "roll_error_deg": 1.0,
        "field_of_view_error_deg": 0.5,
    }
    variances = np.diag((0.4**2, 0.2**2, 1.0**2, 0.5**2, 0.0))
    covariance = tuple(tuple(row) for row in variances.tolist())
    at = ((40.0, 480.0), (500.0, 60.0))
    separate = found(camera(30, 20, 5, **errors), *at)
    together = found(camera(30, 20, 5, azimuth_error_deg=9.0, calibration_covariance=covariance), *at)
    np.testing.assert_allclose(together.azimuth_error_deg, separate.azimuth_error_deg)
    np.testing.assert_allclose(together.elevation_error_deg, separate.elevation_error_deg)


def test_correlated_errors_cancel() -> None:
    # Azimuth and roll of a camera that looks up turn the same picture: only their difference is known.
    rows = np.zeros((5, 5))
    rows[0, 0] = rows[2, 2] = 100.0
    rows[0, 2] = rows[2, 0] = 100.0
    up = camera(0, 90, calibration_covariance=tuple(map(tuple, rows.tolist())))
    assert found(up, (600, 255.5)).azimuth_error_deg[0] == pytest.approx(0.0, abs=1e-6)


def test_what_the_lens_does_not_see_has_no_direction() -> None:
    stated = camera(field_of_view_deg=100.0, k1=-0.9)
    assert not CameraGeometry(stated, SIZE_HW).is_whole
    directions = found(stated, (0, 0), CENTRE)
    assert np.isnan(directions.azimuth_deg[0])
    assert directions.azimuth_deg[1] == 0.0
    assert CameraGeometry(camera(k1=-0.1), SIZE_HW).is_whole
