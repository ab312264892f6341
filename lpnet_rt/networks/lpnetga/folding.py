"""LPNetGA for inference: batch norm folded into the convolutions, and the gate scaled into half precision's range."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from lpnet_rt.errors import SettingsError
from lpnet_rt.networks.lpnetga.network import LPNetGA

__all__ = ["GATE_SCALE", "absorb_gate", "fold_batch_norm"]

# Measured with both published networks: at 1024 the gate of the SIRST network spans 6e-3 to 8, gated features stay
# under 2,000 and 0.4 % of the divided weights are subnormal in half precision. At 120*120 3 to 4 % are, and gated
# features reach 26,000 of 65,504. A power of two divides without rounding.
GATE_SCALE = 1024.0

_NORM_OF = {"conv": "bn", "deconv": "bn", "conv1": "bn1", "conv2": "bn2", "conv3": "bn3", "identity": "bn"}


def fold_batch_norm(model: LPNetGA, gate_scale: float = GATE_SCALE) -> LPNetGA:
    """Return a copy that computes the same scores without batch norm, with values in the range of half precision.

    An attention that sums to 1 over 14,400 pixels is 7e-5 on average, and half precision's smallest normal number is
    6.1e-5. Here the gate is multiplied by ``gate_scale``, and the convolutions of the patch net that read it are
    divided by it; the batch norm folded into them has a large scale, so they stay in range. The scale is constant, so
    the result holds for any frame size.

    Args:
        model: Network in evaluation mode; not modified. Its batch norm is folded with running statistics.
        gate_scale: Greater than 0.

    Returns:
        A copy in evaluation mode, in which every batch norm is an identity.

    Raises:
        SettingsError: The model is in training mode or already folded, or ``gate_scale`` is not positive.
    """
    if model.training:
        raise SettingsError("fold_batch_norm: expected a network in evaluation mode, found training mode; call eval()")
    if not gate_scale > 0:
        raise SettingsError(f"fold_batch_norm: expected gate_scale > 0, found {gate_scale}")
    folded = copy.deepcopy(model)
    pairs = list(_convolutions_with_norm(folded))
    if not pairs:
        raise SettingsError("fold_batch_norm: expected a network with batch norm, found one that is folded already")
    for parent, name, norm_name in pairs:
        _fold(getattr(parent, name), getattr(parent, norm_name))
        setattr(parent, norm_name, nn.Identity())
    _rescale_gate(folded, gate_scale)
    return folded.requires_grad_(False)


def absorb_gate(model: LPNetGA) -> LPNetGA:
    """Reset a network's gate to the published scale of 1, in place; scores are unchanged (exactly for a power of two).

    Args:
        model: Trained with another ``gate_scale``; the convolutions that read the gate are multiplied by it.

    Returns:
        ``model``.
    """
    _rescale_gate(model, 1.0)
    return model


def _rescale_gate(model: LPNetGA, gate_scale: float) -> None:
    """Set the scale of the gate, and adjust the convolutions that read it."""
    for branch in (model.lfe.conv_k1, model.lfe.conv_k3, model.lfe.conv_k5):
        branch.conv.weight.data.div_(gate_scale / model.gate_scale)  # type: ignore[operator]
    model.gate_scale = gate_scale


def _convolutions_with_norm(model: nn.Module) -> list[tuple[nn.Module, str, str]]:
    """Return every (block, name of a convolution, name of the norm that follows it)."""
    return [
        (block, name, norm_name)
        for block in model.modules()
        for name, norm_name in _NORM_OF.items()
        if isinstance(getattr(block, name, None), nn.Conv2d | nn.ConvTranspose2d)
        and isinstance(getattr(block, norm_name, None), nn.BatchNorm2d)
    ]


@torch.no_grad()
def _fold(convolution: nn.Conv2d | nn.ConvTranspose2d, norm: nn.BatchNorm2d) -> None:
    """Fold a norm into the convolution before it; in float64, because some scales are in the hundreds."""
    mean, variance = _running(norm)
    scale = norm.weight.double() / torch.sqrt(variance + norm.eps)
    outputs_dim = 1 if isinstance(convolution, nn.ConvTranspose2d) else 0
    shape = [1, 1, 1, 1]
    shape[outputs_dim] = -1
    bias = convolution.bias.double() if convolution.bias is not None else torch.zeros_like(mean)
    convolution.weight.copy_(convolution.weight.double() * scale.view(shape))
    convolution.bias = nn.Parameter(((bias - mean) * scale + norm.bias.double()).to(convolution.weight.dtype))


def _running(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return the running mean and variance, float64."""
    if norm.running_mean is None or norm.running_var is None:
        raise SettingsError("fold_batch_norm: expected running averages, found a batch norm that keeps none")
    return norm.running_mean.double(), norm.running_var.double()
