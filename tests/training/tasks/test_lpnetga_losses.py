"""Losses of the paper's network, over patches and over attention."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from lpnetga_data import small_lpnetga_recipe

from lpnet_rt.errors import SettingsError
from lpnet_rt.networks.lpnetga.patches import PatchGrid, split
from lpnet_rt.training.loop.ranks import TrainingProcess
from lpnet_rt.training.tasks.lpnetga import LPNetGATask, attention_loss, patch_loss
from lpnet_rt.training.tasks.spread_maps import spread_map


def test_the_patch_loss_is_the_mean_over_all_pixels_of_all_patches() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 1, 6, 6, generator=generator)
    truth = (torch.rand(5, 1, 6, 6, generator=generator) > 0.8).to(torch.uint8) * 255
    score, target = torch.sigmoid(logits).double(), (truth == 255).double()
    expected = -(target * score.log() + (1 - target) * (1 - score).log()).mean()
    assert float(patch_loss(logits, truth)) == pytest.approx(float(expected), abs=1e-6)
    ignored = truth.clone()
    ignored[0] = 128
    assert float(patch_loss(logits, ignored)) == pytest.approx(float(patch_loss(logits[1:], truth[1:])), abs=1e-6)


def test_the_attention_loss_is_the_mean_squared_error_times_the_frame_size() -> None:
    truth = torch.zeros(2, 1, 20, 24, dtype=torch.uint8)
    truth[:, :, 5:7, 8:11] = 255
    wanted = spread_map(truth == 255, 5.0)
    assert float(attention_loss(wanted, truth, 5.0)) == 0
    even = torch.full_like(wanted, 1 / 480)
    expected = float(((even - wanted) ** 2).mean() * 480)
    assert float(attention_loss(even, truth, 5.0)) == pytest.approx(expected, rel=1e-5)


def batch_of(task: LPNetGATask) -> tuple[torch.Tensor, torch.Tensor]:
    images, truths = zip(*(task.crops[i] for i in range(4)), strict=True)
    return torch.stack(images), torch.stack(truths)


def test_the_tasks_loss_is_that_of_the_patches_inside(plain: Path) -> None:
    recipe = small_lpnetga_recipe(plain, "loss.supervised=true")
    task = LPNetGATask(recipe)
    torch.manual_seed(0)
    network = task.build().eval()
    network.requires_grad_(False)
    image, truth = batch_of(task)
    found = float(task.loss(task.view(network, image, truth, 0), truth, 0))
    logits, attention = network.training_view(image)
    assert len(logits) == 4 * 9
    cut = split(truth, PatchGrid(12, 6, 0))
    expected = patch_loss(logits, cut) + attention_loss(attention, truth, 5.0)
    assert found == pytest.approx(float(expected), rel=1e-5)
    without = LPNetGATask(small_lpnetga_recipe(plain))
    unsupervised = without.loss(without.view(network, image, truth, 0), truth, 0)
    assert float(unsupervised) == pytest.approx(float(patch_loss(logits, cut)), rel=1e-5)


def test_fewer_patches_estimate_the_same_loss(plain: Path) -> None:
    task, all_of_them = (
        LPNetGATask(small_lpnetga_recipe(plain, "loss.patches=3")),
        LPNetGATask(small_lpnetga_recipe(plain)),
    )
    torch.manual_seed(0)
    network = task.build().eval().requires_grad_(False)
    image, truth = batch_of(task)
    drawn = []
    for step in range(16):
        view = task.view(network, image, truth, step)
        assert len(view[0]) == 4 * 3
        drawn.append(float(task.loss(view, truth, step)))
    whole = float(all_of_them.loss(all_of_them.view(network, image, truth, 0), truth, 0))
    assert np.std(drawn) > 0
    assert np.mean(drawn) == pytest.approx(whole, abs=4 * np.std(drawn) / np.sqrt(len(drawn)))


def test_half_precision_computes_about_the_same_loss(plain: Path) -> None:
    task, process = LPNetGATask(small_lpnetga_recipe(plain)), TrainingProcess(torch.device("cpu"))
    torch.manual_seed(0)
    network = task.build().to(memory_format=torch.channels_last).train()
    image, truth = batch_of(task)
    losses = []
    for precision in ("f32", "bf16"):
        with process.autocast(precision), torch.no_grad():
            view = task.view(network, image, truth, 0)
        losses.append(float(task.loss(view, truth, 0)))
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


def test_patches_that_do_not_fit_the_crop_are_refused(plain: Path) -> None:
    with pytest.raises(SettingsError, match="patch grid: height must be"):
        LPNetGATask(small_lpnetga_recipe(plain, "data.side_px=25"))
