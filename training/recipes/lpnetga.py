"""Recipe of the paper's network; the defaults are those for SIRST."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from lpnet_rt.training.recipes.data import Count, DataSetsRecipe, Positive, Share

__all__ = [
    "LPNetGADataRecipe",
    "LPNetGALossRecipe",
    "LPNetGANetworkRecipe",
    "LPNetGAOptimiserRecipe",
    "LPNetGARecipe",
]


class LPNetGANetworkRecipe(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Shape of the network.

    Attributes:
        patch_px: Side of a patch.
        stride_px: Distance from one patch to the next.
        padding_px: Margin around the frame in which patches may lie.
        gate_scale: The features are multiplied by attention times this while the network learns; 1 as published. An
            attention of 1/14400 everywhere, which is what it starts from, makes features so small that batch norm
            takes them for nothing (its epsilon outweighs their variance); 16384 starts them at about their own size.
            The weights that come out are those of the published network: see ``absorb_gate``.
        prior: Score that an untrained network gives where it sees nothing; None, as published, leaves it near one half,
            from where Adam takes some twenty epochs to the share of pixels that are targets.
    """

    patch_px: Positive = 30
    stride_px: Positive = 10
    padding_px: Count = 30
    gate_scale: Annotated[float, Meta(gt=0)] = 1.0
    prior: Annotated[float, Meta(gt=0, lt=1)] | None = None


class LPNetGADataRecipe(DataSetsRecipe, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the network sees in one epoch: one crop of every image, and ``video_crops`` of clips.

    Attributes:
        validation_frames: At most so many frames to choose the best model by, evenly spread; 0 takes all.
        side_px: Side of a crop; the shorter side of a frame is resized to it first.
    """

    validation_frames: Count = 0
    side_px: Annotated[int, Meta(ge=8)] = 120


class LPNetGALossRecipe(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is minimised.

    Attributes:
        supervised: Teach the attention the spread map.
        sigma: Width of the spread map's Gaussian, in steps of the spectrum.
        patches: Patches of each crop that a step takes, redrawn at every step; 0 takes all that lie inside, as the
            paper does. Fewer estimate the same loss at a fraction of the cost.
    """

    supervised: bool = False
    sigma: Annotated[float, Meta(gt=0)] = 5.0
    patches: Count = 0


class LPNetGAOptimiserRecipe(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Adam; the rate is its usual one.

    Attributes:
        epochs: Passes over the training frames.
        batch: Crops per step.
        rate: Learning rate.
        average: Share of its old self that an averaged network keeps in each step; 0, as the paper has it, averages
            nothing.
        cosine: Let the rate fall to zero along a cosine; the paper keeps it.
        validate_every: Validate every n-th epoch.
    """

    epochs: Positive = 600
    batch: Positive = 8
    rate: Annotated[float, Meta(gt=0)] = 1e-3
    cosine: bool = False
    average: Share = 0.0
    validate_every: Positive = 10


class LPNetGARecipe(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole recipe.

    Attributes:
        task: Which network this is a recipe of.
        seed: Of weights and crops; the same seed gives the same run.
        precision: ``bf16`` or ``f16`` (autocast; f16 on CUDA only) or ``f32``.
        workers: Processes that cut crops.
    """

    task: Literal["lpnetga"] = "lpnetga"
    network: LPNetGANetworkRecipe = LPNetGANetworkRecipe()
    data: LPNetGADataRecipe = LPNetGADataRecipe()
    loss: LPNetGALossRecipe = LPNetGALossRecipe()
    optimiser: LPNetGAOptimiserRecipe = LPNetGAOptimiserRecipe()
    seed: Count = 0
    precision: Literal["bf16", "f16", "f32"] = "bf16"
    workers: Count = 0
