from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from lpnet_rt.clock import SYSTEM_CLOCK, Clock
from lpnet_rt.errors import LostError, SourceError
from lpnet_rt.settings import SourceSettings
from lpnet_rt.sources import open_source
from lpnet_rt.sources.camera import CameraSource, camera_index, grey_counts


def _camera(path: Path, clock: Clock = SYSTEM_CLOCK, **settings: object) -> CameraSource:
    """A camera that is a file, as OpenCV can open both."""
    camera = CameraSource(str(path), SourceSettings(spec="0", reconnect="never", **settings), clock)
    camera.connect()
    return camera


def test_how_a_camera_is_written(tmp_path: Path) -> None:
    assert camera_index("0") == 0
    assert camera_index("12") == 12
    assert camera_index("/dev/video3") == 3
    link = tmp_path / "thermal"
    link.symlink_to("/dev/video3")
    assert camera_index(str(link)) == 3
    link.unlink()
    assert camera_index(str(link)) is None
    for other in ("/dev/videoX", "video0", "0.mp4", "-1", "", "99999", "٣"):
        assert camera_index(other) is None


@pytest.mark.parametrize("spec", ["9876", "/dev/video9876"])
def test_an_absent_camera_is_one_line(spec: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SourceError, match="expected /dev/video9876, found ") as absent:
        open_source(SourceSettings(spec=spec, open_timeout_s=5.0, reconnect="never"))
    assert "\n" not in str(absent.value)
    assert capfd.readouterr().err == ""


def test_a_device_that_cannot_be_opened(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SourceError, match="cannot be opened"):
        _camera(tmp_path / "nothing.avi")
    assert capfd.readouterr().err == ""


def test_the_capture_loop_on_real_pictures(write_video, grey_images, clock) -> None:
    images = grey_images(5)
    path = write_video("camera one.avi", images, "mjpeg", "yuvj420p")
    source = _camera(path, clock, frames=2)
    frames = list(itertools.islice(source, 4))
    source.close()
    source.close()
    assert source.name == "camera-one"
    assert source.live
    assert source.rate_hz == pytest.approx(30)
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert {(frame.size_hw, frame.bit_depth, frame.dropped) for frame in frames} == {((48, 64), 8, 0)}
    assert np.abs(frames[2].image.astype(int) - images[2]).mean() < 12


def test_a_camera_that_stops_delivering(write_video, grey_images, clock) -> None:
    path = write_video("a.avi", grey_images(3), "mjpeg", "yuvj420p")
    source = _camera(path, clock, open_timeout_s=2.0)
    delivered = []
    with pytest.raises(LostError, match=r"no frame came for 2 s \(3 frames were delivered\)"):
        delivered.extend(frame.index for frame in source)
    assert delivered == [0, 1, 2]
    assert sum(clock.naps_s) == pytest.approx(2.0, abs=0.02)
    source.close()


def test_a_closed_camera_ends(write_video, grey_images) -> None:
    path = write_video("a.avi", grey_images(3), "mjpeg", "yuvj420p")
    source = _camera(path)
    frames = iter(source)
    next(frames)
    source.close()
    assert list(frames) == []


def test_16_bit_counts_in_each_way_drivers_hand_them_over() -> None:
    counts = np.random.default_rng(0).integers(0, 65535, (9, 14), np.uint16)
    np.testing.assert_array_equal(grey_counts(counts), counts)
    packed = counts.astype("<u2").view(np.uint8).reshape(9, 14, 2)
    read = grey_counts(packed)
    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read, counts)
    assert not np.shares_memory(grey_counts(counts), counts)


def test_colour_and_strange_pictures() -> None:
    assert grey_counts(np.full((8, 9, 3), 50, np.uint8)).tolist() == np.full((8, 9), 50).tolist()
    with pytest.raises(ValueError, match="float32"):
        grey_counts(np.zeros((8, 8), np.float32))


def test_a_flat_row_of_16_bit_counts_gets_its_shape_back() -> None:
    counts = np.random.default_rng(0).integers(0, 65535, (9, 14), np.uint16)
    for flat in (counts.reshape(1, -1), counts.reshape(-1), counts.astype("<u2").reshape(1, -1).view(np.uint8)):
        read = grey_counts(flat, (9, 14))
        assert read.dtype == np.uint16
        np.testing.assert_array_equal(read, counts)
    with pytest.raises(ValueError, match=r"found one row of 126 uint16; use another OpenCV than 4\.11"):
        grey_counts(counts.reshape(1, -1), (10, 14))
