from __future__ import annotations

import av
import numpy as np
import pytest

from lpnet_rt.errors import SourceError
from lpnet_rt.sources.pixels import grey_pixels


def _filled(name: str, width: int = 37, height: int = 18) -> tuple[av.VideoFrame, np.ndarray]:
    """A frame whose first plane holds known bytes, line padding included, and those bytes by line."""
    frame = av.VideoFrame(width, height, name)
    plane = frame.planes[0]
    stored = np.random.default_rng(1).integers(0, 255, plane.buffer_size, np.uint8)
    plane.update(stored.tobytes())
    return frame, stored[: plane.line_size * height].reshape(height, plane.line_size)


@pytest.mark.parametrize("name", ["gray", "yuv420p", "yuvj420p", "yuv444p", "yuva420p", "nv12", "nv21"])
def test_8_bit_luma_is_taken_as_it_is(name: str) -> None:
    frame, stored = _filled(name)
    image, bit_depth = grey_pixels(frame)
    assert (image.dtype, bit_depth) == (np.uint8, 8)
    np.testing.assert_array_equal(image, stored[:, :37])


@pytest.mark.parametrize(("name", "first"), [("yuyv422", 0), ("yvyu422", 0), ("uyvy422", 1), ("ya8", 0)])
def test_packed_luma_is_picked_out(name: str, first: int) -> None:
    frame, stored = _filled(name, width=36)
    image, bit_depth = grey_pixels(frame)
    assert bit_depth == 8
    np.testing.assert_array_equal(image, stored[:, first : 36 * 2 : 2])


@pytest.mark.parametrize(
    ("name", "bit_depth"),
    [
        ("gray10le", 10),
        ("gray12be", 12),
        ("gray14le", 14),
        ("gray16le", 16),
        ("gray16be", 16),
        ("yuv420p10le", 10),
        ("yuv422p12be", 12),
        ("yuv420p9le", 10),
    ],
)
def test_deep_luma_keeps_its_counts_in_both_byte_orders(name: str, bit_depth: int) -> None:
    frame, stored = _filled(name)
    image, found = grey_pixels(frame)
    assert (image.dtype, image.dtype.isnative, found) == (np.uint16, True, bit_depth)
    expected = np.ascontiguousarray(stored[:, : 37 * 2]).view(">u2" if name.endswith("be") else "<u2")
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize(("name", "shift"), [("p010le", 6), ("p010be", 6), ("p012le", 4), ("p016le", 0)])
def test_counts_stored_in_the_high_bits_are_moved_down(name: str, shift: int) -> None:
    frame, stored = _filled(name)
    image, bit_depth = grey_pixels(frame)
    expected = np.ascontiguousarray(stored[:, : 37 * 2]).view(">u2" if name.endswith("be") else "<u2") >> shift
    assert bit_depth == 16 - shift
    np.testing.assert_array_equal(image, expected)


def test_rgb_becomes_grey_by_the_usual_weights() -> None:
    picture = np.zeros((16, 24, 3), np.uint8)
    picture[..., 0] = 200
    image, bit_depth = grey_pixels(av.VideoFrame.from_ndarray(picture, "rgb24"))
    assert bit_depth == 8
    assert abs(int(image[3, 3]) - round(0.299 * 200)) <= 1


def test_deep_rgb_stays_deep() -> None:
    picture = np.full((16, 24, 3), 40_001, np.uint16)
    image, bit_depth = grey_pixels(av.VideoFrame.from_ndarray(picture, "rgb48le"))
    assert (image.dtype, bit_depth) == (np.uint16, 16)
    assert abs(int(image[3, 3]) - 40_001) <= 2


def test_the_pixels_belong_to_the_frame_alone() -> None:
    frame, _ = _filled("gray16le")
    image, _ = grey_pixels(frame)
    before = image.copy()
    frame.planes[0].update(bytes(frame.planes[0].buffer_size))
    np.testing.assert_array_equal(image, before)
    assert image.flags.c_contiguous


def test_float_pixels_are_refused_by_name() -> None:
    with pytest.raises(SourceError, match="grayf32le"):
        grey_pixels(av.VideoFrame(16, 16, "grayf32le"))
