"""Buffers as the makers' documents lay them out, through the camera's own reading of frames."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from lpnet_rt.errors import SettingsError, SourceError
from lpnet_rt.settings import SourceSettings
from lpnet_rt.sources import ReconnectingSource, open_source
from lpnet_rt.sources.base import UnusableSourceError
from lpnet_rt.sources.camera import CameraSource, grey_counts
from lpnet_rt.sources.profiles import PROFILES, find_profile

RNG = np.random.default_rng(5)


def scene(width: int, height: int, highest: int = 16_384) -> NDArray[np.uint16]:
    return RNG.integers(7000, highest, (height, width), np.uint16)


def telemetry(width: int, rows: int) -> NDArray[np.uint16]:
    """Rows of a revision, a time, serial numbers and zeros, far from any temperature."""
    lines = np.zeros((rows, width), np.uint16)
    lines[0, :12] = (0x000E, 0x1234, 0x0001, 0xFFFF, 0x8001, 3, 1, 4, 1, 5, 9, 2)
    return lines


def buffer_of(kind: str) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """What a camera delivers, and the picture that is in it."""
    if kind.startswith("boson640-telemetry"):
        picture = scene(640, 512)
        rows = [telemetry(640, 2), picture]
        return np.vstack(rows[::-1] if kind.endswith("bottom") else rows), picture
    if kind == "boson":
        picture = scene(640, 512)
        return picture, picture
    if kind == "boson320":
        picture = scene(320, 256)
        return picture, picture
    if kind == "lepton":
        picture = scene(160, 120)
        return np.vstack((picture, telemetry(160, 2))), picture
    if kind in ("p2pro", "tc001"):
        # Above, luma and neutral chroma of a picture for the eye; below, kelvins times 64.
        picture = RNG.integers(64 * 250, 64 * 320, (192, 256), np.uint16)
        for_the_eye = (np.uint16(0x80) << 8) | RNG.integers(0, 256, (192, 256), np.uint16)
        return np.vstack((for_the_eye, picture)), picture
    assert kind == "tau2"
    picture = scene(640, 512)
    return picture, picture


def recorded(path: Path, counts: NDArray[np.uint16]) -> Path:
    """Two frames of 16-bit counts in a file, without loss; OpenCV opens it as it opens a camera."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=30)
        stream.height, stream.width, stream.pix_fmt = *counts.shape, "gray16le"
        for _ in range(2):
            for packet in stream.encode(av.VideoFrame.from_ndarray(counts, format="gray16le")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def camera(path: Path, profile: str | None) -> CameraSource:
    made = CameraSource(str(path), SourceSettings(spec="0", reconnect="never", camera_profile=profile))
    made.connect()
    return made


@pytest.mark.parametrize("name", [profile.name for profile in PROFILES])
def test_the_picture_is_cut_out_of_what_the_camera_delivers(tmp_path: Path, name: str) -> None:
    counts, picture = buffer_of(name)
    source = camera(recorded(tmp_path / "camera.mkv", counts), name)
    frame = next(iter(source))
    source.close()
    np.testing.assert_array_equal(frame.image, picture)
    assert frame.image.dtype == np.uint16
    assert frame.bit_depth == (14 if name == "tau2" else 16)


@pytest.mark.parametrize(
    ("name", "size_wh", "kept_wh"),
    [
        ("boson", (320, 256), (320, 256)),
        ("boson", (640, 514), (640, 512)),
        ("lepton", (160, 120), (160, 120)),
        ("lepton", (80, 60), (80, 60)),
        ("lepton", (80, 63), (80, 60)),
        ("tau2", (336, 256), (336, 256)),
    ],
)
def test_a_profile_knows_the_other_sizes_of_its_camera(
    name: str, size_wh: tuple[int, int], kept_wh: tuple[int, int]
) -> None:
    profile = find_profile(name)
    assert profile is not None
    assert profile.picture(scene(*size_wh)).shape == kept_wh[::-1]


def test_the_counts_of_a_driver_that_delivers_bytes(tmp_path: Path) -> None:
    counts, picture = buffer_of("p2pro")
    profile = find_profile("p2pro")
    assert profile is not None
    assert (profile.code, profile.layouts[0].width, profile.layouts[0].height) == (0x56595559, 256, 384)
    packed = counts.astype("<u2").view(np.uint8).reshape(384, 256, 2)
    np.testing.assert_array_equal(profile.picture(grey_counts(packed)), picture)


def test_counts_with_the_high_byte_first() -> None:
    profile = find_profile("tau2")
    assert profile is not None
    counts = scene(640, 512)
    swapped = grey_counts(counts.astype(">u2").view(np.uint8).reshape(512, 640, 2))
    np.testing.assert_array_equal(dataclasses.replace(profile, byte_order=">").picture(swapped), counts)


def test_a_wrong_size_is_one_line_with_both(tmp_path: Path) -> None:
    source = camera(recorded(tmp_path / "camera.mkv", scene(320, 240)), "boson")
    message = r"expected 640x512 or 320x256 or 640x514 counts of 16 bits \(profile boson\), found 320x240; take another"
    with pytest.raises(UnusableSourceError, match=message):
        next(iter(source))


def test_a_wrong_size_is_not_waited_out(tmp_path: Path) -> None:
    path = recorded(tmp_path / "camera.mkv", scene(320, 240))
    settings = SourceSettings(spec="0", camera_profile="lepton")
    source = ReconnectingSource(lambda: CameraSource(str(path), settings), settings)
    with pytest.raises(UnusableSourceError, match="found 320x240"):
        next(iter(source))


def test_a_colour_picture_is_refused(tmp_path: Path, write_video, grey_images) -> None:
    path = write_video("camera.avi", grey_images(2), "mjpeg", "yuvj420p")
    source = camera(path, "lepton")
    with pytest.raises(SourceError, match=r"found 64x48 of 8 bits; take another profile, or none"):
        next(iter(source))


def test_an_unknown_profile_and_another_source_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"expected one of boson, boson320, .*; found 'bosun'"):
        open_source(SourceSettings(spec="0", camera_profile="bosun"))
    with pytest.raises(SettingsError, match="camera_profile: expected a camera such as /dev/video0, found demo"):
        open_source(SourceSettings(spec="demo", camera_profile="boson"))
    assert find_profile(None) is None


def test_every_profile_is_in_the_documentation() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "cameras.md").read_text()
    for profile in PROFILES:
        assert f"| `{profile.name}` |" in page
        for layout in profile.layouts:
            assert f"{layout.width}x{layout.height}" in page
