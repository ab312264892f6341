"""Losses of LPNet-RT, by hand and by what they must prefer."""

from __future__ import annotations

import math

import pytest
import torch

from lpnet_rt.training.data.frames import IGNORE
from lpnet_rt.training.tasks.losses import detection_loss, scale_location_loss, soft_iou_loss, views_loss


def truth_map() -> torch.Tensor:
    truth = torch.zeros(2, 1, 32, 32, dtype=torch.uint8)
    truth[0, 0, 10:13, 10:13] = 255
    truth[0, 0, 20:24, 20:24] = IGNORE
    return truth


def test_the_loss_falls_as_the_prediction_improves() -> None:
    truth = truth_map()
    right = torch.where(truth == 255, 1.0, -1.0)
    losses = [float(views_loss(strength * right, strength * right, truth)) for strength in (-8, -2, 0, 2, 4, 8)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.1
    shifted = torch.roll(8 * right, 6, dims=3)
    assert float(views_loss(shifted, 8 * right, truth)) > float(views_loss(8 * right, shifted, truth)) > losses[-1]


def test_ignored_pixels_do_not_count() -> None:
    truth = truth_map()
    logits = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    changed = torch.where(truth == IGNORE, torch.tensor(9.0), logits)
    assert float(views_loss(changed, changed, truth)) == float(views_loss(logits, logits, truth))
    changed.requires_grad_()
    views_loss(changed, changed, truth).backward()
    assert not changed.grad[truth == IGNORE].any()
    assert changed.grad[truth != IGNORE].all()


def test_soft_iou_by_hand() -> None:
    target = torch.zeros(1, 1, 4, 4)
    target[..., :2, :2] = 1
    score = torch.zeros(1, 1, 4, 4)
    score[..., :2, 1:3] = 0.5  # overlap 1, union 2 + 4 - 1
    loss = soft_iou_loss(score, target, torch.ones_like(target))
    assert float(loss) == pytest.approx(1 - (1 + 1) / (5 + 1))
    assert float(soft_iou_loss(score, torch.zeros_like(target), torch.ones_like(target))) == 0


def test_scale_and_location_by_hand() -> None:
    target = torch.zeros(1, 1, 5, 5)
    target[..., 2, 2] = 1  # area 1, centroid 0.25, 0.25 with the one more that keeps it finite
    score = torch.zeros(1, 1, 5, 5)
    score[..., 2, 4] = 1  # the same area beside it: centroid 0.5, 0.25
    everywhere = torch.ones_like(target)
    radii = math.hypot(0.25, 0.25) / math.hypot(0.5, 0.25)
    angle = math.atan2(0.25, 0.5) - math.atan2(0.25, 0.25)
    expected = 1 - 1 / 3 + 1 - radii + (2 / math.pi * angle) ** 2
    assert float(scale_location_loss(score, target, everywhere)) == pytest.approx(expected, rel=1e-4)
    assert float(scale_location_loss(target, target, everywhere)) == pytest.approx(0, abs=1e-5)
    assert float(scale_location_loss(score, torch.zeros_like(target), everywhere)) == 0


def test_a_wrong_size_costs_more_than_its_iou() -> None:
    target = torch.zeros(1, 1, 32, 32)
    target[..., 10:14, 10:14] = 1
    large = torch.zeros_like(target)
    large[..., 8:16, 8:16] = 1
    everywhere = torch.ones_like(target)
    assert float(scale_location_loss(large, target, everywhere)) > float(soft_iou_loss(large, target, everywhere))


def test_a_false_blob_costs_the_same_in_a_frame_of_any_size() -> None:
    costs = []
    for size in (32, 128):
        logits = torch.full((1, 1, size, size), -30.0)
        logits[..., 5:8, 5:8] = 5.0
        nothing = torch.zeros_like(logits)
        costs.append(float(detection_loss(logits, nothing, torch.ones_like(logits))))
    assert costs[0] == pytest.approx(costs[1], rel=1e-5)
    assert costs[0] > 1
