from __future__ import annotations

import pytest
import torch

from lpnet_rt.errors import SettingsError
from lpnet_rt.networks.lpnetga.folding import fold_batch_norm
from lpnet_rt.networks.lpnetga.merging import merge_local_view
from lpnet_rt.networks.lpnetga.network import LPNetGA


@torch.inference_mode()
def test_a_merged_patch_net_computes_the_same(seeded_lpnetga: LPNetGA) -> None:
    model = LPNetGA()
    model.load_state_dict(seeded_lpnetga.state_dict())
    with torch.no_grad():  # a shortcut far on either side of 0, so that cutting it off would show
        model.lfe.patch_net.block3.bn.get_parameter("weight").fill_(3.0)
    local = fold_batch_norm(model.double().eval()).lfe
    generator = torch.Generator().manual_seed(9)
    gated = 1000 * torch.rand(3, 8, 12, 14, generator=generator, dtype=torch.float64)
    score = local(gated)
    assert score.std() > 0.01
    torch.testing.assert_close(merge_local_view(local)(gated), score, rtol=0, atol=1e-12)


def test_a_patch_net_with_batch_norm_is_refused(seeded_lpnetga: LPNetGA) -> None:
    with pytest.raises(SettingsError, match="found batch norm; call fold_batch_norm first"):
        merge_local_view(seeded_lpnetga.lfe)
