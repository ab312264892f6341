from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lpnet_rt.errors import SettingsError
from lpnet_rt.networks.lpnetga.folding import GATE_SCALE, fold_batch_norm
from lpnet_rt.networks.lpnetga.network import LPNetGA
from lpnet_rt.networks.lpnetga.patches import PatchGrid
from lpnet_rt.networks.lpnetga.weights import import_weights, load_lpnetga

HALF_SMALLEST_NORMAL, HALF_LARGEST = 6.104e-5, 65504.0


def in_double(model: LPNetGA) -> LPNetGA:
    copy = LPNetGA(PatchGrid(8, 4, 8))
    copy.load_state_dict(model.state_dict())
    return copy.double().eval()


@pytest.mark.parametrize("gate_scale", [1.0, GATE_SCALE, 14400.0])
@torch.inference_mode()
def test_a_folded_network_computes_the_same(seeded_lpnetga: LPNetGA, gate_scale: float) -> None:
    model = in_double(seeded_lpnetga)
    folded = fold_batch_norm(model, gate_scale)
    image = torch.rand(2, 1, 16, 24, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    for fusing in ("mean", "dense"):
        torch.testing.assert_close(folded(image, fusing), model(image, fusing), rtol=0, atol=1e-12)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    assert not any(parameter.requires_grad for parameter in folded.parameters())


@torch.inference_mode()
def test_the_original_is_left_as_it_is(seeded_lpnetga: LPNetGA) -> None:
    before = {key: value.clone() for key, value in seeded_lpnetga.state_dict().items()}
    fold_batch_norm(seeded_lpnetga)
    assert seeded_lpnetga.gate_scale == 1.0
    assert all(torch.equal(value, before[key]) for key, value in seeded_lpnetga.state_dict().items())


def test_what_cannot_be_folded_is_refused(seeded_lpnetga: LPNetGA) -> None:
    folded = fold_batch_norm(seeded_lpnetga)
    with pytest.raises(SettingsError, match="found one that is folded already"):
        fold_batch_norm(folded)
    with pytest.raises(SettingsError, match="found training mode"):
        fold_batch_norm(LPNetGA())
    with pytest.raises(SettingsError, match=r"gate_scale > 0, found 0\.0"):
        fold_batch_norm(seeded_lpnetga, 0.0)
    with pytest.raises(SettingsError, match="image needs the network as trained"), folded.normalising_by("image"):
        pass


@pytest.mark.data
@torch.inference_mode()
def test_published_weights_folded_are_equal_and_fit_half_precision(reference: Path, tmp_path: Path) -> None:
    out = tmp_path / "sirst.safetensors"
    import_weights(reference / "LPNetGA-SIRST.pth", out)
    model = load_lpnetga(out)
    folded = fold_batch_norm(model)
    with np.load(reference / "sirst_val_maps.npz") as maps:
        image = torch.from_numpy(maps["Misc_107/input"])[None, None]
    _, published_attention, published_gated = model.global_view(image)
    _, attention, gated = folded.global_view(image)
    gate = attention * folded.gate_scale
    assert published_attention.min() < HALF_SMALLEST_NORMAL
    assert gate.min() > HALF_SMALLEST_NORMAL
    assert max(gate.max(), gated.max()) < HALF_LARGEST / 100
    for branch in (folded.lfe.conv_k1, folded.lfe.conv_k3, folded.lfe.conv_k5):
        assert (branch.conv.weight.abs() > HALF_SMALLEST_NORMAL).float().mean() > 0.99
    torch.testing.assert_close(folded.lfe(gated), model.lfe(published_gated), rtol=0, atol=1e-5)
    exact, crop = in_double(model), image[:, :, 30:78, 30:78].double()
    torch.testing.assert_close(fold_batch_norm(exact)(crop, "mean"), exact(crop, "mean"), rtol=0, atol=1e-10)
