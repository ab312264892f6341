from __future__ import annotations

import numpy as np
import pytest
import torch

from lpnet_rt.errors import SettingsError
from lpnet_rt.training.tasks.spread_maps import spread_map


def by_definition(mask: np.ndarray, sigma: float) -> np.ndarray:
    """The spread map of one frame, written down pixel by pixel of the spectrum."""
    height, width = mask.shape
    spectrum = np.fft.fftshift(np.fft.fft2(mask))
    for v in range(height):
        for u in range(width):
            squared = (v - height / 2) ** 2 + (u - width / 2) ** 2
            spectrum[v, u] *= 1e-5 + np.exp(-squared / (2 * sigma**2))
    spread = np.abs(np.fft.ifft2(np.fft.ifftshift(spectrum)))
    spread = (spread - spread.min()) / (spread.max() - spread.min())
    return spread / spread.sum()


@pytest.mark.parametrize(("size_hw", "sigma"), [((24, 24), 3.0), ((20, 30), 5.0), ((21, 17), 2.0)])
def test_it_is_what_the_definition_says(size_hw: tuple[int, int], sigma: float) -> None:
    masks = np.zeros((2, *size_hw))
    masks[0, 5:8, 9:12] = 1
    masks[1, 2, 3] = masks[1, 15, 14] = 1
    spread = spread_map(torch.from_numpy(masks)[:, None], sigma)
    assert spread.shape == (2, 1, *size_hw)
    assert spread.dtype == torch.float32
    for mask, found in zip(masks, spread[:, 0].numpy(), strict=True):
        np.testing.assert_allclose(found, by_definition(mask, sigma), rtol=0, atol=1e-7)


def test_it_peaks_on_the_target_and_sums_to_one() -> None:
    mask = torch.zeros(1, 1, 120, 120)
    mask[0, 0, 40:43, 70:74] = 1
    for sigma in (5.0, 20.0):
        spread = spread_map(mask, sigma)
        assert float(spread.sum()) == pytest.approx(1, abs=1e-5)
        y, x = divmod(int(spread.argmax()), 120)
        assert (abs(y - 41), abs(x - 71.5)) <= (1, 1.5)
    assert float(spread_map(mask, 20.0).max()) > 5 * float(spread_map(mask, 5.0).max())


def test_without_a_target_it_is_even() -> None:
    for value in (0.0, 1.0):
        spread = spread_map(torch.full((1, 1, 24, 30), value), 5.0)
        torch.testing.assert_close(spread, torch.full((1, 1, 24, 30), 1 / 720), rtol=1e-5, atol=0)


def test_a_width_that_is_none_is_refused() -> None:
    with pytest.raises(SettingsError, match="sigma: expected over 0, found 0"):
        spread_map(torch.zeros(1, 1, 8, 8), 0)
