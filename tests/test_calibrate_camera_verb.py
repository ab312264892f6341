from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from lpnet_rt.cli import main
from lpnet_rt.settings import load_settings

# By a camera that looks at azimuth 10, elevation 5, with 40 degrees of field of view, 640x512 pixels.
MARKS = """name,x,y,azimuth_deg,elevation_deg
left,0,255.5,349.9586,4.6986
right,639,255.5,30.0414,4.6986
top,319.5,0,10,21.2043
"""


@pytest.fixture
def marks(tmp_path: Path) -> str:
    path = tmp_path / "marks.csv"
    path.write_text(MARKS)
    return str(path)


def calibrate(marks: str, out: Path, *flags: str) -> int:
    return main(["calibrate-camera", "--landmarks", marks, "--out", str(out), *flags])


def test_landmarks_to_a_table_that_a_run_takes(tmp_path: Path, marks: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "camera.toml"
    place = ("--place", "48,11.5,500", "--name", "mast")
    assert calibrate(marks, out, "--source", "demo", *place) == 0
    printed = capsys.readouterr().out
    assert "azimuth           10.0" in printed
    assert "left" in printed
    (camera,) = load_settings(str(out), {}).camera
    assert camera.azimuth_deg == pytest.approx(10, abs=0.02)
    assert camera.elevation_deg == pytest.approx(5, abs=0.02)
    assert camera.field_of_view_deg == pytest.approx(40, abs=0.05)
    assert (camera.source, camera.latitude_deg, camera.height_m) == ("mast", 48.0, 500.0)
    assert camera.calibration_covariance is not None
    picture = cv2.imread(str(tmp_path / "camera.png"))
    assert picture is not None
    assert picture.shape == (1050, 1280, 3)
    # The mark of the left edge is drawn there, in green.
    near = picture[500:524, :12].astype(int)
    assert (near[:, :, 1] - near[:, :, 0]).max() > 80


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        ((), 2, "expected either --source or --size"),
        (("--size", "640x512", "--source", "demo"), 2, "expected either --source or --size"),
        (("--size", "640"), 2, "--size: expected WIDTHxHEIGHT"),
        (("--size", "640x512", "--place", "48,11"), 2, "--place: expected LATITUDE,LONGITUDE,HEIGHT"),
        (("--size", "640x512", "--place", "98,11,0"), 2, "a latitude of -90 to 90"),
        (("--size", "640x512", "--pixel-error", "0"), 2, "--pixel-error: expected a number from 0.01"),
        (("--size", "640x512", "--field-of-view", "nan"), 2, "--field-of-view: expected a number"),
        (("--size", "640x512", "--name", "a b"), 2, "--name: expected 1 to 64 letters"),
        (("--size", "640x512", "--picture", "a.jpg"), 2, "--picture: expected a file that ends in .png"),
        (("--size", "320x256"), 2, "expected a pixel of a picture of 320x256"),
        (("--source", "/nowhere/clip.mkv"), 3, "no such file"),
    ],
)
def test_what_is_wrong_is_one_line(
    tmp_path: Path, marks: str, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], code: int, message: str
) -> None:
    assert calibrate(marks, tmp_path / "camera.toml", *flags) == code
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "camera.toml").exists()


def test_nothing_is_replaced_without_overwrite(tmp_path: Path, marks: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "camera.toml"
    out.write_text("mine")
    assert calibrate(marks, out, "--size", "640x512") == 7
    assert "--overwrite" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert calibrate(marks, out, "--size", "640x512", "--overwrite") == 0


def test_a_wrong_landmark_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "marks.csv"
    rows = "bottom,319.5,511,10,-11.2043\nmiddle,319.5,255.5,10,5\nmast\x1b,500,255.5,40,5\n"
    path.write_text(MARKS + rows)
    assert calibrate(str(path), tmp_path / "camera.toml", "--size", "640x512") == 0
    printed = capsys.readouterr()
    assert "left out" in printed.out
    assert "\x1b" not in printed.out + printed.err
    assert "px and was left out; check its pixel and its direction" in printed.err
