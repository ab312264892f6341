from __future__ import annotations

import numpy as np
import pytest

from lpnet_rt.frames import Frame, to_grey


def frame(image: np.ndarray) -> Frame:
    return Frame(image=image, index=0, source="s", pts_s=None, t_capture_us=0, t_read_ns=0)


def test_to_grey_at_the_depth_it_came_in() -> None:
    grey = np.random.default_rng(0).integers(0, 200, (40, 56))
    for dtype in (np.uint8, np.uint16):
        image = grey.astype(dtype)
        assert to_grey(image) is image
        np.testing.assert_array_equal(to_grey(image[:, :, None]), image)
        for channels in (3, 4):
            stacked = np.repeat(image[:, :, None], channels, axis=2)
            assert to_grey(stacked).dtype == dtype
            np.testing.assert_array_equal(to_grey(stacked), image)
    blue = np.zeros((4, 4, 3), np.uint8)
    blue[..., 0] = 255
    assert to_grey(blue)[0, 0] == 29  # 0.114 of full blue: the channels are BGR


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (np.zeros((4, 4), np.float32), "found float32"),
        (np.zeros((4, 4, 2), np.uint8), r"found \(4, 4, 2\)"),
        (np.zeros(4, np.uint8), r"found \(4,\)"),
        (np.zeros((1, 4, 4, 3), np.uint8), r"found \(1, 4, 4, 3\)"),
    ],
)
def test_to_grey_refuses_what_is_no_image(image: np.ndarray, found: str) -> None:
    with pytest.raises(ValueError, match=found):
        to_grey(image)


def test_a_frame_is_read_only_and_knows_its_size() -> None:
    made = frame(np.zeros((6, 9), np.uint8))
    assert made.size_hw == (6, 9)
    with pytest.raises(ValueError, match="read-only"):
        made.image[0, 0] = 1
    with pytest.raises(AttributeError):
        made.index = 3  # type: ignore[misc]


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.float32), np.zeros((4, 4, 3), np.uint8), np.zeros(4, np.uint16)])
def test_a_frame_refuses_other_shapes_and_types(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"Frame.image: expected \(H, W\) uint8 or uint16, found"):
        frame(image)
