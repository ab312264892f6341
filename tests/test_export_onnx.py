from __future__ import annotations

import hashlib
import json
from pathlib import Path

import msgspec
import numpy as np
import onnxruntime as ort
import pytest
import torch

from lpnet_rt.detections import detect
from lpnet_rt.engines import choose_engine
from lpnet_rt.engines.trial import self_test
from lpnet_rt.errors import SinkError
from lpnet_rt.export.cards import weights_sha256
from lpnet_rt.export.onnx import CardFacts, export_onnx
from lpnet_rt.models import ModelCard, find_model
from lpnet_rt.networks.lpnet_rt.inference import ScoredLPNetRT
from lpnet_rt.networks.lpnet_rt.network import LPNetRT, LPNetRTConfig
from lpnet_rt.preprocessing.frame_and_local import model_input
from lpnet_rt.selftest import SELF_TEST_THRESHOLD, self_test_frame
from lpnet_rt.settings import DetectorSettings

CONFIG = LPNetRTConfig(channels=(4, 6, 8), blocks=(1, 1, 1), hints=1, local_channels=4, local_blocks=1, patches=20)
FACTS = CardFacts("tiny", 0.4, ["nothing"], {"miou": 1.5}, ["none"], "random weights")


def make_network() -> LPNetRT:
    torch.manual_seed(3)
    network = LPNetRT(CONFIG)
    with torch.no_grad():
        network.local_view.head.weight.normal_(0, 0.3)
        network.global_view.head.bias.normal_(0.0, 1.0)
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 2.0)
    return network.eval()


@pytest.fixture(scope="module")
def network() -> LPNetRT:
    return make_network()


@pytest.fixture(scope="module")
def exported(network: LPNetRT, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ModelCard]:
    path = tmp_path_factory.mktemp("export") / "new" / "tiny.onnx"
    return path, export_onnx(network, path, FACTS)


@pytest.mark.parametrize("size_hw", [(80, 80), (112, 208), (512, 80)])
def test_onnx_runtime_computes_what_torch_computes(
    network: LPNetRT, exported: tuple[Path, ModelCard], size_hw: tuple[int, int]
) -> None:
    image = np.random.default_rng(0).normal(90, 20, size_hw).clip(0, 255).astype(np.uint8)
    batch = model_input(image, 16, CONFIG.min_side_px)
    session = ort.InferenceSession(exported[0], providers=["CPUExecutionProvider"])
    (scores,) = session.run(["score"], {"image": batch})
    with torch.inference_mode():
        expected = ScoredLPNetRT(network)(torch.from_numpy(batch)).numpy()
    assert scores.shape == expected.shape == (1, 1, *size_hw)
    assert expected.std() > 0.05, "the scores must differ for this to prove anything"
    np.testing.assert_allclose(scores, expected, atol=1e-4)


def test_the_card_says_what_the_file_is(network: LPNetRT, exported: tuple[Path, ModelCard]) -> None:
    path, card = exported
    assert json.loads(path.with_suffix(".json").read_bytes()) == json.loads(msgspec.json.encode(card))
    assert card.file_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert card.weights_sha256 == weights_sha256(network)
    assert LPNetRTConfig(**{**card.config, "channels": (4, 6, 8), "blocks": (1, 1, 1)}) == CONFIG
    assert card.parameters == sum(value.numel() for value in network.parameters())
    assert (card.name, card.threshold, card.measured) == ("tiny", 0.4, {"miou": 1.5})
    assert (card.input.multiple, card.input.min_side_px) == (16, 80)
    assert msgspec.json.encode(find_model(str(path)).card) == msgspec.json.encode(card)


def test_nothing_but_the_model_and_its_card_is_left(exported: tuple[Path, ModelCard]) -> None:
    assert sorted(path.name for path in exported[0].parent.iterdir()) == ["tiny.json", "tiny.onnx"]


def test_engines_pass_the_self_test_of_the_card(exported: tuple[Path, ModelCard]) -> None:
    model = find_model(str(exported[0]))
    image = self_test_frame()
    engine = choose_engine(model, DetectorSettings(engine="onnxruntime", threads=1)).engine
    assert self_test(engine, model) is None
    scores = engine.score(model_input(image, 16, 80))[0, 0, :128, :160]
    assert len(detect(scores, image, SELF_TEST_THRESHOLD)) == len(model.card.self_test.score)


def test_the_hash_of_the_weights_sees_every_value(network: LPNetRT) -> None:
    assert weights_sha256(make_network()) == weights_sha256(network)
    other = make_network()
    with torch.no_grad():
        other.local_view.head.bias.add_(1e-6)
    assert weights_sha256(other) != weights_sha256(network)


def test_a_folder_that_cannot_be_made_is_refused_before_any_work(network: LPNetRT, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(SinkError, match=r"tiny\.onnx: cannot be written: .*; name a folder you can write"):
        export_onnx(network, tmp_path / "file" / "tiny.onnx", FACTS)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("there", ["tiny.onnx", "tiny.json"])
def test_a_file_that_exists_is_refused_before_any_work(network: LPNetRT, tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("old")
    with pytest.raises(SinkError, match=rf"{there}: the file exists; give another name, or --overwrite"):
        export_onnx(network, tmp_path / "tiny.onnx", FACTS)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(there, "old")]


def test_what_a_killed_export_left_is_in_nobodys_way(network: LPNetRT, tmp_path: Path) -> None:
    (tmp_path / "tiny.partial.onnx").mkdir()
    (tmp_path / ".tiny.onnx.abc.part").mkdir()
    export_onnx(network, tmp_path / "tiny.onnx", FACTS)
    names = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir() if path.is_file()}
    assert names == {"tiny.onnx": 0o640, "tiny.json": 0o640}
