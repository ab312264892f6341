"""How LPNetGA is trained, as Chen et al. (TAES 2022) do: patches' cross-entropy, attention by spread maps, Adam."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam

from lpnet_rt.engines.scorer import HostScorer
from lpnet_rt.engines.torch_module import TorchModuleEngine
from lpnet_rt.models.lpnetga_card import LPNetGACard
from lpnet_rt.models.weights import model_card
from lpnet_rt.networks.lpnetga.network import LPNetGA
from lpnet_rt.networks.lpnetga.patches import PatchGrid, split
from lpnet_rt.training.crops.lpnetga import PaperCrops, load_frames
from lpnet_rt.training.data.frames import IGNORE, LabelledFrame
from lpnet_rt.training.evaluation.field_metrics import FieldAccumulator
from lpnet_rt.training.evaluation.paper_metrics import PUBLISHED, PaperAccumulator
from lpnet_rt.training.progress import watched
from lpnet_rt.training.recipes.lpnetga import LPNetGANetworkRecipe, LPNetGARecipe
from lpnet_rt.training.tasks.base import ValidationResult
from lpnet_rt.training.tasks.spread_maps import spread_map

__all__ = ["LPNetGATask", "attention_loss", "build_lpnetga", "patch_loss"]


def build_lpnetga(recipe: LPNetGANetworkRecipe) -> LPNetGA:
    """Make the network that a recipe describes."""
    network = LPNetGA(PatchGrid(recipe.patch_px, recipe.stride_px, recipe.padding_px))
    network.gate_scale = recipe.gate_scale
    bias = network.lfe.patch_net.classifier.bias
    if recipe.prior is not None and bias is not None:
        nn.init.constant_(bias, math.log(recipe.prior / (1.0 - recipe.prior)))
    return network


def patch_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Binary cross-entropy of patches, averaged over all pixels of all patches.

    Args:
        logits: (N, 1, patch, patch), before the sigmoid.
        truth: (N, 1, patch, patch) uint8: 255 target, 0 background, 128 not counted.
    """
    entropy = functional.binary_cross_entropy_with_logits(logits.float(), (truth == 255).float(), reduction="none")
    valid = (truth != IGNORE).float()
    return (entropy * valid).sum() / valid.sum().clamp(min=1.0)


def attention_loss(attention: Tensor, truth: Tensor, sigma: float) -> Tensor:
    """H*W times the mean squared difference of attention and spread map.

    Args:
        attention: (B, 1, H, W), sums to 1 over each frame.
        truth: (B, 1, H, W) uint8, 255 on targets.
        sigma: See :func:`lpnet_rt.training.tasks.spread_maps.spread_map`.
    """
    wanted = spread_map(truth == 255, sigma)
    return attention[0].numel() * functional.mse_loss(attention.float(), wanted)


class LPNetGATask:
    """See :class:`lpnet_rt.training.tasks.base.Task`."""

    columns = (
        "fitness",
        "target_f1",
        "target_threshold",
        "pixel_f1",
        "pixel_threshold",
        "roc_area",
        "miou",
        "pd",
        "fa",
    )
    clip_norm: float | None = None
    patience = 0

    def __init__(self, recipe: LPNetGARecipe) -> None:
        """Read the data.

        Raises:
            DataError: They are incomplete.
            SettingsError: The patches do not fit the crops.
        """
        self._recipe = recipe
        self.average: float | None = recipe.optimiser.average or None
        self._grid = build_lpnetga(recipe.network).grid
        self._grid.inside().shape((recipe.data.side_px, recipe.data.side_px))
        frames, video, self._validation = load_frames(recipe.data)
        self.crops = PaperCrops(frames, video, recipe.data, recipe.seed)

    def build(self) -> LPNetGA:
        """Make the network."""
        return build_lpnetga(self._recipe.network)

    def make_optimiser(self, network: nn.Module) -> Adam:
        """Adam."""
        return Adam(network.parameters(), lr=self._recipe.optimiser.rate)

    def rate(self, step: int, steps: int) -> float:
        """Adam's usual rate throughout, unless the recipe wants a cosine."""
        recipe = self._recipe.optimiser
        return recipe.rate * (0.5 * (1.0 + math.cos(math.pi * step / steps)) if recipe.cosine else 1.0)

    def view(self, network: nn.Module, image: Tensor, truth: Tensor, step: int) -> tuple[Tensor, ...]:
        """Patch logits (B*P, 1, patch, patch) and attention (B, 1, S, S)."""
        lpnetga = cast("LPNetGA", network)
        if not self._recipe.loss.patches:
            return lpnetga.training_view(image)
        _, attention, gated = lpnetga.global_view(image)
        patches = split(gated, self._grid.inside())[self._drawn(truth, step)]
        return lpnetga.lfe.logits(patches.contiguous(memory_format=torch.channels_last)), attention

    def loss(self, view: tuple[Tensor, ...], truth: Tensor, step: int) -> Tensor:
        """The patches' loss and, where attention is supervised, that of the attention."""
        logits, attention = view
        cut = split(truth, self._grid.inside())
        if self._recipe.loss.patches:
            cut = cut[self._drawn(truth, step)]
        loss = patch_loss(logits, cut)
        if self._recipe.loss.supervised:
            loss = loss + attention_loss(attention, truth, self._recipe.loss.sigma)
        return loss

    def finish_epoch(self, network: nn.Module, epoch: int) -> dict[str, float]:
        """Nothing is due after an epoch."""
        return {}

    def validate(self, network: nn.Module) -> ValidationResult:
        """The paper's metrics of the paper's procedure, and the field's at an absolute score of 0.5."""
        return _judge(cast("LPNetGA", network), self._validation, self._recipe.precision)

    def state(self) -> dict[str, object]:
        """Nothing but the network and the optimiser changes."""
        return {}

    def restore(self, state: dict[str, object]) -> None:
        """Nothing to take back."""

    def _drawn(self, truth: Tensor, step: int) -> Tensor:
        """Which patches a step takes: as many of every crop."""
        batch = len(truth)
        rows, columns = self._grid.inside().shape((truth.shape[2], truth.shape[3]))
        number, taken = rows * columns, min(self._recipe.loss.patches, rows * columns)
        generator = torch.Generator().manual_seed(self._recipe.seed * 1_000_003 + step)
        drawn = torch.rand(batch, number, generator=generator).argsort(dim=1)[:, :taken]
        return (drawn + number * torch.arange(batch)[:, None]).flatten().to(truth.device)


def _judge(network: LPNetGA, frames: list[LabelledFrame], precision: str) -> ValidationResult:
    """Score whole frames; an absolute map stretched to 0..1 is the paper's map."""
    engine = TorchModuleEngine(lambda image: network(image, "mean"), precision, next(network.parameters()).device)
    scorer = HostScorer(engine, model_card(LPNetGACard(name="LPNetGA", sha256="", licence="", fusing="mean")))
    paper, field = PaperAccumulator(rules=(PUBLISHED,)), FieldAccumulator(0.5)
    for frame in watched(frames, "validation"):
        score = scorer.score_map(frame.image)
        true = frame.truth.mask == 255
        field.add(score, true)
        span = float(score.max() - score.min())
        paper.add((score - score.min()) / span if span > 0 else score * 0.0, true)
    metrics, shapes = paper.result(PUBLISHED), field.result()
    target, pixel = metrics.best_target_f1, metrics.best_pixel_f1
    target_f1 = (target.target_f1 if target else None) or 0.0
    pixel_f1 = (pixel.pixel_f1 if pixel else None) or 0.0
    figures = {
        "target_f1": target_f1,
        "target_threshold": target.threshold if target else 1.0,
        "pixel_f1": pixel_f1,
        "pixel_threshold": pixel.threshold if pixel else 1.0,
        "roc_area": metrics.roc_area,
        "miou": 100 * (shapes.miou or 0.0),
        "pd": 100 * (shapes.pd or 0.0),
        "fa": shapes.fa_per_million or 0.0,
    }
    return ValidationResult(target_f1 + pixel_f1, figures)
