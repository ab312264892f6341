from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lpnet_rt.preprocessing.frame_and_local import model_input


def scene(size_hw: tuple[int, int] = (40, 56), seed: int = 0) -> np.ndarray:
    """Counts of 0 to 200 with a spread far over the floors."""
    return np.random.default_rng(seed).integers(0, 200, size_hw).astype(np.uint16)


@settings(max_examples=40, deadline=None)
@given(gain=st.integers(1, 250), offset=st.integers(0, 10_000), seed=st.integers(0, 5))
def test_gain_and_offset_make_no_difference(gain: int, offset: int, seed: int) -> None:
    image = scene(seed=seed)
    np.testing.assert_allclose(model_input(image * gain + offset), model_input(image), atol=5e-3)


def test_depth_makes_no_difference_over_the_floor() -> None:
    image = scene()
    np.testing.assert_array_equal(model_input(image.astype(np.uint8)), model_input(image))


def test_the_frames_scale_by_hand() -> None:
    image = np.tile(np.array([[0, 20], [40, 100]], np.uint8), (4, 4))  # mean 40, deviation sqrt(1400)
    expected = (image - 40.0) / np.sqrt(1400.0)
    np.testing.assert_allclose(model_input(image)[0, 0], expected, rtol=1e-6, atol=1e-6)


def test_the_local_scale_of_an_even_texture_is_the_frames() -> None:
    image = np.tile(np.array([[0, 20], [40, 100]], np.uint8), (20, 20))
    np.testing.assert_allclose(model_input(image)[0, 1], model_input(image)[0, 0], atol=1e-4)


def test_a_dim_target_is_as_plain_beside_hot_ground_as_in_an_empty_sky() -> None:
    sky = np.round(np.random.default_rng(4).normal(7000, 4, (128, 128))).astype(np.uint16)
    sky[40, 40] += 60
    ground = sky.copy()
    ground[96:] += 6000
    in_sky, beside_ground = model_input(sky)[0], model_input(ground)[0]
    assert beside_ground[0, 40, 40] - np.median(beside_ground[0, :90]) < 0.05  # lost on the frame's scale
    assert beside_ground[1, 40, 40] == pytest.approx(in_sky[1, 40, 40], rel=1e-3)
    assert in_sky[1, 40, 40] > 6.0
    assert np.abs(beside_ground[1]).max() <= 12.0


@pytest.mark.parametrize(("dtype", "floor"), [(np.uint8, 4.0), (np.uint16, 12.0)])
def test_flat_frames_stay_small(dtype: type, floor: float) -> None:
    rng = np.random.default_rng(1)
    image = np.round(rng.normal(100, 1.0, (64, 64))).astype(dtype)
    on_frame, local = model_input(image)[0]
    assert on_frame.std() == pytest.approx(image.std() / floor, rel=1e-3)
    assert on_frame.std() < 0.3
    assert local.std() < 0.6
    assert abs(on_frame.mean()) < 1e-4
    assert not model_input(np.full((64, 64), 7, dtype)).any()


def test_model_input_has_the_networks_layout_and_leaves_the_image_alone() -> None:
    image = scene()
    kept = image.copy()
    image.flags.writeable = False
    out = model_input(image, 16, 64)
    assert out.shape == (1, 2, 64, 64)
    assert out.dtype == np.float32
    assert out.flags.c_contiguous
    np.testing.assert_array_equal(image, kept)


def mirrored(image: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    (height, width), (rows, columns) = image.shape, size_hw
    return np.pad(image, ((0, rows - height), (0, columns - width)), mode="reflect")


@settings(max_examples=40, deadline=None)
@given(height=st.integers(8, 150), width=st.integers(8, 150))
def test_padding_mirrors_and_can_be_cropped_away(height: int, width: int) -> None:
    image = scene((height, width))
    size_hw = (max(64, -(-height // 16) * 16), max(64, -(-width // 16) * 16))
    out = model_input(image, 16, 64)
    assert out.shape[2:] == size_hw
    np.testing.assert_array_equal(out, model_input(mirrored(image, size_hw), 16, 64))
    # What is cropped back is the image: a gain and an offset away, over every pixel of it.
    cropped = out[0, 0, :height, :width].astype(np.float64)
    gain, offset = np.polyfit(image.ravel(), cropped.ravel(), 1)
    assert gain > 0
    np.testing.assert_allclose(cropped, gain * image + offset, atol=1e-4)


def test_views_that_are_not_contiguous_are_read_right() -> None:
    image = scene((40, 60))
    expected = model_input(np.ascontiguousarray(image[::2, ::3]))
    np.testing.assert_array_equal(model_input(image[::2, ::3]), expected)
    turned = model_input(scene((40, 56)).T)[0, 0]
    np.testing.assert_allclose(turned, model_input(scene((40, 56)))[0, 0].T, atol=1e-6)
