"""The network as it is exported: scores as the only output, batch norm folded where the format does not do it."""

from __future__ import annotations

import copy
import hashlib
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from lpnet_rt.networks.lpnet_rt import ConvNorm, LPNetRT

__all__ = ["ScoredLPNetRT", "fold_norms", "weights_sha256"]

_Module = TypeVar("_Module", bound=nn.Module)


class ScoredLPNetRT(nn.Module):
    """LPNet-RT with its scores as the only output."""

    def __init__(self, network: LPNetRT) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """(B, 2, H, W), see ``lpnet_rt.frames.model_input``, to (B, 1, H, W) scores in 0..1."""
        logits, _ = self.network(image)
        return torch.sigmoid(logits)


def fold_norms(module: _Module) -> _Module:
    """A copy in which every batch norm is part of the convolution before it; it computes the same."""
    folded = copy.deepcopy(module).eval()
    for block in [block for block in folded.modules() if isinstance(block, ConvNorm)]:
        convolution, norm = block[0], block[1]
        assert isinstance(convolution, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        block[0] = fuse_conv_bn_eval(convolution, norm)
        block[1] = nn.Identity()
    return folded.requires_grad_(False)


def weights_sha256(network: nn.Module) -> str:
    """Hash of a module's values, in the order of its state dict."""
    digest = hashlib.sha256()
    for key, value in network.state_dict().items():
        digest.update(key.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
