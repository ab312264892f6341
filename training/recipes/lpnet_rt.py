"""Recipe: everything a training run of LPNet-RT depends on, in one validated, frozen tree."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from lpnet_rt.training.recipes.data import Count, DataSetsRecipe, Positive, Share

__all__ = ["DataRecipe", "NetworkRecipe", "OptimiserRecipe", "Recipe", "ValidationRecipe"]

# Far over what any machine trains: what stands here is allocated before anything else could refuse it.
Channels = Annotated[int, Meta(ge=1, le=4096)]
Blocks = Annotated[int, Meta(ge=1, le=64)]


class NetworkRecipe(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Shape of the network.

    Attributes:
        channels: Widths of the global view at 1/4, 1/8 and 1/16 of the frame's side.
        blocks: Residual blocks at each of these.
        hints: Channels that the global view hands to the local view beside its score.
        local_channels: Width of the patch net.
        local_blocks: Residual blocks of the patch net.
        patches: Cells of every frame that the patch net looks at again.
        scene: Width of the scene view; 0 does without it.
        offset: Added to every logit; a model that is fine-tuned keeps its own.
    """

    channels: tuple[Channels, Channels, Channels] = (32, 48, 80)
    blocks: tuple[Blocks, Blocks, Blocks] = (1, 2, 3)
    hints: Annotated[int, Meta(ge=0, le=64)] = 3
    local_channels: Channels = 32
    local_blocks: Blocks = 2
    patches: Annotated[int, Meta(ge=1, le=4096)] = 16
    scene: Annotated[int, Meta(ge=0, le=4096)] = 0
    offset: Annotated[float, Meta(ge=-100, le=100)] = 0.0


class DataRecipe(DataSetsRecipe, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the network sees in one epoch.

    Attributes:
        crop_px: Side of a training crop.
        mask_crops: Crops per epoch from frames with pixel masks and targets.
        empty_crops: Crops per epoch from target-free frames.
        hard_share: Share of the target-free crops that are centred on the network's own latest false alarms.
        synthetic_share: Share of target-free crops into which synthetic targets are laid.
    """

    crop_px: Annotated[int, Meta(ge=64, multiple_of=16)] = 256
    mask_crops: Count = 448
    empty_crops: Count = 352
    video_crops: Count = 352
    hard_share: Share = 0.5
    synthetic_share: Share = 0.05


class OptimiserRecipe(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """AdamW with linear warm-up and a cosine to zero, and an exponential moving average of the weights.

    Attributes:
        epochs: Passes over an epoch's crops.
        batch: Crops per step.
        rate: Highest learning rate.
        weight_decay: On convolution kernels.
        warmup_steps: Steps from nothing to the highest rate.
        clip_norm: Bound of the gradient's norm.
        average: What an old average keeps at each step.
        background: Weight of false blobs against missed targets.
        focus: Power of the score that weights a background pixel in the loss.
        shape_loss: How outlines count: ``soft-iou``, or ``scale-location``, which also asks for the right area and
            centroid, once the rate has risen.
        patches: Cells of a crop that the patch net looks at in training; 0 takes as many as in a frame. A crop of 256
            pixels holds a fifth of a frame's cells, and the patch net takes half of a step's time.
        start: Checkpoint whose averaged weights the run starts from, a packaged model or an ONNX file of this project,
            or empty; what it lacks starts fresh.
        start_sha256: Hash of that file; ``train --from`` writes it, so that a run goes on only from what it began with.
        frozen_norms: Batch norm keeps the statistics that it starts with.
        patience: The run ends after so many validations without a better one, and its start is validated, too; 0
            trains all epochs.
        hard_every: Look for new hard negatives every n-th epoch.
        validate_every: Validate every n-th epoch.
    """

    epochs: Positive = 75
    batch: Positive = 16
    rate: Annotated[float, Meta(gt=0)] = 2e-3
    weight_decay: Annotated[float, Meta(ge=0)] = 1e-2
    warmup_steps: Count = 200
    clip_norm: Annotated[float, Meta(gt=0)] = 5.0
    average: Share = 0.998
    background: Annotated[float, Meta(gt=0)] = 1.5
    focus: Annotated[float, Meta(ge=0)] = 1.0
    shape_loss: Literal["soft-iou", "scale-location"] = "soft-iou"
    patches: Annotated[int, Meta(ge=0, le=4096)] = 0
    start: str = ""
    start_sha256: str = ""
    frozen_norms: bool = False
    patience: Count = 0
    hard_every: Positive = 5
    validate_every: Positive = 10


class ValidationRecipe(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How much a model is validated on during training; more takes longer and is more reliable.

    Attributes:
        frames: At most so many frames with masks, and as many target-free ones, evenly spread; 0 takes all.
        clips: At most so many of the clips held back, evenly spread; 0 takes all.
        video_stride: Every n-th labelled frame of a clip is validated on.
    """

    frames: Count = 0
    clips: Count = 0
    video_stride: Positive = 60


class Recipe(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole recipe.

    Attributes:
        task: Which network this is a recipe of.
        seed: Of weights, crops and augmentation; the same seed gives the same run.
        precision: ``bf16`` or ``f16`` (autocast; f16 on CUDA only) or ``f32``.
        workers: Processes that cut and augment crops.
    """

    task: Literal["lpnet-rt"] = "lpnet-rt"
    network: NetworkRecipe = NetworkRecipe()
    data: DataRecipe = DataRecipe()
    optimiser: OptimiserRecipe = OptimiserRecipe()
    validation: ValidationRecipe = ValidationRecipe()
    seed: Count = 0
    precision: Literal["bf16", "f16", "f32"] = "bf16"
    workers: Count = 0
