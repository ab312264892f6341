"""Spread maps: what the paper teaches its attention."""

from __future__ import annotations

import torch
from torch import Tensor

from lpnet_rt.errors import SettingsError

__all__ = ["spread_map"]

_FLOOR = 1e-5


def spread_map(mask: Tensor, sigma: float) -> Tensor:
    """Spread a mask out into a map of attention (Chen et al., TAES 2022).

    The mask's centred spectrum is multiplied by ``1e-5 + exp(-d^2 / (2 sigma^2))``, d being the distance from
    (H/2, W/2); the absolute value of what comes back is stretched to 0..1 and divided by its sum.

    Args:
        mask: (B, 1, H, W), 1 on targets and 0 elsewhere.
        sigma: Width of the Gaussian in steps of the spectrum, over 0: the larger, the tighter the map.

    Returns:
        (B, 1, H, W) float32, which sums to 1 over each frame; even where the mask is, without any target, too.

    Raises:
        SettingsError: ``sigma`` is not over 0.
    """
    if not sigma > 0:
        raise SettingsError(f"sigma: expected over 0, found {sigma}")
    height, width = mask.shape[2:]
    down = torch.arange(height, device=mask.device, dtype=torch.float32) - height / 2
    across = torch.arange(width, device=mask.device, dtype=torch.float32) - width / 2
    kernel = _FLOOR + torch.exp(-(down[:, None] ** 2 + across[None, :] ** 2) / (2 * sigma**2))  # (H, W)
    spectrum = torch.fft.fftshift(torch.fft.fft2(mask.float()), dim=(2, 3))
    spread = torch.fft.ifft2(torch.fft.ifftshift(spectrum * kernel, dim=(2, 3))).abs()  # (B, 1, H, W)
    low, high = spread.amin((2, 3), keepdim=True), spread.amax((2, 3), keepdim=True)
    # Rounding alone leaves a span of about 1e-9 where the mask is even.
    flat = high - low < 1e-6
    stretched = torch.where(flat, torch.ones_like(spread), (spread - low) / torch.where(flat, 1.0, high - low))
    return stretched / stretched.sum((2, 3), keepdim=True)
