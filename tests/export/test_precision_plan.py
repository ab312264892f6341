from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from lpnet_rt.agreement import SCORE_LIMIT
from lpnet_rt.export.precision import PEAK_LIMIT, plan_precision
from lpnet_rt.networks.lpnet_rt.inference import ScoredLPNetRT, apply_plan, fold_norms
from lpnet_rt.networks.lpnet_rt.network import LPNetRT
from lpnet_rt.preprocessing.frame_and_local import model_input
from lpnet_rt.selftest import self_test_frame

HEADS = {"network.global_view.head", "network.local_view.head"}


@pytest.fixture(scope="module")
def module(network: LPNetRT) -> ScoredLPNetRT:
    return ScoredLPNetRT(network).eval()


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    return torch.from_numpy(model_input(self_test_frame(), 16, 64))


def precisions(module: nn.Module) -> dict[str, torch.dtype]:
    found = {}
    for name, inner in module.named_modules():
        if isinstance(inner, nn.Conv2d):
            found[name.replace(".inner", "")] = inner.weight.dtype
    return found


def test_folding_changes_nothing_but_the_norms(module: ScoredLPNetRT, image: torch.Tensor) -> None:
    folded = fold_norms(module)
    assert not any(isinstance(inner, nn.BatchNorm2d) for inner in folded.modules())
    assert any(isinstance(inner, nn.BatchNorm2d) for inner in module.modules())
    torch.testing.assert_close(folded(image), module(image), atol=1e-5, rtol=0)


def test_everything_but_the_heads_is_halved(module: ScoredLPNetRT, image: torch.Tensor) -> None:
    plan = plan_precision(module, [image])
    assert {name for name, _ in plan.full} == HEADS
    mixed = precisions(apply_plan(module, plan))
    assert {name for name, dtype in mixed.items() if dtype == torch.float32} == HEADS
    assert {name for name, dtype in mixed.items() if dtype == torch.float16} == set(plan.half)
    assert len(plan.half) == len(precisions(module)) - 2
    assert f"{len(plan.half)} convolutions in f16" in plan.summary()


def test_scores_stay_within_the_limit_and_are_not_the_same(module: ScoredLPNetRT, image: torch.Tensor) -> None:
    expected = module(image)
    found = apply_plan(module, plan_precision(module, [image]))(image)
    assert found.dtype == torch.float32
    apart = float((found - expected).abs().max())
    assert 0 < apart < SCORE_LIMIT["f16"]


def test_a_layer_near_the_end_of_the_range_stays(module: ScoredLPNetRT, image: torch.Tensor) -> None:
    loud = copy.deepcopy(module)
    block = loud.network.local_view.stem
    with torch.no_grad():
        block[1].weight.mul_(1e6)
        block[1].bias.mul_(1e6)
    plan = plan_precision(loud, [image])
    why = dict(plan.full)
    # What follows the loud layer adds to it, so the whole view stays.
    assert "reaches" in why["network.local_view"]
    assert not any(name.startswith("network.local_view") for name in plan.half)
    assert any(name.startswith("network.global_view") for name in plan.half)
    found = apply_plan(loud, plan)(image)
    assert torch.isfinite(found).all()
    assert float((found - loud(image)).abs().max()) < SCORE_LIMIT["f16"]


def test_the_limit_leaves_room_for_other_frames() -> None:
    assert torch.finfo(torch.float16).max / PEAK_LIMIT > 4
