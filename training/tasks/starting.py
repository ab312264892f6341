"""What a run of LPNet-RT starts from: a checkpoint, or a model file, whose batch norms are folded into convolutions."""

from __future__ import annotations

from pathlib import Path
from typing import Final, cast

import torch
from torch import Tensor, nn

from lpnet_rt.errors import ModelError
from lpnet_rt.models import find_model, packaged_models
from lpnet_rt.networks.lpnet_rt.network import ConvNorm, LPNetRT
from lpnet_rt.networks.lpnet_rt.weights import network_of_onnx
from lpnet_rt.training.states import read_state

__all__ = ["FrozenBatchNorm", "freeze_norms", "is_model", "take_weights", "unfolded_state"]

_MODEL_SUFFIX: Final = ".onnx"


class FrozenBatchNorm(nn.BatchNorm2d):
    """Batch norm that keeps its statistics in training: a scale and an offset of every channel, which are trained."""

    def train(self, mode: bool = True) -> FrozenBatchNorm:
        """Stay in evaluation mode."""
        return super().train(False)


def freeze_norms(network: nn.Module) -> None:
    """Let every batch norm of a network keep the statistics that it has, in place; its state dict stays the same."""
    for block in [block for block in network.modules() if isinstance(block, ConvNorm)]:
        norm = block[1]
        if isinstance(norm, nn.BatchNorm2d):
            frozen = FrozenBatchNorm(norm.num_features, norm.eps).eval()
            frozen.load_state_dict(norm.state_dict())
            block[1] = frozen


def is_model(spec: str) -> bool:
    """Whether a start is a model (packaged, or an ONNX file) rather than a checkpoint."""
    return spec in packaged_models() or spec.endswith(_MODEL_SUFFIX)


def take_weights(network: LPNetRT, spec: str) -> None:
    """Take the weights of a model or the averaged weights of a checkpoint, as far as they fit; the rest stays.

    Raises:
        DependencyError: The package onnx is missing.
        ModelError: The file is missing or damaged, or nothing in it fits.
    """
    found = unfolded_state(spec) if is_model(spec) else cast("dict[str, Tensor]", read_state(Path(spec))["average"])
    ours = network.state_dict()
    fitting = {key: value for key, value in found.items() if key in ours and ours[key].shape == value.shape}
    if not fitting:
        raise ModelError(f"{spec}: expected weights of LPNet-RT to start from, found none that fit")
    network.load_state_dict(fitting, strict=False)


def unfolded_state(spec: str) -> dict[str, Tensor]:
    """Return a model's weights as those of a network with batch norms that change nothing but add the folded biases.

    Args:
        spec: Name of a packaged model, or path of an ONNX file in fp32 with its card beside it.

    Returns:
        Tensors by the names of ``LPNetRT``'s state dict; the same scores come out in evaluation mode.

    Raises:
        DependencyError: The package onnx is missing.
        ModelError: The file is missing or damaged, or of another network.
    """
    folded = network_of_onnx(find_model(spec)).network
    state = dict(folded.state_dict())
    for name, block in folded.named_modules():
        if isinstance(block, ConvNorm):
            bias = state.pop(f"{name}.0.bias")
            norm = nn.BatchNorm2d(len(bias))
            # The norm divides by sqrt(variance + eps): so that this is one.
            norm.running_var = torch.full_like(bias, 1.0 - norm.eps)
            state |= {f"{name}.1.{key}": value for key, value in (norm.state_dict() | {"bias": bias}).items()}
    return state
