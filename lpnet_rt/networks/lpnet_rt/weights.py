"""LPNet-RT's weights from an exported ONNX file: one file serves every engine, including PyTorch."""

from __future__ import annotations

import dataclasses

import msgspec
import numpy as np
import torch
from torch import nn

from lpnet_rt.errors import DependencyError, ModelError, reason
from lpnet_rt.models import ModelFile
from lpnet_rt.networks.lpnet_rt.inference import ScoredLPNetRT
from lpnet_rt.networks.lpnet_rt.network import ConvNorm, LPNetRT, LPNetRTConfig

__all__ = ["network_of_onnx"]

# Suffix that the exporter gives to a bias folded from a batch norm.
_FOLDED_BIAS = ".weight_bias"


def network_of_onnx(model: ModelFile) -> ScoredLPNetRT:
    """Build the network that a card describes, with the weights of the file beside it.

    Args:
        model: An ONNX file of LPNet-RT in fp32, as ``lpnet-rt export`` writes it.

    Returns:
        The network in evaluation mode on the CPU, fp32, batch norm folded.

    Raises:
        DependencyError: The package onnx is missing.
        ModelError: The file is damaged or of another network.
    """
    tensors = _initialisers(model)
    network = ScoredLPNetRT(_without_norms(model)).eval()
    state = {}
    for key, value in network.state_dict().items():
        name = key if key in tensors else key.removesuffix(".bias") + _FOLDED_BIAS
        if name not in tensors or tensors[name].shape != value.shape or tensors[name].dtype != np.float32:
            found = f"{tensors[name].dtype} {tensors[name].shape}" if name in tensors else "none"
            raise ModelError(
                f"{model.path}: expected {key}, float32 {tuple(value.shape)}, found {found}; "
                "PyTorch runs fp32 ONNX files of LPNet-RT"
            )
        state[key] = torch.from_numpy(tensors[name].copy())
    network.load_state_dict(state)
    return network.requires_grad_(False)


def _without_norms(model: ModelFile) -> LPNetRT:
    """Return the network as in the file: every batch norm replaced by a bias of its convolution."""
    if model.card.network != "LPNetRT":
        raise ModelError(f"{model.path}: expected a model of LPNet-RT, found {model.card.network}")
    unknown = set(model.card.config) - {field.name for field in dataclasses.fields(LPNetRTConfig)}
    if unknown:
        raise ModelError(f"{model.path}: its card does not describe an LPNet-RT: unknown {', '.join(sorted(unknown))}")
    try:
        network = LPNetRT(msgspec.convert(model.card.config, LPNetRTConfig))
    except msgspec.ValidationError as error:
        raise ModelError(f"{model.path}: its card does not describe an LPNet-RT: {error}") from error
    for block in [block for block in network.modules() if isinstance(block, ConvNorm)]:
        convolution = block[0]
        assert isinstance(convolution, nn.Conv2d)
        convolution.bias = nn.Parameter(torch.zeros(convolution.out_channels))
        block[1] = nn.Identity()
    return network


def _initialisers(model: ModelFile) -> dict[str, np.ndarray]:
    try:
        import onnx
        from onnx import numpy_helper
    except ModuleNotFoundError as error:
        raise DependencyError(
            f"{model.path}: PyTorch needs the package {error.name} to read it; "
            "pip install '.[train]' in a checkout of lpnet-rt"
        ) from error
    try:
        graph = onnx.load_from_string(model.content).graph
        return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    except Exception as error:  # protobuf's and onnx's exceptions share no base class
        raise ModelError(f"{model.path}: expected an ONNX file, found: {reason(error)}") from error
