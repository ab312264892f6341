"""Validation of LPNet-RT: masks, silence and video in one pass over score maps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lpnet_rt.detections import detect
from lpnet_rt.engines.scorer import HostScorer
from lpnet_rt.engines.torch_module import TorchModuleEngine
from lpnet_rt.frames import GreyImage
from lpnet_rt.networks.lpnet_rt.card import card_of
from lpnet_rt.networks.lpnet_rt.network import LPNetRT
from lpnet_rt.training.crops.lpnet_rt import FalseAlarms
from lpnet_rt.training.data.frames import LabelledFrame
from lpnet_rt.training.data.roles import spread_over, validation_frames
from lpnet_rt.training.evaluation.field_metrics import BoxAccumulator, EmptyFrameAccumulator, FieldAccumulator
from lpnet_rt.training.progress import watched
from lpnet_rt.training.recipes.lpnet_rt import Recipe

__all__ = ["Scorer", "Validation", "ValidationSet", "find_false_alarms", "scorer", "validate"]

Scorer = Callable[[GreyImage], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class ValidationSet:
    """What a model is judged on while it is trained; none of it is trained on.

    Attributes:
        masked: Frames with pixel masks and targets.
        empty: Target-free frames.
        video: Frames of clips.
    """

    masked: list[LabelledFrame]
    empty: list[LabelledFrame]
    video: list[LabelledFrame]

    @classmethod
    def load(cls, recipe: Recipe) -> ValidationSet:
        """Read what the recipe names, as much of it as the recipe says.

        Raises:
            DataError: A file is missing or damaged.
        """
        part = recipe.validation
        frames = list(validation_frames(recipe.data, part.video_stride, part.clips))
        masked, empty, video = ([f for f in frames if f.role == role] for role in ("targets", "target-free", "video"))
        return cls(spread_over(masked, part.frames), spread_over(empty, part.frames), video)


@dataclass(frozen=True, slots=True)
class Validation:
    """The metrics, at one threshold; shares in percent.

    Attributes:
        miou: Pooled IoU on ``masked``.
        niou: Mean IoU of the frames of ``masked``.
        pd: Targets found on ``masked``.
        fa_per_million: Pixels of false detections per million pixels on ``masked``.
        empty_false: False detections per target-free frame.
        video_hit: Labelled video frames with a detection in the grown box.
        video_false: Detections outside the boxes, a labelled frame.
    """

    miou: float
    niou: float
    pd: float
    fa_per_million: float
    empty_false: float
    video_hit: float
    video_false: float

    @property
    def fitness(self) -> float:
        """One number to choose by: shape, targets found, and what is wrongly reported."""
        shape = 0.5 * (self.miou + self.niou)
        false = (
            0.2 * min(self.fa_per_million, 100.0) + 20.0 * min(self.empty_false, 1.0) + 30.0 * min(self.video_false, 1)
        )
        return shape + self.pd + self.video_hit - false


def scorer(network: LPNetRT, precision: str) -> Scorer:
    """Wrap a network, on any device, as a function from a frame to its score map."""

    def forward(image: Tensor) -> Tensor:
        logits, _ = network(image.contiguous(memory_format=torch.channels_last))
        return torch.sigmoid(logits.float())

    engine = TorchModuleEngine(forward, precision, next(network.parameters()).device)
    return HostScorer(engine, card_of(network)).score_map


def validate(score: Scorer, data: ValidationSet, threshold: float = 0.5) -> Validation:
    """Judge a scorer; masks are always taken at a score of 0.5, detections at ``threshold``."""
    masked, empty, video = FieldAccumulator(0.5), EmptyFrameAccumulator(threshold), BoxAccumulator()
    kinds = (*(["masked"] * len(data.masked)), *(["empty"] * len(data.empty)), *(["video"] * len(data.video)))
    samples = (*data.masked, *data.empty, *data.video)
    for kind, sample in watched(list(zip(kinds, samples, strict=True)), "validation"):
        scores = score(sample.image)
        if kind == "masked":
            masked.add(scores, sample.truth.mask)
        elif kind == "empty":
            empty.add(scores)
        else:
            found = detect(scores, sample.image, threshold).centroid_xy
            video.add(found, sample.truth.boxes_xywh, sample.truth.ignored_xy)
    shapes, boxes = masked.result(), video.result()
    return Validation(
        miou=100 * (shapes.miou or 0.0),
        niou=100 * (shapes.niou or 0.0),
        pd=100 * (shapes.pd or 0.0),
        fa_per_million=shapes.fa_per_million or 0.0,
        empty_false=empty.result().false_per_frame or 0.0,
        video_hit=100 * (boxes.hit_rate or 0.0),
        video_false=boxes.false_per_frame or 0.0,
    )


def find_false_alarms(
    score: Scorer, empty: list[LabelledFrame], threshold: float = 0.1, max_per_frame: int = 6
) -> FalseAlarms:
    """Where a scorer fires on target-free frames: the strongest few of each, as hard negatives."""
    places: FalseAlarms = []
    for index, sample in watched(list(enumerate(empty)), "hard negatives"):
        found = detect(score(sample.image), sample.image, threshold)
        places.extend((index, float(x), float(y)) for x, y in found.centroid_xy[:max_per_frame])
    return places
