from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

pytest.importorskip("openvino")

from lpnet_rt.benchmarks.lpnetga_loop import (
    Form,
    measure,
    openvino_forms,
    published_loop,
    table,
    torch_forms,
)
from lpnet_rt.networks.lpnetga.network import LPNetGA
from lpnet_rt.networks.lpnetga.patches import PatchGrid


@pytest.fixture(scope="module")
def model() -> LPNetGA:
    torch.manual_seed(10)
    return LPNetGA(PatchGrid(8, 4, 8)).eval()


@torch.inference_mode()
def test_the_loop_computes_what_all_patches_at_once_compute(model: LPNetGA) -> None:
    image = torch.rand(1, 1, 16, 20)
    at_once = model(image, "mean")[0, 0].numpy()
    np.testing.assert_allclose(published_loop(model, image), at_once, rtol=0, atol=1e-6)


@torch.inference_mode()
def test_forms_take_turns_and_are_compared_with_the_first(model: LPNetGA) -> None:
    image = torch.rand(1, 1, 16, 16)
    ticks = itertools.count(step=2_000_000)
    forms = [Form("loop", "torch f32", lambda frame: published_loop(model, frame)), *torch_forms(model, (16, 16))]
    timings = measure(forms, image, 3, lambda: next(ticks))
    assert [timing.times_ms for timing in timings] == [[2.0] * 3] * 6
    lines = table(timings).splitlines()
    assert len(lines) == 7
    assert lines[1].split() == ["loop", "torch", "f32", "2.0", "2.0", "1.0", "0.0e+00"]
    for timing in timings[1:3]:
        assert np.abs(timing.score - timings[0].score).max() < 1e-5
    assert np.abs(timings[3].score - timings[0].score).max() < 0.02


@pytest.mark.slow
@torch.inference_mode()
def test_openvino_computes_what_the_loop_computes(model: LPNetGA) -> None:
    image = torch.rand(1, 1, 16, 16)
    expected = {"exact": published_loop(model, image), "dense": model(image, "dense")[0, 0].numpy()}
    forms = openvino_forms(model, (16, 16), 1)
    assert [form.name for form in forms] == ["exact", "dense"] * 3
    for form in forms[:4]:
        limit = 1e-5 if form.engine == "openvino f32" else 0.02
        assert np.abs(form.run(image) - expected[form.name]).max() < limit
