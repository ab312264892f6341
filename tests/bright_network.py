"""A network small enough to export and train within seconds, that finds the bright points of a frame."""

from __future__ import annotations

import torch

from lpnet_rt.networks.lpnet_rt.network import LPNetRT, LPNetRTConfig


def bright_network(offset: float = 0.0) -> LPNetRT:
    """Every pixel's score is a steep function of its brightness; what the other layers, all random, add is small.

    Args:
        offset: Added to every logit at the end, and taken off before.
    """
    torch.manual_seed(5)
    config = LPNetRTConfig((16, 4, 4), (1, 1, 1), hints=1, local_channels=4, local_blocks=1, patches=4, offset=offset)
    network = LPNetRT(config)
    each = torch.arange(16)
    with torch.no_grad():
        for name, value in network.named_parameters():
            if name.endswith("weight") and value.ndim == 4:
                value.mul_(0.2)
        network.local_view.head.weight.normal_(0, 0.05)
        network.global_view.stem[0].weight[each, each, 1, 1] += 1.0
        network.global_view.head.weight[each, each, 0, 0] += 2.0
        network.global_view.head.bias[:16] = -8.0 - offset
    return network.eval().requires_grad_(False)
