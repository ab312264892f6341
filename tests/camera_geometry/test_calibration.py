from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from lpnet_rt.camera_geometry import CameraGeometry, Points, unit_vectors
from lpnet_rt.camera_geometry.calibration import Calibration, calibrate
from lpnet_rt.camera_geometry.landmarks import Landmark
from lpnet_rt.errors import SettingsError
from lpnet_rt.settings import load_settings
from lpnet_rt.settings.camera import CameraSettings, camera_table

SIZE_HW = (512, 640)
PLACES = np.array(((60, 70), (600, 420), (90, 460), (580, 50), (320, 250), (200, 330), (450, 300)), np.float64)
TRUE = CameraSettings(azimuth_deg=359.5, elevation_deg=12.0, roll_deg=-4.0, field_of_view_deg=42.0)
BENT = CameraSettings(azimuth_deg=359.5, elevation_deg=12.0, roll_deg=-4.0, field_of_view_deg=42.0, k1=-0.2)


def landmarks(count: int, camera: CameraSettings = TRUE, noise_px: float = 0.0) -> list[Landmark]:
    xy = PLACES[:count]
    none = np.zeros(count)
    seen = CameraGeometry(camera, SIZE_HW).directions(Points(xy, none, np.zeros_like(xy), none))
    marked = xy + np.random.default_rng(4).normal(0, noise_px, xy.shape)
    return [
        Landmark(f"mark {number}", (float(x), float(y)), float(azimuth), float(elevation))
        for number, ((x, y), azimuth, elevation) in enumerate(
            zip(marked, seen.azimuth_deg, seen.elevation_deg, strict=True)
        )
    ]


def error_px(found: Calibration, camera: CameraSettings) -> float:
    """Largest distance in the picture between a pixel and where the found camera sees its direction."""
    xy = np.stack(np.meshgrid(np.linspace(0, 639, 9), np.linspace(0, 511, 7)), axis=2).reshape(-1, 2)
    none = np.zeros(len(xy))
    seen = CameraGeometry(camera, SIZE_HW).directions(Points(xy, none, np.zeros_like(xy), none))
    pixels = CameraGeometry(found.camera, SIZE_HW).pixels(unit_vectors(seen.azimuth_deg, seen.elevation_deg))
    return float(np.linalg.norm(pixels - xy, axis=1).max())


@pytest.mark.parametrize("count", [2, 3, 7])
def test_exact_landmarks_give_the_exact_camera(count: int) -> None:
    found = calibrate(landmarks(count), SIZE_HW)
    assert error_px(found, TRUE) < 0.01
    assert found.camera.k1 == 0.0
    assert found.camera.azimuth_deg == pytest.approx(359.5, abs=1e-4)
    assert found.camera.field_of_view_deg == pytest.approx(42.0, abs=1e-4)
    assert [each.error_px < 0.01 for each in found.residuals] == [True] * count


def test_distortion_is_found_where_it_is() -> None:
    found = calibrate(landmarks(7, BENT, noise_px=0.3), SIZE_HW, pixel_error_px=0.3)
    assert found.camera.k1 == pytest.approx(-0.2, abs=4 * found.camera.k1_error)
    assert error_px(found, BENT) < 2.0
    assert error_px(calibrate(landmarks(7, BENT), SIZE_HW, with_distortion=False, pixel_error_px=10), BENT) > 2.0


def test_errors_are_stated_and_true() -> None:
    found = calibrate(landmarks(3, noise_px=0.5), SIZE_HW)
    assert error_px(found, TRUE) < 2.5
    camera, covariance = found.camera, found.camera.calibration_covariance
    assert covariance is not None
    sigma = math.sqrt(covariance[0][0])
    assert camera.azimuth_error_deg == pytest.approx(sigma, abs=1e-6)
    assert abs(camera.azimuth_deg - 359.5) < 4 * sigma
    assert 0.2 < found.corner_error_px < 3


def test_a_wrong_landmark_is_named_and_left_out() -> None:
    marks = landmarks(7, noise_px=0.2)
    x, y = marks[3].xy
    marks[3] = Landmark("chimney", (x - 30, y + 14), marks[3].azimuth_deg, marks[3].elevation_deg)
    found = calibrate(marks, SIZE_HW)
    (outlier,) = found.outliers
    assert outlier.landmark.name == "chimney"
    assert outlier.error_px == pytest.approx(math.hypot(30, 14), abs=2)
    per_px = math.radians(42) / 640
    assert outlier.error_deg == pytest.approx(math.degrees(outlier.error_px * per_px), rel=0.2)
    assert error_px(found, TRUE) < 1.5


def test_three_landmarks_that_contradict_each_other_are_refused() -> None:
    marks = landmarks(3)
    x, y = marks[2].xy
    marks[2] = Landmark("church", (x + 40, y), marks[2].azimuth_deg, marks[2].elevation_deg)
    with pytest.raises(SettingsError, match=r"agree, found residuals of mark 0 .* px, mark 1 .* px, church .* px;"):
        calibrate(marks, SIZE_HW)


def test_landmarks_too_near_each_other_are_refused() -> None:
    near = [Landmark("mast", (100, 100), 10, 5), Landmark("tree", (130, 100), 12, 5)]
    with pytest.raises(SettingsError, match=r"at least 82 px apart, found 30 px between mast and tree"):
        calibrate(near, SIZE_HW)
    with pytest.raises(SettingsError, match="at least 2, found 1"):
        calibrate(near[:1], SIZE_HW)


def test_a_landmark_out_of_the_picture_is_refused() -> None:
    marks = [Landmark("mast", (100, 100), 10, 5), Landmark("tree", (700, 100), 40, 5)]
    with pytest.raises(SettingsError, match="landmark tree: expected a pixel of a picture of 640x512, found 700, 100"):
        calibrate(marks, SIZE_HW)


def test_directions_of_another_picture_are_refused() -> None:
    marks = [Landmark("mast", (100, 100), 10, 5), Landmark("tree", (500, 100), 10.001, 5)]
    with pytest.raises(SettingsError, match="found no field of view from"):
        calibrate(marks, SIZE_HW)


def test_two_landmarks_that_fit_two_cameras_need_a_rough_field_of_view() -> None:
    wide = CameraSettings(azimuth_deg=10, elevation_deg=0, field_of_view_deg=120.0)
    xy = np.array(((469.5, 255.5), (629.5, 255.5)))  # f is 185 px; 150 * 310 / 185 px fits as well
    none = np.zeros(2)
    seen = CameraGeometry(wide, SIZE_HW).directions(Points(xy, none, np.zeros_like(xy), none))
    marks = [
        Landmark(str(row), (float(xy[row, 0]), float(xy[row, 1])), seen.azimuth_deg[row], seen.elevation_deg[row])
        for row in range(2)
    ]
    with pytest.raises(SettingsError, match=r"found [0-9.]+ and [0-9.]+ degrees, which both fit"):
        calibrate(marks, SIZE_HW)
    found = calibrate(marks, SIZE_HW, field_of_view_deg=125)
    assert found.camera.field_of_view_deg == pytest.approx(120, abs=0.01)


def test_an_uncertain_direction_counts_for_less() -> None:
    marks = landmarks(4)
    off = Landmark("cloud", marks[3].xy, marks[3].azimuth_deg + 0.4, marks[3].elevation_deg, error_deg=0.4)
    trusted = Landmark("cloud", marks[3].xy, marks[3].azimuth_deg + 0.4, marks[3].elevation_deg)
    doubted, believed = (calibrate([*marks[:3], each], SIZE_HW, pixel_error_px=2) for each in (off, trusted))
    assert error_px(doubted, TRUE) < 0.5 * error_px(believed, TRUE)


def test_a_camera_that_looks_straight_up_is_found() -> None:
    up = CameraSettings(azimuth_deg=30, elevation_deg=89.99, roll_deg=10, field_of_view_deg=42.0)
    found = calibrate(landmarks(7, up, noise_px=0.3), SIZE_HW)
    assert error_px(found, up) < 1.5


def test_a_narrow_lens_is_written_and_read_again(tmp_path: Path) -> None:
    # Of a narrow field of view, the directions are near the axis, and k1 is hundreds for a few per cent at the corners.
    narrow = CameraSettings(azimuth_deg=10, elevation_deg=3, field_of_view_deg=2.0, k1=-150.0)
    found = calibrate(landmarks(7, narrow, noise_px=0.2), SIZE_HW, pixel_error_px=0.2)
    assert found.camera.k1 < -50
    (tmp_path / "camera.toml").write_text(camera_table(found.camera))
    (read,) = load_settings(str(tmp_path / "camera.toml"), {}).camera
    assert read.k1 == found.camera.k1


def test_the_same_landmark_twice_does_no_harm() -> None:
    marks = landmarks(4)
    again = Landmark("again", marks[0].xy, marks[0].azimuth_deg, marks[0].elevation_deg)
    assert error_px(calibrate([*marks, again], SIZE_HW), TRUE) < 0.01
