"""How LPNet-RT is trained: crops of masks, empty skies and video; AdamW; an average of the weights; hard negatives."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import cast

import msgspec
import torch
from torch import Tensor, nn
from torch.optim import AdamW

from lpnet_rt.errors import DataError
from lpnet_rt.networks.lpnet_rt.network import LPNetRT, LPNetRTConfig
from lpnet_rt.training.crops.lpnet_rt import CropDataset, FalseAlarms
from lpnet_rt.training.data.roles import training_frames
from lpnet_rt.training.recipes.lpnet_rt import NetworkRecipe, Recipe
from lpnet_rt.training.tasks.base import ValidationResult
from lpnet_rt.training.tasks.judging import choose_threshold, judge
from lpnet_rt.training.tasks.losses import Background, scale_location_loss, soft_iou_loss, views_loss
from lpnet_rt.training.tasks.starting import freeze_norms, take_weights
from lpnet_rt.training.tasks.validate import Validation, ValidationSet, find_false_alarms, scorer, validate

__all__ = ["LPNetRTTask", "build_network", "cells_with_targets"]

_FINE_TUNING = ("threshold", "found", "false", "miou", "niou")


def build_network(recipe: NetworkRecipe) -> LPNetRT:
    """Make the network that a recipe describes."""
    return LPNetRT(LPNetRTConfig(**msgspec.structs.asdict(recipe)))


class LPNetRTTask:
    """See :class:`lpnet_rt.training.tasks.base.Task`."""

    def __init__(self, recipe: Recipe) -> None:
        """Read the data.

        Raises:
            DataError: They are incomplete; or a run with patience has no targets to learn or none to choose by.
        """
        self._recipe = recipe
        self.patience = recipe.optimiser.patience
        self.columns = ("false_alarms", "fitness", *(_FINE_TUNING if self.patience else Validation.__slots__))
        self.average: float | None = recipe.optimiser.average
        self.clip_norm: float | None = recipe.optimiser.clip_norm
        self.crops = CropDataset.of(training_frames(recipe.data), recipe.data, recipe.seed)
        self._validation = ValidationSet.load(recipe)
        if self.patience:
            self._refuse_no_targets()

    def build(self) -> LPNetRT:
        """Make the network, with the weights it starts from.

        Raises:
            ModelError: The checkpoint or model to start from is missing or damaged.
        """
        network, recipe = build_network(self._recipe.network), self._recipe.optimiser
        if recipe.start:
            take_weights(network, recipe.start)
        if recipe.frozen_norms:
            freeze_norms(network)
        return network

    def make_optimiser(self, network: nn.Module) -> AdamW:
        """AdamW with weight decay on convolution kernels only."""
        recipe = self._recipe.optimiser
        kernels = [p for p in network.parameters() if p.ndim == 4]
        others = [p for p in network.parameters() if p.ndim != 4]
        groups = [{"params": kernels, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
        return AdamW(groups, lr=recipe.rate)

    def rate(self, step: int, steps: int) -> float:
        """Linear warm-up, then a cosine to zero."""
        recipe = self._recipe.optimiser
        warm = min(1.0, (step + 1) / max(1, recipe.warmup_steps))
        return recipe.rate * warm * 0.5 * (1.0 + math.cos(math.pi * step / steps))

    def view(self, network: nn.Module, image: Tensor, truth: Tensor, step: int) -> tuple[Tensor, ...]:
        """Logits of both views and of the global view alone, each (B, 1, S, S)."""
        fine, coarse = network(image, cells_with_targets(truth, step), self._recipe.optimiser.patches or None)
        return fine, coarse

    def loss(self, view: tuple[Tensor, ...], truth: Tensor, step: int) -> Tensor:
        """Loss of both views."""
        recipe = self._recipe.optimiser
        # Areas and centroids of the first steps' scores, which are about one half everywhere, say nothing.
        is_early = step < recipe.warmup_steps
        shape_loss = soft_iou_loss if recipe.shape_loss == "soft-iou" or is_early else scale_location_loss
        return views_loss(view[0], view[1], truth, Background(recipe.background, recipe.focus), shape_loss)

    def finish_epoch(self, network: nn.Module, epoch: int) -> dict[str, float]:
        """Look for false alarms on the target-free frames, now and then: the next epochs' hard negatives."""
        if epoch % self._recipe.optimiser.hard_every == 0:
            score = scorer(cast("LPNetRT", network), self._recipe.precision)
            self.crops.false_alarms = find_false_alarms(score, self.crops.empty)
        return {"false_alarms": len(self.crops.false_alarms)}

    def validate(self, network: nn.Module) -> ValidationResult:
        """Masks, silence and video; in a run with patience, whatever the threshold: scores move as a whole there."""
        score = scorer(cast("LPNetRT", network), self._recipe.precision)
        if self.patience:
            data = self._validation
            judged = judge(score, (*data.masked, *data.empty, *data.video), "validation")
            at = judged.at(choose_threshold(judged))
            values = (at.threshold, 100 * at.found_share, at.false_per_frame, judged.masks.miou, judged.masks.niou)
            return ValidationResult(judged.fitness, dict(zip(_FINE_TUNING, (v or 0.0 for v in values), strict=True)))
        found = validate(score, self._validation)
        return ValidationResult(found.fitness, asdict(found))

    def _refuse_no_targets(self) -> None:
        """Without targets the quietest network is the best one, and that is blind."""
        crops, validation = self.crops, self._validation
        for what, found in (
            ("training", crops.masked or crops.video),
            ("validation", validation.masked or validation.video),
        ):
            if not found:
                raise DataError(
                    f"{self._recipe.data.root}: expected targets in the {what} part, found none; "
                    "label more frames, or name the parts in split files (docs/data.md)"
                )

    def state(self) -> dict[str, object]:
        """Where the network last fired on target-free frames."""
        return {"false_alarms": self.crops.false_alarms}

    def restore(self, state: dict[str, object]) -> None:
        """Take it back."""
        self.crops.false_alarms = [(i, x, y) for i, x, y in cast("FalseAlarms", state["false_alarms"])]


def cells_with_targets(truth: Tensor, step: int = 1) -> Tensor:
    """Bring cells with targets into the local view in three batches of four, so that it learns from all of them.

    In the fourth, and at run time, the global view alone chooses.
    """
    target = (truth == 255).float()
    cells = torch.nn.functional.max_pool2d(target, 16).flatten(1)
    return cells * (100.0 if step % 4 else 0.0)
