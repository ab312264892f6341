from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from lpnet_rt.errors import SettingsError
from lpnet_rt.models.lpnetga_card import Statistics
from lpnet_rt.networks.lpnetga.network import LPNetGA, min_max
from lpnet_rt.networks.lpnetga.patches import PatchGrid, split

SEEDED = Path(__file__).parent / "data" / "seeded.npz"
SMALL = PatchGrid(8, 4, 8)


def small_copy(model: LPNetGA) -> LPNetGA:
    """The same weights over patches of 8 pixels, so that a test takes milliseconds."""
    small = LPNetGA(SMALL)
    small.load_state_dict(model.state_dict())
    return small.eval()


def published(reference: Path) -> LPNetGA:
    state = torch.load(reference / "LPNetGA-SIRST.pth", weights_only=True, map_location="cpu")
    model = LPNetGA()
    model.load_state_dict({key.removeprefix("module."): value for key, value in state.items()})
    return model.eval()


@torch.inference_mode()
def test_seeded_weights_give_the_published_numbers(seeded_lpnetga: LPNetGA) -> None:
    with np.load(SEEDED) as expected:
        image = torch.from_numpy(expected["input"])
        features, attention, _ = seeded_lpnetga.global_view(image)
        total, count = seeded_lpnetga.overlap_sum(image)
        np.testing.assert_allclose(features[0].numpy(), expected["gfe"], rtol=0, atol=1e-5)
        np.testing.assert_allclose(attention[0, 0].numpy(), expected["attention"], rtol=0, atol=1e-5)
        np.testing.assert_allclose(total[0, 0].numpy(), expected["overlap_sum"], rtol=0, atol=1e-4)
        np.testing.assert_allclose(min_max(total)[0, 0].numpy(), expected["score"], rtol=0, atol=1e-5)
    assert count.unique().tolist() == [9.0]


@pytest.mark.data
def test_keys_and_shapes_are_the_published_ones_in_order(reference: Path) -> None:
    expected = json.loads((reference / "state_dict_keys.json").read_text())
    assert [[key, list(value.shape)] for key, value in LPNetGA().state_dict().items()] == expected


@pytest.mark.data
@pytest.mark.parametrize("step", [6, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("statistics", "suffix"), [("running", "bn_eval"), ("image", "bn_batch")])
@torch.inference_mode()
def test_published_weights_give_the_published_maps(
    reference: Path, statistics: Statistics, suffix: str, step: int
) -> None:
    model = published(reference)
    with np.load(reference / "sirst_val_maps.npz") as expected:
        for name in sorted({key.partition("/")[0] for key in expected})[::step]:
            image = torch.from_numpy(expected[f"{name}/input"])[None, None]
            with model.normalising_by(statistics):
                score = model(image)
                attention = model.global_view(image)[1] if statistics == "running" else None
            np.testing.assert_allclose(score[0, 0].numpy(), expected[f"{name}/score_{suffix}"], rtol=0, atol=1e-4)
            if attention is not None:
                expected_attention = expected[f"{name}/attention_bn_eval"]
                np.testing.assert_allclose(attention[0, 0].numpy(), expected_attention, rtol=0, atol=1e-6)


@pytest.mark.parametrize("statistics", ["running", "image"])
@torch.inference_mode()
def test_each_image_of_a_batch_is_judged_by_itself(seeded_lpnetga: LPNetGA, statistics: Statistics) -> None:
    model = small_copy(seeded_lpnetga).double()
    gains = torch.tensor([1.0, 0.3, 0.1]).view(3, 1, 1, 1)
    images = (torch.rand(3, 1, 24, 32, generator=torch.Generator().manual_seed(1)) * gains).double()
    with model.normalising_by(statistics):
        together = model(images, "mean")
        alone = torch.cat([model(image[None], "mean") for image in images])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-9)


@torch.inference_mode()
def test_statistics_of_the_image_are_those_of_training_mode_with_one_patch(seeded_lpnetga: LPNetGA) -> None:
    model = LPNetGA(PatchGrid(24, 24, 0))
    model.load_state_dict(seeded_lpnetga.state_dict())
    model.double()
    image = torch.rand(1, 1, 24, 24, generator=torch.Generator().manual_seed(2)).double()
    with model.eval().normalising_by("image"):
        ours = model(image, "mean")
    torch.testing.assert_close(ours, model.train()(image, "mean"), rtol=0, atol=1e-9)


@torch.inference_mode()
def test_statistics_are_put_back(seeded_lpnetga: LPNetGA) -> None:
    model = small_copy(seeded_lpnetga)
    image = torch.rand(1, 1, 24, 24, generator=torch.Generator().manual_seed(3))
    before = model(image)
    with model.normalising_by("image"):
        assert (model(image) - before).abs().max() > 1e-3
    with pytest.raises(SettingsError, match="height must be"), model.normalising_by("image"):
        model(image[:, :, 1:])
    assert torch.equal(model(image), before)


@torch.inference_mode()
def test_ways_of_fusing(seeded_lpnetga: LPNetGA) -> None:
    model = small_copy(seeded_lpnetga)
    image = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(4))
    mean, paper, dense = model(image, "mean"), model(image, "sum_minmax"), model(image, "dense")
    assert mean.shape == paper.shape == dense.shape == image.shape
    torch.testing.assert_close(min_max(mean), paper, rtol=0, atol=1e-5)
    assert paper.amax(dim=(1, 2, 3)).tolist() == [1.0, 1.0]
    assert paper.amin(dim=(1, 2, 3)).tolist() == [0.0, 0.0]
    assert 0 < mean.min() <= mean.max() < 1
    whole = LPNetGA(PatchGrid(16, 1, 0)).eval()
    whole.load_state_dict(model.state_dict())
    torch.testing.assert_close(whole(image, "mean"), dense)
    with pytest.raises(SettingsError, match="expected sum_minmax, mean or dense, found 'max'"):
        model(image, "max")


def test_dense_takes_any_size_and_patches_only_their_own(seeded_lpnetga: LPNetGA) -> None:
    image = torch.rand(1, 1, 17, 23)
    with torch.inference_mode():
        assert small_copy(seeded_lpnetga)(image, "dense").shape == (1, 1, 17, 23)
    with pytest.raises(SettingsError, match="height must be"):
        small_copy(seeded_lpnetga)(image, "mean")


def test_training_view_gives_the_patches_inside_and_a_gradient_everywhere() -> None:
    torch.manual_seed(5)
    model = LPNetGA(SMALL).train()
    image = torch.rand(2, 1, 16, 16)
    logits, attention = model.training_view(image)
    targets = split((image > 0.5).float(), model.grid.inside())
    assert logits.shape == targets.shape == (2 * 9, 1, 8, 8)
    torch.testing.assert_close(attention.sum(dim=(1, 2, 3)), torch.ones(2))
    torch.nn.functional.binary_cross_entropy_with_logits(logits, targets).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_a_flat_map_becomes_zero() -> None:
    assert min_max(torch.full((2, 1, 4, 4), 0.3)).abs().max() == 0


def test_unknown_statistics_are_refused() -> None:
    with (
        pytest.raises(SettingsError, match="expected running or image, found 'batch'"),
        LPNetGA().normalising_by(
            "batch"  # type: ignore[arg-type]
        ),
    ):
        pass
