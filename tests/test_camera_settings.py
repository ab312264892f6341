from __future__ import annotations

from pathlib import Path

import pytest

from lpnet_rt.errors import SettingsError
from lpnet_rt.settings import CameraSettings, load_settings
from lpnet_rt.settings.camera import camera_of, camera_table

LOOKS = "azimuth_deg = 10\nelevation_deg = 5\n"
FIELD = "field_of_view_deg = 40\n"
OPENCV = "fx = 900\nfy = 901\ncx = 319\ncy = 255\nwidth = 640\nheight = 512\n"


def load(tmp_path: Path, text: str) -> tuple[CameraSettings, ...]:
    path = tmp_path / "lpnet.toml"
    path.write_text(text)
    return load_settings(str(path), {}).camera


def test_a_source_has_its_own_camera_else_the_common_one(tmp_path: Path) -> None:
    text = f'[[camera]]\n{LOOKS}{FIELD}[[camera]]\nsource = "mast"\n{LOOKS}focal_length_mm = 14\npixel_pitch_um = 12\n'
    cameras = load(tmp_path, text)
    mast, other = camera_of(cameras, "mast"), camera_of(cameras, "roof")
    assert mast is not None
    assert other is not None
    assert (mast.focal_length_mm, other.field_of_view_deg) == (14.0, 40.0)
    assert camera_of(cameras[1:], "roof") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LOOKS, "camera 1: expected one of field_of_view_deg, focal_length_mm with pixel_pitch_um, and fx, fy, cx, cy"),
        (LOOKS + FIELD + OPENCV, "found field_of_view_deg and fx"),
        (LOOKS + "focal_length_mm = 14\n", "camera.pixel_pitch_um: expected it beside focal_length_mm, found none"),
        (LOOKS + "vertical_field_of_view_deg = 30\n", "camera.field_of_view_deg: expected it beside vertical_field"),
        (LOOKS + OPENCV.replace("cy = 255\n", ""), "camera.cy: expected it beside fx, fy, cx, width, height"),
        (LOOKS + FIELD + "binning = 2\n", "camera.binning: expected it with pixel_pitch_um only"),
        (LOOKS + FIELD + "latitude_deg = 48\n", "camera.longitude_deg: expected latitude_deg, longitude_deg, height_m"),
        (LOOKS + FIELD + "k1 = nan\n", "camera.k1"),
        (LOOKS + OPENCV.replace("319", "inf"), "camera.cx: expected a finite number, found inf"),
        (FIELD + "elevation_deg = 5\n", "camera"),
        (LOOKS + "field_of_view_deg = 180\n", "field_of_view_deg: expected a number from 0.05 to 170, found 180"),
        (LOOKS + FIELD + "azimut_error_deg = 1\n", "did you mean camera.azimuth_error_deg?"),
        (LOOKS + FIELD + "calibration_covariance = [[1, 2]]\n", "a list of 5 lists of 5 numbers"),
        (LOOKS + FIELD + f"calibration_covariance = {[[1.0, 2.0, 0, 0, 0]] * 5}\n", "expected a symmetric covariance"),
        (LOOKS + FIELD + f'[[camera]]\n{LOOKS}{FIELD}', "camera 2: expected one camera for every source, found two"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_that_names_the_camera(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, f"[[camera]]\n{text}")
    assert message in str(caught.value)
    assert "camera 1" in str(caught.value) or "camera 2" in str(caught.value)


def test_one_table_needs_double_brackets(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"expected \[\[camera\]\] tables, found .*; double the brackets"):
        load(tmp_path, f"[camera]\n{LOOKS}{FIELD}")


def test_a_table_that_is_written_reads_as_the_same_camera(tmp_path: Path) -> None:
    rows = tuple(tuple(0.25 * (row == column) for column in range(5)) for row in range(5))
    camera = CameraSettings(
        source="mast", azimuth_deg=1.25, elevation_deg=-3.0, field_of_view_deg=40.0, k1=-0.2, latitude_deg=48.0,
        longitude_deg=11.5, height_m=500.0, calibration_covariance=rows,
    )  # fmt: skip
    assert load(tmp_path, camera_table(camera)) == (camera,)


def test_the_example_in_the_documentation_is_a_configuration(tmp_path: Path) -> None:
    page = (Path(__file__).resolve().parent.parent / "docs" / "angles.md").read_text()
    (camera,) = load(tmp_path, page.partition("```toml\n")[2].partition("```")[0])
    assert (camera.source, camera.field_of_view_deg, camera.height_m) == ("mast-north", 24.0, 560.0)
