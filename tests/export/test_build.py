from __future__ import annotations

import hashlib
import importlib.util
import zipfile
from pathlib import Path

import msgspec
import numpy as np
import onnx
import openvino
import pytest
import torch

from lpnet_rt.agreement import SCORE_LIMIT
from lpnet_rt.detector import Detector
from lpnet_rt.engines.openvino import OpenVINOEngine
from lpnet_rt.engines.tensorrt import TensorRTEngine, build_from_onnx, gpu_name
from lpnet_rt.errors import EngineError, LpnetError, ModelError, SettingsError
from lpnet_rt.export.build import Exported, ExportRequest, export_model
from lpnet_rt.export.cards import CARD_KEY, CardFacts
from lpnet_rt.export.gate_frames import GateFrame
from lpnet_rt.export.loading import load_exported
from lpnet_rt.export.shapes import read_shapes
from lpnet_rt.export.tensorrt import choose_route
from lpnet_rt.export.torch_export import CARD_FILE
from lpnet_rt.models import ModelCard, ModelFile, find_model
from lpnet_rt.models.card import LPNetRTShape
from lpnet_rt.networks.lpnet_rt.card import input_rule
from lpnet_rt.networks.lpnet_rt.inference import ScoredLPNetRT
from lpnet_rt.networks.lpnet_rt.network import LPNetRT
from lpnet_rt.preprocessing.frame_and_local import model_input
from lpnet_rt.selftest import self_test_frame
from lpnet_rt.settings import DetectorSettings

NO_TENSORRT = importlib.util.find_spec("tensorrt") is None or not torch.cuda.is_available()
SIZE = "120x160"


def request(
    network: LPNetRT, frames: list[GateFrame], format_: str, precision: str = "f32", **flags: object
) -> ExportRequest:
    overwrite = bool(flags.pop("overwrite", False))
    flags = {"size": SIZE, "dynamic": None, "batch": 1} | flags
    shapes = read_shapes(rule=input_rule(network), **flags)  # type: ignore[arg-type]
    return ExportRequest(format_, precision, shapes, frames, overwrite=overwrite)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def half_onnx(
    network: LPNetRT, facts: CardFacts, frames: list[GateFrame], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Exported]:
    """Half precision, sizes and batch free within limits."""
    path = tmp_path_factory.mktemp("half") / "tiny.onnx"
    dynamic = ["1x64x64", "1x128x160", "4x256x320"]
    return path, export_model(network, path, facts, request(network, frames, "onnx", "f16", size=None, dynamic=dynamic))


@pytest.fixture(scope="module")
def traced(
    network: LPNetRT, facts: CardFacts, frames: list[GateFrame], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Exported]:
    path = tmp_path_factory.mktemp("traced") / "tiny.pt2"
    return path, export_model(network, path, facts, request(network, frames, "torch-export"))


def test_half_precision_is_in_the_graph(half_onnx: tuple[Path, Exported]) -> None:
    model = onnx.load(half_onnx[0])
    halves = [value for value in model.graph.initializer if value.data_type == onnx.TensorProto.FLOAT16]
    kernels = [value for value in halves if len(value.dims) == 4]
    assert len(kernels) == int(half_onnx[1].plan.split()[0]) > 10
    for side in (model.graph.input, model.graph.output):
        assert [value.type.tensor_type.elem_type for value in side] == [onnx.TensorProto.FLOAT]
    assert "convolutions in f16" in half_onnx[1].plan


def test_both_engines_were_held_to_the_gate(half_onnx: tuple[Path, Exported]) -> None:
    agreements = half_onnx[1].agreements
    assert set(agreements) == {"onnxruntime", "openvino"}
    for agreement in agreements.values():
        assert agreement.frames == 2
        assert agreement.detections >= 4, "the gate must have had something to compare"
        assert agreement.score_apart <= SCORE_LIMIT["f16"]


@pytest.mark.parametrize("shape", [(1, 2, 64, 64), (4, 2, 128, 96)])
def test_sizes_and_batches_are_free(network: LPNetRT, half_onnx: tuple[Path, Exported], shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).normal(0, 2, shape).astype(np.float32)
    expected = ScoredLPNetRT(network)(torch.from_numpy(image)).numpy()
    for engine in load_exported(half_onnx[0], half_onnx[1].card).values():
        np.testing.assert_allclose(engine.score(image), expected, atol=0.02)


def test_the_card_is_beside_and_inside(half_onnx: tuple[Path, Exported], facts: CardFacts) -> None:
    path, exported = half_onnx
    card = find_model(str(path)).card
    assert card == exported.card
    assert (card.built.format, card.built.precision, card.built.max_size) == ("onnx", "f16", (4, 256, 320))
    assert card.built.versions["torch"] == torch.__version__
    assert (card.reach_px, card.grid_px) == (msgspec.convert(card.config, LPNetRTShape).reach_px, 16)
    assert card.file_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    (inside,) = [prop.value for prop in onnx.load(path).metadata_props if prop.key == CARD_KEY]
    check_embedded(msgspec.json.decode(inside, type=ModelCard), card)
    assert sorted(file.name for file in path.parent.iterdir()) == ["tiny.json", "tiny.onnx"]


def check_embedded(inside: ModelCard, beside: ModelCard) -> None:
    assert inside.file_sha256 == ""
    assert (inside.weights_sha256, inside.built, inside.input) == (beside.weights_sha256, beside.built, beside.input)
    assert (inside.threshold, inside.self_test) == (beside.threshold, beside.self_test)


def test_torch_export_of_one_size(network: LPNetRT, traced: tuple[Path, Exported]) -> None:
    path, exported = traced
    assert exported.card.built.min_size == exported.card.built.max_size == (1, 128, 160)
    assert exported.agreements["torch-export"].detections >= 4
    with zipfile.ZipFile(path) as archive:
        (inside,) = [name for name in archive.namelist() if name.endswith(CARD_FILE)]
        check_embedded(msgspec.json.decode(archive.read(inside), type=ModelCard), exported.card)
    # 120 rows are padded to 128 and cut off again: the file, which this test has made, gives what the network gives.
    image = np.random.default_rng(1).integers(0, 255, (120, 160), np.uint8)
    batch = torch.from_numpy(model_input(image, 16, 64))
    found = torch.export.load(path).module()(batch)[0, 0, :120].detach().numpy()
    expected = ScoredLPNetRT(network)(batch)[0, 0, :120].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    with pytest.raises(ModelError, match=r"found \.pt2, which can run code when it is read"):
        find_model(str(path))


def test_a_file_of_one_size_runs_and_says_what_it_takes(
    network: LPNetRT, facts: CardFacts, frames: list[GateFrame], tmp_path: Path
) -> None:
    export_model(network, tmp_path / "tiny.onnx", facts, request(network, frames, "onnx"))
    detector = Detector.load(DetectorSettings(model=str(tmp_path / "tiny.onnx")))
    assert len(detector.detect(self_test_frame())) >= 3
    with pytest.raises(EngineError, match=r"expected an input of 1x128x160 .*found 1x64x64; export it for that size"):
        detector.detect(np.zeros((60, 64), np.uint8))


def test_a_file_that_fails_the_gate_replaces_nothing(
    network: LPNetRT, facts: CardFacts, frames: list[GateFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = {"mine.pt2": b"old model", "mine.json": b"old card"}
    for name, content in old.items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.setitem(SCORE_LIMIT, "f16", 1e-9)
    with pytest.raises(ModelError) as caught:
        export_model(
            network, tmp_path / "mine.pt2", facts, request(network, frames, "torch-export", "f16", overwrite=True)
        )
    message = str(caught.value)
    assert "mine.pt2: parity gate: torch-export f16, frame self-test: " in message
    assert message.endswith("nothing was written")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == old


def test_int8_in_openvinos_format(network: LPNetRT, facts: CardFacts, frames: list[GateFrame], tmp_path: Path) -> None:
    pytest.importorskip(
        "nncf", reason="nncf is not installed: pip install '.[int8]' in a checkout", exc_type=ImportError
    )
    path = tmp_path / "tiny.xml"
    card = export_model(network, path, facts, request(network, frames, "openvino", "int8")).card
    assert "FakeQuantize" in path.read_text()
    inside = openvino.Core().read_model(path).get_rt_info([CARD_KEY]).value
    check_embedded(msgspec.json.decode(inside, type=ModelCard), card)
    assert find_model(str(path)).card == card
    path.with_suffix(".bin").write_bytes(path.with_suffix(".bin").read_bytes()[:-8] + b"damaged!")
    with pytest.raises(ModelError, match=r"tiny\.bin: the weights are not those of tiny\.xml"):
        OpenVINOEngine(find_model(str(path)), "f32", None, None)


@pytest.mark.parametrize(
    ("format_", "precision", "name", "expected"),
    [
        ("onnx", "f32", "a.pt2", r"expected a name that ends in \.onnx"),
        ("openvino", "f32", "a.onnx", r"expected a name that ends in \.xml"),
        ("onnx", "int8", "a.onnx", "--int8: expected --format openvino, found onnx"),
    ],
)
def test_what_does_not_go_together(
    network: LPNetRT, facts: CardFacts, tmp_path: Path, format_: str, precision: str, name: str, expected: str
) -> None:
    with pytest.raises(SettingsError, match=expected):
        export_model(network, tmp_path / name, facts, request(network, [], format_, precision))
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not NO_TENSORRT, reason="TensorRT is here")
def test_without_tensorrt_the_error_names_the_extra(
    network: LPNetRT, facts: CardFacts, tmp_path: Path, traced: tuple[Path, Exported]
) -> None:
    with pytest.raises(EngineError, match=r"pip install '.*\[tensorrt\]'|expected an NVIDIA GPU"):
        choose_route("auto")
    with pytest.raises(EngineError):
        export_model(network, tmp_path / "tiny.engine", facts, request(network, [], "tensorrt"))
    with pytest.raises(LpnetError, match="tensorrt"):
        TensorRTEngine(ModelFile(tmp_path / "tiny.engine", b"", traced[1].card), None)
    assert not list(tmp_path.iterdir())


@pytest.mark.gpu
@pytest.mark.skipif(NO_TENSORRT, reason="needs TensorRT and an NVIDIA GPU")
def test_a_tensorrt_engine_passes_the_gate(
    network: LPNetRT, facts: CardFacts, frames: list[GateFrame], tmp_path: Path, half_onnx: tuple[Path, Exported]
) -> None:
    exported = export_model(network, tmp_path / "tiny.engine", facts, request(network, frames, "tensorrt", "f16"))
    assert exported.card.built.device == gpu_name()
    assert exported.agreements["tensorrt"].detections >= 4
    assert build_from_onnx(
        half_onnx[0].read_bytes(), {"shape": (1, 2, *read_shapes(SIZE, None, 1, input_rule(network)).max_bhw[1:])}
    )
