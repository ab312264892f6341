from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lpnet_rt.errors import SettingsError
from lpnet_rt.tracking import ClutterMap
from lpnet_rt.tracking.camera_motion import CameraMotion, StillCamera

_STILL = StillCamera().update(np.zeros((8, 8), np.uint8))
_LAMP = np.array([[50.0, 30.0]])
_YES, _NO = np.array([True]), np.array([False])


def _learnt(seconds: int, half_life_s: float = 600.0) -> ClutterMap:
    clutter = ClutterMap((64, 96), half_life_s)
    for _ in range(seconds):
        clutter.observe(_LAMP, _YES, 1.0)
        clutter.advance(_STILL, 1.0)
    return clutter


def test_what_stands_still_is_remembered_where_it_stands() -> None:
    clutter = _learnt(40)
    assert clutter.observe(_LAMP, _NO, 0.0)[0] == pytest.approx(40.0, rel=0.05)
    assert clutter.observe(_LAMP + np.array([3.0, 0.0]), _NO, 0.0)[0] > 30.0
    assert clutter.observe(_LAMP + np.array([15.0, 0.0]), _NO, 0.0)[0] == 0.0
    assert clutter.observe(_LAMP + np.array([500.0, 0.0]), _NO, 0.0)[0] == 0.0


def test_the_map_stays_with_the_scene_when_the_camera_pans() -> None:
    clutter = _learnt(40)
    for _ in range(20):
        clutter.advance(CameraMotion(-1.3, 0.6, 1.0), 1.0 / 30.0)
    assert clutter.observe(_LAMP + np.array([-26.0, 12.0]), _NO, 0.0)[0] > 30.0
    assert clutter.observe(_LAMP, _NO, 0.0)[0] == 0.0


def test_what_has_left_the_frame_is_forgotten() -> None:
    clutter = _learnt(40)
    for step in (-200.0, 200.0):
        clutter.advance(CameraMotion(step, 0.0, 1.0), 1.0)
    assert clutter.observe(_LAMP, _NO, 0.0)[0] == 0.0


def test_it_fades_by_half_in_its_half_life() -> None:
    clutter = _learnt(40, half_life_s=100.0)
    before = clutter.picture().max()
    for _ in range(100):
        clutter.advance(_STILL, 1.0)
    assert clutter.picture().max() == pytest.approx(before / 2, rel=0.01)


def test_the_picture_has_the_frames_size_and_shows_the_place() -> None:
    picture = _learnt(40).picture()
    assert picture.shape == (64, 96)
    y, x = np.unravel_index(int(picture.argmax()), picture.shape)
    assert abs(int(x) - 50) <= 4
    assert abs(int(y) - 30) <= 4


def test_a_file_keeps_it(tmp_path: Path) -> None:
    clutter = _learnt(40)
    clutter.advance(CameraMotion(1.5, -0.5, 1.0), 0.1)
    clutter.save(tmp_path / "clutter.npz")
    again = ClutterMap.load(tmp_path / "clutter.npz", (64, 96))
    np.testing.assert_array_equal(again.picture(), clutter.picture())
    place = _LAMP + np.array([1.5, -0.5])
    assert again.observe(place, _NO, 0.0)[0] == pytest.approx(clutter.observe(place, _NO, 0.0)[0], rel=0.05)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 damaged"])
def test_another_file_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "clutter.npz").write_bytes(content)
    with pytest.raises(SettingsError, match=r"expected a clutter map.*delete the file"):
        ClutterMap.load(tmp_path / "clutter.npz", (64, 96))


def test_a_map_of_frames_of_another_size_is_refused(tmp_path: Path) -> None:
    _learnt(1).save(tmp_path / "clutter.npz")
    with pytest.raises(SettingsError, match="640x512, found one of 96x64"):
        ClutterMap.load(tmp_path / "clutter.npz", (512, 640))


def test_values_that_are_no_seconds_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "clutter.npz"
    np.savez(path, size_hw=np.array((64, 96)), seconds=np.full((16, 24), np.nan, np.float32), rest_xy=np.zeros(2))
    with pytest.raises(SettingsError, match="found other values"):
        ClutterMap.load(path, (64, 96))
