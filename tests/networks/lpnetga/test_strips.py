from __future__ import annotations

import pytest
import torch

from lpnet_rt.errors import SettingsError
from lpnet_rt.networks.lpnetga.folding import fold_batch_norm
from lpnet_rt.networks.lpnetga.network import LPNetGA
from lpnet_rt.networks.lpnetga.patches import PatchGrid, fuse, split
from lpnet_rt.networks.lpnetga.strips import BORDER_PX, Strips, axes

# Below, the last layers of the seeded network have nothing to say.
_LOUD = 1e4


def folded(seeded: LPNetGA, grid: PatchGrid) -> LPNetGA:
    model = LPNetGA(grid)
    model.load_state_dict(seeded.state_dict())
    return fold_batch_norm(model.double().eval())


@pytest.mark.parametrize(
    ("grid", "size_hw"),
    [
        pytest.param(PatchGrid(), (120, 120), marks=pytest.mark.slow),
        (PatchGrid(8, 4, 8), (16, 24)),
        (PatchGrid(12, 5, 7), (28, 43)),  # patches that end and start amid the padding
        (PatchGrid(10, 13, 0), (36, 23)),  # gaps between patches
        (PatchGrid(30, 10, 0), (60, 50)),
    ],
)
@torch.inference_mode()
def test_the_sum_is_that_of_all_patches(seeded_lpnetga: LPNetGA, grid: PatchGrid, size_hw: tuple[int, int]) -> None:
    model = folded(seeded_lpnetga, grid)
    generator = torch.Generator().manual_seed(3)
    gated = _LOUD * torch.randn(2, 8, *size_hw, generator=generator, dtype=torch.float64).relu()
    patches = model.lfe(split(gated, grid))
    expected, count = fuse(patches, size_hw, grid)
    strips = Strips(model, size_hw).double()
    assert patches.std() > 0.1
    torch.testing.assert_close(strips(gated), expected, rtol=0, atol=1e-12)
    assert torch.equal(strips.coverage, count)


@torch.inference_mode()
def test_a_border_shows_in_as_many_pixels_as_are_cut_for_it(seeded_lpnetga: LPNetGA) -> None:
    local = folded(seeded_lpnetga, PatchGrid()).lfe
    gated = _LOUD * torch.rand(1, 8, 40, 40, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    apart = (local(gated)[..., 5:35, 5:35] - local(gated[..., 5:35, 5:35])).abs()[0, 0]
    assert apart[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX].max() < 1e-12
    assert apart[BORDER_PX - 1].max() > 0.01
    assert apart[:, BORDER_PX - 1].max() > 0.01


def test_every_patch_counts_once_in_every_pixel() -> None:
    for axis in axes(PatchGrid(12, 5, 7), (28, 43)):
        patches = [sum(start <= pixel < start + 12 for start in axis.starts) for pixel in range(axis.size_px)]
        assert axis.counts().sum(1).tolist() == patches


def test_what_has_no_strips_is_refused(seeded_lpnetga: LPNetGA) -> None:
    with pytest.raises(SettingsError, match="found batch norm"):
        Strips(seeded_lpnetga, (120, 120))
    with pytest.raises(SettingsError, match=r"strips: expected patches of at least 8 px, found PatchGrid\(patch_px=6"):
        Strips(folded(seeded_lpnetga, PatchGrid(6, 3, 6)), (12, 12))
    with pytest.raises(SettingsError, match="height must be"):
        Strips(fold_batch_norm(seeded_lpnetga), (121, 120))
