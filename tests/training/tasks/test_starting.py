"""What a run starts from: weights out of an ONNX file give the same scores, and frozen batch norms stay as they are."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from lpnet_rt.errors import ModelError
from lpnet_rt.models import find_model
from lpnet_rt.networks.lpnet_rt.network import LPNetRT
from lpnet_rt.networks.lpnet_rt.weights import network_of_onnx
from lpnet_rt.preprocessing.rules import prepare
from lpnet_rt.selftest import self_test_frame
from lpnet_rt.training.recipes.lpnet_rt import NetworkRecipe
from lpnet_rt.training.tasks.lpnet_rt import build_network
from lpnet_rt.training.tasks.starting import freeze_norms, is_model, take_weights


@pytest.fixture(scope="module")
def started() -> LPNetRT:
    """The packaged model as a network that is ready to be trained."""
    network = build_network(msgspec.convert(find_model("lpnet-rt").card.config, NetworkRecipe))
    take_weights(network, "lpnet-rt")
    freeze_norms(network)
    return network.train()


def test_the_scores_before_the_first_step_are_the_model_s(started: LPNetRT) -> None:
    model = find_model("lpnet-rt")
    image = torch.from_numpy(prepare(self_test_frame(), model.card.input))
    with torch.no_grad():
        expected, found = network_of_onnx(model)(image), torch.sigmoid(started(image)[0])
    assert float(expected.max()) > 0.9
    np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=1e-5)


def test_frozen_norms_keep_their_statistics_in_training(started: LPNetRT) -> None:
    before = {name: value.clone() for name, value in started.state_dict().items() if "running" in name}
    loss = started(torch.randn(2, 2, 64, 64))[0].mean()
    loss.backward()
    after = started.state_dict()
    assert before
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert all(value.grad is not None for value in started.global_view.stem.parameters())
    assert set(after) == set(LPNetRT(started.config).state_dict())


def test_what_is_a_model_and_what_a_checkpoint() -> None:
    assert [is_model(spec) for spec in ("lpnet-rt", "a/b.onnx", "runs/1/best.pt")] == [True, True, False]


def test_a_start_that_is_not_there(tmp_path: Path, started: LPNetRT) -> None:
    with pytest.raises(ModelError, match=r"none\.onnx: expected a model file or a packaged model"):
        take_weights(started, str(tmp_path / "none.onnx"))
    with pytest.raises(ModelError, match=r"none\.pt: expected a checkpoint, found no file"):
        take_weights(started, str(tmp_path / "none.pt"))
