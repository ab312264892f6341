from __future__ import annotations

from pathlib import Path

import pytest

from lpnet_rt.camera_geometry.landmarks import Landmark, Place, read_landmarks
from lpnet_rt.errors import SettingsError

PLACE = Place(48.0, 11.5, 500.0)


def written(tmp_path: Path, text: str, name: str = "marks.toml") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_the_three_kinds_of_landmarks(tmp_path: Path) -> None:
    text = """
    [[landmark]]
    name = "chimney"
    x = 12.5
    y = 300
    azimuth_deg = 350
    elevation_deg = 1.5
    error_deg = 0.1

    [[landmark]]
    x = 100
    y = 200
    latitude_deg = 48.1
    longitude_deg = 11.6
    height_m = 600

    [[landmark]]
    x = 50
    y = 60
    body = "vega"
    time = 2026-06-01T23:00:00+02:00
    """
    chimney, place, star = read_landmarks(written(tmp_path, text), PLACE)
    assert chimney == Landmark("chimney", (12.5, 300.0), 350.0, 1.5, 0.1)
    assert (place.name, star.name) == ("2", "vega")
    # The reference is geodesy by PROJ: azimuth and straight line between the two places.
    assert place.azimuth_deg == pytest.approx(33.8045, abs=1e-3)
    assert place.elevation_deg == pytest.approx(0.3678, abs=1e-3)
    assert 0 < star.elevation_deg < 90


def test_a_csv_file_has_the_same_columns(tmp_path: Path) -> None:
    text = "name,x,y,azimuth_deg,elevation_deg,body,time\nmast,1,2,10,5,,\nsun,3,4,,,Sun,2026-06-01T12:00:00Z\n\n"
    mast, sun = read_landmarks(written(tmp_path, text, "marks.csv"), PLACE)
    assert mast == Landmark("mast", (1.0, 2.0), 10.0, 5.0)
    assert sun.azimuth_deg == pytest.approx(204.621, abs=0.01)


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("[[landmark]]\nx = 1\ny = 2\n", "a.toml", "landmark 1: expected one of azimuth_deg with elevation_deg;"),
        ("[[landmark]]\nx = 1\ny = 2\nazimuth_deg = 3\n", "a.toml", "found azimuth_deg"),
        ('[[landmark]]\nname = "m"\nx = "a"\ny = 2\n', "a.toml", "landmark 1 (m): landmark.x: expected a number"),
        (
            "[[landmark]]\nx = nan\ny = 2\nazimuth_deg = 3\nelevation_deg = 1\n",
            "a.toml",
            "landmark.x: expected a number",
        ),
        ("[[landmark]]\nx = 1\ny = 2\nazimut_deg = 3\n", "a.toml", "did you mean landmark.azimuth_deg?"),
        ("[landmark]\nx = 1\n", "a.toml", "double the brackets"),
        ("x", "a.toml", "not a TOML file"),
        ("", "a.toml", "expected 1 to 500 landmarks, found 0"),
        ("x,y\n1\n", "a.csv", "landmark 1: expected 2 columns, found 1"),
        ("x,y,azimuth_deg,elevation_deg\n1,two,3,4\n", "a.csv", "landmark.y: expected a number"),
        ('"x', "a.csv", "not a CSV file"),
        ("name,x,y,azimuth_deg,elevation_deg\nm,1,2,3,4\nm,5,6,7,8\n", "a.csv", "found m twice"),
        ("x,y,body,time\n1,2,Vega,2026-06-01T23:00:00\n", "a.csv", "time: expected an offset"),
        ("x,y,body,time\n1,2,Vegga,2026-06-01T23:00:00Z\n", "a.csv", "did you mean Vega?"),
        (
            "x,y,body,time\n1,2,Nibiru 12,2026-06-01T23:00:00Z\n",
            "a.csv",
            "expected Sun, Moon, a planet or a bright star",
        ),
        ("x,y,body,time\n1,2,Sun,2026-06-01T23:00:00Z\n", "a.csv", "expected Sun over the horizon, found it at -"),
        ("x,y,body,time\n1,2,Sun,1026-06-01T12:00:00Z\n", "a.csv", "a year from 1900 to 2100, found 1026"),
        ("x,y,body,time\n1,2,Sun,noon\n", "a.csv", "landmark.time: expected a date and time with its offset"),
        ("x,y,latitude_deg,longitude_deg,height_m\n1,2,48,11.5,500\n", "a.csv", "at least 1 m from the camera"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, name: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_landmarks(written(tmp_path, text, name), PLACE)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / name))


def test_places_need_the_cameras_place(tmp_path: Path) -> None:
    text = "x,y,latitude_deg,longitude_deg,height_m\n1,2,48,11.5,500\n"
    with pytest.raises(SettingsError, match="give --place LATITUDE,LONGITUDE,HEIGHT"):
        read_landmarks(written(tmp_path, text, "a.csv"), None)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="expected a file of landmarks"):
        read_landmarks(tmp_path / "none.toml", None)


def test_the_example_in_the_documentation_is_a_file_of_landmarks(tmp_path: Path) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "angles.md").read_text()
    example = page.partition("```csv\n")[2].partition("```")[0]
    place = Place(48.1374, 11.5755, 560.0)
    marks = read_landmarks(written(tmp_path, example, "marks.csv"), place)
    assert [mark.name for mark in marks] == ["chimney", "church", "sun", "vega"]
