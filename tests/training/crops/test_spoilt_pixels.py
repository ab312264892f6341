"""Dead pixels, single and in cold groups, spare the targets."""

from __future__ import annotations

import numpy as np

from lpnet_rt.training.crops.augment import _spoil_pixels


def test_cold_groups_are_laid_away_from_targets() -> None:
    truth = np.zeros((64, 64), np.uint8)
    truth[20:30, 20:30] = 255
    coldest_group = 0
    for seed in range(40):
        image = np.zeros((64, 64), np.float32)
        _spoil_pixels(image, truth, np.random.default_rng(seed), 1.0)
        assert not image[truth == 255].any()
        cold = image < -5.0
        coldest_group = max(coldest_group, int((cold[:-1, :-1] & cold[1:, :-1] & cold[:-1, 1:] & cold[1:, 1:]).sum()))
    assert coldest_group >= 1
