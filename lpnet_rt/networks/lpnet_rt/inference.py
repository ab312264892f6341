"""LPNet-RT for inference: scores as the only output, batch norm folded, half precision where it is safe."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from lpnet_rt.networks.lpnet_rt.network import ConvNorm, LPNetRT

__all__ = ["HEADS", "VIEWS", "PrecisionPlan", "ScoredLPNetRT", "apply_plan", "default_plan", "fold_norms"]

VIEWS = ("network.global_view", "network.local_view")
HEADS = tuple(f"{view}.head" for view in VIEWS)

_Module = TypeVar("_Module", bound=nn.Module)


class ScoredLPNetRT(nn.Module):
    """LPNet-RT with its scores as the only output."""

    def __init__(self, network: LPNetRT) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """(B, 2, H, W), see ``lpnet_rt.preprocessing.frame_and_local.model_input``, to (B, 1, H, W) scores in 0..1."""
        logits, _ = self.network(image)
        return torch.sigmoid(logits)


def fold_norms(module: _Module) -> _Module:
    """Return an equivalent copy in which every batch norm is folded into the convolution before it."""
    folded = copy.deepcopy(module).eval()
    for block in [block for block in folded.modules() if isinstance(block, ConvNorm)]:
        convolution, norm = block[0], block[1]
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            block[0] = fuse_conv_bn_eval(convolution, norm)
            block[1] = nn.Identity()
    return folded.requires_grad_(False)


@dataclass(frozen=True, slots=True)
class PrecisionPlan:
    """Which convolutions run in half precision.

    Everything outside the two views stays in fp32: choosing cells, gathering and scattering patches, and the sigmoid.

    Attributes:
        half: Names of the convolutions in half precision.
        full: Name of each convolution or view kept in fp32, and why.
    """

    half: tuple[str, ...]
    full: tuple[tuple[str, str], ...]

    def summary(self) -> str:
        """Return a one-line summary for display."""
        kept = "; ".join(f"{name.removeprefix('network.')}: {why}" for name, why in self.full)
        return f"{len(self.half)} convolutions in f16; in f32: selection, scatter, sigmoid; {kept}"


def default_plan(module: ScoredLPNetRT) -> PrecisionPlan:
    """Return the plan without measurements: all convolutions in half precision except those that write logits."""
    names = (name for name, inner in module.named_modules() if isinstance(inner, nn.Conv2d))
    return PrecisionPlan(
        half=tuple(name for name in names if name.startswith(VIEWS) and name not in HEADS),
        full=tuple((head, "writes logits") for head in HEADS),
    )


def apply_plan(module: ScoredLPNetRT, plan: PrecisionPlan, half: torch.dtype = torch.float16) -> ScoredLPNetRT:
    """Return a copy that follows the plan: (B, 2, H, W) float32 in and (B, 1, H, W) float32 out, as before.

    Args:
        module: Network in evaluation mode; not modified.
        plan: Which parts run in which precision.
        half: ``float16`` or ``bfloat16``.
    """
    mixed = fold_norms(module)
    kept = {name for name, _ in plan.full}
    for view in VIEWS:
        if view in kept:
            continue
        inner = mixed.get_submodule(view).to(half)
        for name in sorted(kept):
            if name.startswith(f"{view}."):
                island = _Island(
                    mixed.get_submodule(name).float(), torch.float32, torch.float32 if name in HEADS else half
                )
                mixed.set_submodule(name, island)
        mixed.set_submodule(view, _Island(inner, half, torch.float32))
    return mixed


class _Island(nn.Module):
    """A module in one precision inside a network in another."""

    def __init__(self, inner: nn.Module, inside: torch.dtype, outside: torch.dtype) -> None:
        super().__init__()
        self.inner = inner
        self.inside, self.outside = inside, outside

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, ``outside`` or float32, to ``outside``."""
        result: Tensor = self.inner(x.to(self.inside)).to(self.outside)
        return result
