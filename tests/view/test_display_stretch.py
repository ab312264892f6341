from __future__ import annotations

import numpy as np

from lpnet_rt.view.display_stretch import display_stretch


def scene(size_hw: tuple[int, int] = (40, 56), seed: int = 0) -> np.ndarray:
    """Counts of 0 to 200 with a spread far over the floors."""
    return np.random.default_rng(seed).integers(0, 200, size_hw).astype(np.uint16)


def test_display_stretch_keeps_8_bit_and_never_changes_its_input() -> None:
    low = scene().astype(np.uint8)
    assert display_stretch(low) is low
    deep = (scene().astype(np.uint32) * 20 + 7000).astype(np.uint16)
    kept = deep.copy()
    deep.flags.writeable = False
    picture = display_stretch(deep)
    np.testing.assert_array_equal(deep, kept)
    assert picture.dtype == np.uint8
    assert picture.shape == deep.shape
    assert picture.min() == 0
    assert picture.max() == 255
    order = np.argsort(deep, axis=None)
    assert (np.diff(picture.ravel()[order].astype(int)) >= 0).all()


def test_display_stretch_does_not_blow_up_a_flat_frame() -> None:
    noise = np.random.default_rng(2).integers(7000, 7008, (64, 64)).astype(np.uint16)
    assert display_stretch(noise).max() <= 8 * 255 / 64 + 1
