"""Which loss a recipe's outlines are learned by."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import torch
from lpnet_rt_data import small_video_recipe, write_folders

from lpnet_rt.training.tasks.losses import Background, scale_location_loss, soft_iou_loss, views_loss
from lpnet_rt.training.tasks.lpnet_rt import LPNetRTTask


@pytest.mark.parametrize(("name", "function"), [("soft-iou", soft_iou_loss), ("scale-location", scale_location_loss)])
def test_a_recipe_chooses_the_shape_loss(tmp_path: Path, name: str, function: object) -> None:
    recipe = small_video_recipe(write_folders(tmp_path))
    optimiser = msgspec.structs.replace(recipe.optimiser, shape_loss=name, warmup_steps=5)
    task = LPNetRTTask(msgspec.structs.replace(recipe, optimiser=optimiser))
    truth = torch.zeros(1, 1, 32, 32, dtype=torch.uint8)
    truth[..., 4:8, 4:8] = 255
    logits = torch.randn(1, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    background = Background(optimiser.background, optimiser.focus)
    late, early = (float(task.loss((logits, logits), truth, step)) for step in (5, 4))
    assert late == pytest.approx(float(views_loss(logits, logits, truth, background, function)))
    assert early == pytest.approx(float(views_loss(logits, logits, truth, background)))
