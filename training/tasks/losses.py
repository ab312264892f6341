"""Losses of LPNet-RT."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from lpnet_rt.training.data.frames import IGNORE

__all__ = ["EVEN", "Background", "detection_loss", "scale_location_loss", "soft_iou_loss", "views_loss"]

_BACKGROUND_PX = 12.0
_MOST_TARGET_PX = 64.0


@dataclass(frozen=True, slots=True)
class Background:
    """How false blobs count.

    Attributes:
        weight: Against missed targets.
        exponent: Power of the score that weights a background pixel: the higher, the more firm mistakes alone count.
    """

    weight: float = 1.0
    exponent: float = 1.0


EVEN = Background()


def soft_iou_loss(score: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """1 - soft IoU, averaged over the frames that hold a target (Rahman and Wang, ISVC 2016).

    Args:
        score: (B, 1, H, W) in 0..1.
        target: (B, 1, H, W), 1 on target pixels.
        valid: (B, 1, H, W), 0 on ignored pixels.

    Returns:
        A scalar; 0 where no frame holds a target.
    """
    score = score * valid
    overlap = (score * target).sum((1, 2, 3))
    union = (score + target - score * target).sum((1, 2, 3))
    holds = (target.sum((1, 2, 3)) > 0).float()
    loss = 1.0 - (overlap + 1.0) / (union + 1.0)
    return (loss * holds).sum() / holds.sum().clamp(min=1.0)


def scale_location_loss(score: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Loss sensitive to scale and location, averaged over the frames that hold a target (Liu et al., CVPR 2024).

    One minus the soft IoU weighted by how alike the areas are, plus how far apart the centroids are, in polar
    coordinates from the frame's corner: the ratio of the radii and the square of the angle.

    Args:
        score: (B, 1, H, W) in 0..1.
        target: (B, 1, H, W), 1 on target pixels.
        valid: (B, 1, H, W), 0 on ignored pixels.

    Returns:
        A scalar; 0 where no frame holds a target.
    """
    score = score * valid
    overlap = (score * target).sum((1, 2, 3))
    areas = score.sum((1, 2, 3)), target.sum((1, 2, 3))
    holds = (areas[1] > 0).float()
    spread = ((areas[0] - areas[1]) / 2.0) ** 2 + 1.0
    alike = (torch.minimum(*areas) + spread) / (torch.maximum(*areas) + spread)
    iou = (overlap + 1.0) / (areas[0] + areas[1] - overlap + 1.0)
    (found_radius, found_angle), (true_radius, true_angle) = _polar_centroid(score), _polar_centroid(target)
    radii = torch.minimum(found_radius, true_radius) / torch.maximum(found_radius, true_radius)
    apart = 1.0 - radii + (2.0 / math.pi * (found_angle - true_angle)) ** 2
    return ((1.0 - alike * iou + apart) * holds).sum() / holds.sum().clamp(min=1.0)


def _polar_centroid(weight: Tensor) -> tuple[Tensor, Tensor]:
    """(B,) distance of the centroid from the upper left corner, in sides of the frame, and (B,) angle, radians."""
    height, width = weight.shape[2:]
    ys = torch.linspace(0.0, 1.0, height, device=weight.device)[:, None]
    xs = torch.linspace(0.0, 1.0, width, device=weight.device)[None, :]
    total = weight.sum((1, 2, 3)) + 1.0
    x, y = (weight * xs).sum((1, 2, 3)) / total, (weight * ys).sum((1, 2, 3)) / total
    return torch.hypot(x, y) + 1e-6, torch.atan2(y, x + 1e-6)


def detection_loss(logits: Tensor, target: Tensor, valid: Tensor, background: Background = EVEN) -> Tensor:
    """Cross-entropy in which the confident mistakes count, whatever the size of the frame and of its targets.

    Target pixels are averaged over each frame that holds some, so that a large target weighs as much as a small one.
    Background pixels are weighted by a power of their score (as in the focal loss, Lin et al., ICCV 2017), summed, and
    divided by the number of target pixels (at most 64 a frame) plus a dozen a frame: a firm false blob weighs about as
    much as a missed target of its size, in a frame of any size.

    Args:
        logits: (B, 1, H, W).
        target: (B, 1, H, W), 1 on target pixels.
        valid: (B, 1, H, W), 0 on ignored pixels.
        background: How false blobs count.
    """
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    count = target.sum((1, 2, 3))
    holds = (count > 0).float()
    positive = ((entropy * target).sum((1, 2, 3)) / count.clamp(min=1.0)).sum() / holds.sum().clamp(min=1.0)
    weight = torch.sigmoid(logits.detach()).pow(background.exponent) * (1.0 - target) * valid
    negative = (entropy * weight).sum() / (count.clamp(max=_MOST_TARGET_PX) + _BACKGROUND_PX).sum()
    return positive + background.weight * negative


def views_loss(
    fine: Tensor,
    coarse: Tensor,
    truth: Tensor,
    background: Background = EVEN,
    shape_loss: Callable[[Tensor, Tensor, Tensor], Tensor] = soft_iou_loss,
) -> Tensor:
    """Loss of both views: the joint score counts fully, the global view's own score by half.

    Args:
        fine: (B, 1, H, W) logits of both views.
        coarse: (B, 1, H, W) logits of the global view.
        truth: (B, 1, H, W) uint8: 255 target, 0 background, 128 ignored.
        background: How false blobs count.
        shape_loss: How outlines count: of (score, target, valid).
    """
    target = (truth == 255).float()
    valid = (truth != IGNORE).float()
    total = fine.new_zeros((), dtype=torch.float32)
    for logits, share in ((fine.float(), 1.0), (coarse.float(), 0.5)):
        shape = shape_loss(torch.sigmoid(logits), target, valid)
        total = total + share * (shape + detection_loss(logits, target, valid, background))
    return total
