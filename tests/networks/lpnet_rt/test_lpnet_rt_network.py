from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lpnet_rt.networks.lpnet_rt.network import CELL_PX, PATCH_PX, LPNetRT, LPNetRTConfig

SMALL = LPNetRTConfig(channels=(4, 6, 8), blocks=(1, 1, 1), hints=2, local_channels=6, local_blocks=1, patches=5)


def random_network(config: LPNetRTConfig = SMALL, seed: int = 0) -> LPNetRT:
    """Weights and running averages that are nowhere zero, so that every path shows."""
    torch.manual_seed(seed)
    network = LPNetRT(config)
    with torch.no_grad():
        for value in network.state_dict().values():
            if value.dtype.is_floating_point and value.ndim == 1:
                value.uniform_(0.5, 1.5)
        network.local_view.head.weight.normal_(0, 0.3)
        network.global_view.head.bias.normal_(0, 0.5)
    return network.eval()


def frames(batch: int, height: int, width: int, seed: int = 1) -> Tensor:
    return torch.randn(batch, 2, height, width, generator=torch.Generator().manual_seed(seed))


def naive(network: LPNetRT, image: Tensor) -> tuple[Tensor, Tensor]:
    """One frame, one cell at a time, at native resolution: what the batched network must equal."""
    hinted = functional.pixel_shuffle(network.global_view(functional.pixel_unshuffle(image, 4)), 4)
    coarse = hinted[0, 0]
    fine = coarse.clone()
    margin = (PATCH_PX - CELL_PX) // 2
    stack = functional.pad(torch.cat((image, hinted), dim=1), (margin,) * 4)
    height, width = coarse.shape
    cells = [
        (float(coarse[y : y + CELL_PX, x : x + CELL_PX].max()), y, x)
        for y in range(0, height, CELL_PX)
        for x in range(0, width, CELL_PX)
    ]
    for _, y, x in sorted(cells, reverse=True)[: network.config.patches]:
        patch = stack[:, :, y : y + PATCH_PX, x : x + PATCH_PX]
        correction = network.local_view(patch)[0, 0, margin : margin + CELL_PX, margin : margin + CELL_PX]
        fine[y : y + CELL_PX, x : x + CELL_PX] += correction
    return fine, coarse


@torch.inference_mode()
@pytest.mark.parametrize(("height", "width"), [(64, 64), (48, 112), (128, 80), (16, 96)])
def test_the_batched_cut_and_scatter_equals_a_loop_over_cells(height: int, width: int) -> None:
    network = random_network()
    image = frames(2, height, width)
    fine, coarse = network(image)
    assert fine.shape == coarse.shape == (2, 1, height, width)
    for index in range(2):
        expected_fine, expected_coarse = naive(network, image[index : index + 1])
        torch.testing.assert_close(coarse[index, 0], expected_coarse, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(fine[index, 0], expected_fine, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_the_local_view_touches_its_cells_and_no_others() -> None:
    fine, coarse = random_network()(frames(1, 96, 160))
    changed = functional.max_pool2d((fine != coarse).float(), CELL_PX)
    assert int(changed.sum()) == SMALL.patches
    logits = functional.max_pool2d(coarse, CELL_PX).flatten()
    assert set(changed.flatten().nonzero().flatten().tolist()) == set(logits.topk(SMALL.patches).indices.tolist())


@torch.inference_mode()
def test_priority_decides_where_to_look() -> None:
    priority = torch.zeros(1, 60)
    priority[0, [3, 17, 22, 41, 59]] = 1000.0
    fine, coarse = random_network()(frames(1, 96, 160), priority)
    changed = functional.max_pool2d((fine != coarse).float(), CELL_PX).flatten()
    assert changed.nonzero().flatten().tolist() == [3, 17, 22, 41, 59]


@torch.inference_mode()
def test_a_batch_of_two_equals_two_batches_of_one() -> None:
    network, image = random_network(), frames(2, 80, 64)
    together = network(image)
    for index in range(2):
        alone = network(image[index : index + 1])
        for joint, single in zip(together, alone, strict=True):
            torch.testing.assert_close(joint[index : index + 1], single, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_without_hints() -> None:
    config = LPNetRTConfig(channels=(4, 6, 8), blocks=(1, 1, 1), hints=0, local_channels=6, local_blocks=1, patches=3)
    network, image = random_network(config), frames(1, 48, 48)
    torch.testing.assert_close(network(image)[0][0, 0], naive(network, image)[0], atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_a_new_network_is_silent_and_its_local_view_changes_nothing() -> None:
    torch.manual_seed(0)
    network = LPNetRT(SMALL).eval()
    fine, coarse = network(frames(1, 64, 64))
    torch.testing.assert_close(fine, coarse)
    assert torch.sigmoid(fine).mean() < 0.1


def test_gradients_reach_both_views_but_not_through_the_choice_of_cells() -> None:
    network = random_network().train()
    fine, _ = network(frames(2, 64, 64))
    fine.square().mean().backward()
    for name, value in network.named_parameters():
        assert value.grad is not None, name
        assert torch.isfinite(value.grad).all(), name
    assert network.local_view.stem[0].weight.grad.abs().sum() > 0
    assert network.global_view.stem[0].weight.grad.abs().sum() > 0


@pytest.mark.parametrize(("patches", "min_side_px"), [(1, 16), (4, 32), (5, 48), (16, 64), (17, 80), (25, 80)])
def test_the_least_frame_holds_as_many_cells_as_are_looked_at(patches: int, min_side_px: int) -> None:
    assert LPNetRTConfig(patches=patches).min_side_px == min_side_px
    assert (min_side_px // CELL_PX) ** 2 >= patches


def test_the_configuration_survives_a_model_card() -> None:
    values = SMALL.as_dict()
    assert LPNetRTConfig(**values) == SMALL  # type: ignore[arg-type]
