"""LPNetGA: the local patch network with global attention of Chen et al. (TAES 2022).

A global view (residual blocks and an attention that sums to 1 over the frame) weights the frame; a local view (one
small network shared by all patches) scores each patch. Module and parameter names are those of the published
checkpoints. The patch net processes all patches of a batch at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from lpnet_rt.errors import SettingsError
from lpnet_rt.models.lpnetga_card import Fusing, Statistics
from lpnet_rt.networks.lpnetga.patches import PatchGrid, fuse, split

__all__ = ["LPNetGA", "Norm", "fused", "min_max"]


class Norm(nn.BatchNorm2d):
    """Batch norm that can also use the statistics of each sample.

    In training mode it is batch norm. In evaluation mode ``statistics`` decides: ``running`` uses the running
    averages, ``image`` the mean and biased variance of each sample and channel, which is what a batch of one in
    training mode computes and what the published test procedure relies on.
    """

    statistics: Statistics = "running"

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, H, W)."""
        if self.training or self.statistics == "running":
            return super().forward(x)
        return functional.instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps)


class ResBlock(nn.Module):
    """1x1, 3x3 and 1x1 convolutions, each with batch norm, around a shortcut; all keep the size."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1: nn.Module = nn.Conv2d(inputs, outputs, 1)
        self.bn1: nn.Module = Norm(outputs)
        self.conv2: nn.Module = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.bn2: nn.Module = Norm(outputs)
        self.conv3: nn.Module = nn.Conv2d(outputs, outputs, 1)
        self.bn3: nn.Module = Norm(outputs)
        self.projects = inputs != outputs
        if self.projects:
            self.identity: nn.Module = nn.Conv2d(inputs, outputs, 3, padding=1)
            self.bn: nn.Module = Norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W), not negative."""
        y = functional.relu_(self.bn1(self.conv1(x)))
        y = functional.relu_(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        shortcut = self.bn(self.identity(x)) if self.projects else x
        return functional.relu_(y + shortcut)


class GlobalFeatures(nn.Module):
    """(B, 1, H, W) frame -> (B, 8, H, W) features."""

    def __init__(self) -> None:
        super().__init__()
        self.block1 = ResBlock(1, 64)
        self.block2 = ResBlock(64, 128)
        self.block3 = ResBlock(128, 64)
        self.block4 = ResBlock(64, 8)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 1, H, W) in 0..1 -> (B, 8, H, W), not negative."""
        features: Tensor = self.block4(self.block3(self.block2(self.block1(image))))
        return features


class GlobalAttention(nn.Module):
    """(B, 8, H, W) features -> (B, 1, H, W) logits of the attention."""

    def __init__(self) -> None:
        super().__init__()
        self.block1 = ResBlock(8, 32)
        self.block2 = ResBlock(32, 64)
        self.block3 = ResBlock(64, 128)
        self.block4 = ResBlock(128, 64)
        self.block5 = ResBlock(64, 32)
        self.block6 = ResBlock(32, 1)
        self.cnn = nn.Conv2d(1, 1, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(B, 8, H, W) -> (B, 1, H, W), before the softmax."""
        x = self.block3(self.block2(self.block1(features)))
        logits: Tensor = self.cnn(self.block6(self.block5(self.block4(x))))
        return logits


class ConvNorm(nn.Module):
    """Convolution that keeps the size, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.conv: nn.Module = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
        self.bn: nn.Module = Norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W), not negative."""
        return functional.relu_(self.bn(self.conv(x)))


class UpNorm(nn.Module):
    """Transposed convolution that doubles the size, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.deconv: nn.Module = nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)
        self.bn: nn.Module = Norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, 2H, 2W), not negative."""
        return functional.relu_(self.bn(self.deconv(x)))


class PatchNet(nn.Module):
    """(B, 12, H, W) -> (B, 1, H, W) logits, computed at twice the resolution."""

    def __init__(self) -> None:
        super().__init__()
        self.deconv = UpNorm(12, 32)
        self.block1 = ResBlock(32, 32)
        self.block2 = ResBlock(32, 32)
        self.block3 = ResBlock(32, 1)
        self.classifier = nn.Conv2d(1, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 12, H, W) -> (B, 1, H, W), before the sigmoid."""
        x = self.deconv(x)  # (B, 32, 2H, 2W)
        x = self.block3(self.block2(self.block1(x)))  # (B, 1, 2H, 2W)
        logits: Tensor = self.classifier(functional.max_pool2d(x, 2))
        return logits


class LocalView(nn.Module):
    """The network that all patches share: (B, 8, H, W) gated features -> (B, 1, H, W) scores."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_k1 = ConvNorm(8, 4, 1)
        self.conv_k3 = ConvNorm(8, 4, 3)
        self.conv_k5 = ConvNorm(8, 4, 5)
        self.patch_net = PatchNet()

    def logits(self, x: Tensor) -> Tensor:
        """(B, 8, H, W) -> (B, 1, H, W), before the sigmoid (for a numerically stable loss)."""
        scales = torch.cat((self.conv_k1(x), self.conv_k3(x), self.conv_k5(x)), dim=1)  # (B, 12, H, W)
        logits: Tensor = self.patch_net(scales)
        return logits

    def forward(self, x: Tensor) -> Tensor:
        """(B, 8, H, W) -> (B, 1, H, W) in 0..1."""
        return torch.sigmoid(self.logits(x))


class LPNetGA(nn.Module):
    """The whole network, as published.

    Attributes:
        grid: Positions of the patches.
        gate_scale: Factor on the attention before it multiplies the features. 1 as published; larger in a folded
            network (:func:`lpnet_rt.networks.lpnetga.folding.fold_batch_norm`), whose next convolutions are divided by
            it.
    """

    def __init__(self, grid: PatchGrid | None = None) -> None:
        super().__init__()
        self.grid = grid if grid is not None else PatchGrid()
        self.gate_scale = 1.0
        self.gfe = GlobalFeatures()
        self.attn = GlobalAttention()
        self.lfe = LocalView()

    def global_view(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run the global view.

        Args:
            image: (B, 1, H, W), grey, 0..1.

        Returns:
            Features (B, 8, H, W); attention (B, 1, H, W), which sums to 1 over each frame; gated features
            (B, 8, H, W), the product of the two times ``gate_scale``.
        """
        features: Tensor = self.gfe(image)
        logits: Tensor = self.attn(features)
        # A softmax over 14,400 pixels underflows in half precision; in float32 its cost is negligible.
        attention = functional.softmax(_full_precision(logits).flatten(1), dim=1).view_as(logits)
        gate = (attention * self.gate_scale).to(features.dtype)
        return features, attention, features * gate

    def overlap_sum(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Score all patches and sum them where they overlap.

        Args:
            image: (B, 1, H, W), grey, 0..1; H and W must fit ``grid``.

        Returns:
            The sum of patch scores (B, 1, H, W), at least float32, and how many patches cover each pixel (1, 1, H, W).

        Raises:
            SettingsError: The grid does not fit the frame.
        """
        grid = self.grid.without_border()
        _, _, gated = self.global_view(image)
        scores = self.lfe(split(gated, grid))  # (B*P, 1, patch, patch)
        return fuse(_full_precision(scores), (image.shape[2], image.shape[3]), grid)

    def forward(self, image: Tensor, fusing: Fusing = "sum_minmax") -> Tensor:
        """Score every pixel.

        Args:
            image: (B, 1, H, W), grey, 0..1.
            fusing: ``sum_minmax``: overlapping patch scores summed, then normalised per image to 0..1, as the paper
                does; the best pixel of every frame scores 1. ``mean``: sum over count, an absolute score. ``dense``:
                the patch net run once over the whole frame, an absolute score that differs from ``mean`` only by the
                effect of patch borders; with statistics of ``image`` it normalises by the whole map.

        Returns:
            (B, 1, H, W) in 0..1, float32 (float64 from a float64 network).

        Raises:
            SettingsError: The grid does not fit the frame (never for ``dense``), or ``fusing`` is unknown.
        """
        if fusing == "dense":
            _, _, gated = self.global_view(image)
            dense: Tensor = self.lfe(gated)
            return _full_precision(dense)
        if fusing not in ("sum_minmax", "mean"):
            raise SettingsError(f"fusing: expected sum_minmax, mean or dense, found {fusing!r}")
        return fused(*self.overlap_sum(image), fusing)

    def training_view(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the inputs of the paper's loss: logits of the patches inside the frame, and the attention.

        Args:
            image: (B, 1, H, W), grey, 0..1.

        Returns:
            Patch logits (B*P, 1, patch, patch), before the sigmoid, in the order in which
            ``split(mask, model.grid.inside())`` cuts the mask; attention (B, 1, H, W).

        Raises:
            SettingsError: The grid does not fit the frame.
        """
        _, attention, gated = self.global_view(image)
        return self.lfe.logits(split(gated, self.grid.inside())), attention

    @contextmanager
    def normalising_by(self, statistics: Statistics) -> Iterator[None]:
        """Context manager: use ``running`` statistics or those of each ``image`` in all batch norms.

        Not thread-safe.

        Raises:
            SettingsError: Other statistics, or ``image`` for a network whose batch norm is folded.
        """
        if statistics not in ("running", "image"):
            raise SettingsError(f"statistics: expected running or image, found {statistics!r}")
        norms = [module for module in self.modules() if isinstance(module, Norm)]
        if statistics == "image" and not norms:
            raise SettingsError("statistics: this network's batch norm is folded; image needs the network as trained")
        before = [norm.statistics for norm in norms]
        for norm in norms:
            norm.statistics = statistics
        try:
            yield
        finally:
            for norm, was in zip(norms, before, strict=True):
                norm.statistics = was


def fused(total: Tensor, count: Tensor, fusing: Fusing) -> Tensor:
    """Turn sums of patch scores (B, 1, H, W) and the patch count per pixel into scores, by ``mean`` or min-max."""
    return total / count.clamp(min=1) if fusing == "mean" else min_max(total)


def min_max(score_map: Tensor) -> Tensor:
    """Stretch each image of (B, 1, H, W) to 0..1; an image of one value becomes 0."""
    low = score_map.amin(dim=(1, 2, 3), keepdim=True)
    span = score_map.amax(dim=(1, 2, 3), keepdim=True) - low
    return (score_map - low) / torch.where(span > 0, span, torch.ones_like(span))


def _full_precision(x: Tensor) -> Tensor:
    """Convert half precision to float32; leave other types unchanged."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
