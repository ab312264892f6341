from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from lpnet_rt.agreement import SCORE_LIMIT, disagreement
from lpnet_rt.detections import Detections, detect
from lpnet_rt.detector import Detector
from lpnet_rt.engines import Engine, choose_engine, list_candidates
from lpnet_rt.engines.openvino import has_bf16
from lpnet_rt.engines.trial import self_test
from lpnet_rt.errors import EngineError, ModelError
from lpnet_rt.models import ModelFile, SelfTest, find_model
from lpnet_rt.preprocessing.frame_and_local import model_input
from lpnet_rt.selftest import SELF_TEST_THRESHOLD, self_test_frame
from lpnet_rt.settings import DetectorSettings
from lpnet_rt.sources.demo import DemoScene

SIZES_HW = [(77, 101), (40, 50), (96, 64), (64, 200), (130, 90)]


@pytest.fixture(scope="module")
def model() -> ModelFile:
    return find_model("lpnet-rt")


def engine_of(model: ModelFile, engine: str, precision: str = "f32") -> Engine:
    return choose_engine(model, DetectorSettings(engine=engine, precision=precision, threads=1)).engine


@pytest.fixture(scope="module")
def onnxruntime(model: ModelFile) -> Engine:
    return engine_of(model, "onnxruntime")


@pytest.fixture(scope="module")
def openvino(model: ModelFile) -> Engine:
    return engine_of(model, "openvino")


def with_blobs(size_hw: tuple[int, int], seed: int) -> np.ndarray:
    """A graded, noisy sky with a strong blob or two, as strong as those of the self-test."""
    rng = np.random.default_rng(seed)
    height, width = size_hw
    ys, xs = np.mgrid[0:height, 0:width]
    frame = 90 + 0.2 * ys + rng.normal(0, 2, size_hw)
    for x, y in ((width * 0.3, height * 0.4), (width * 0.75, height * 0.7)):
        frame += 75 * np.exp(-0.5 * ((xs - x) ** 2 + (ys - y) ** 2) / 1.4**2)
    return frame.clip(0, 255).astype(np.uint8)


def scores_of(engine: Engine, model: ModelFile, image: np.ndarray) -> np.ndarray:
    batch = model_input(image, model.card.input.multiple, model.card.input.min_side_px)
    scores = engine.score(batch)
    assert scores.shape == (1, 1, *batch.shape[2:])
    assert scores.dtype == np.float32
    return scores[0, 0, : image.shape[0], : image.shape[1]].copy()


def found_by(engine: Engine, model: ModelFile, image: np.ndarray) -> Detections:
    return detect(scores_of(engine, model, image), image, SELF_TEST_THRESHOLD)


def test_openvino_in_f32_agrees_with_onnx_runtime_at_every_size(
    model: ModelFile, onnxruntime: Engine, openvino: Engine
) -> None:
    for seed, size_hw in enumerate(SIZES_HW):
        image = with_blobs(size_hw, seed)
        left, right = scores_of(onnxruntime, model, image), scores_of(openvino, model, image)
        np.testing.assert_allclose(left, right, atol=2e-3)
        found = detect(left, image, SELF_TEST_THRESHOLD)
        assert len(found) >= 1
        assert disagreement(found, detect(right, image, SELF_TEST_THRESHOLD), "f32") is None


def test_openvino_in_bf16_agrees_within_its_limits(model: ModelFile, onnxruntime: Engine) -> None:
    if all(candidate.missing for candidate in list_candidates() if candidate.precision == "bf16"):
        pytest.skip("this processor has no bf16 arithmetic of its own")
    half = engine_of(model, "openvino", "bf16")
    assert half.precision == "bf16"
    for image in (self_test_frame(), with_blobs((77, 101), 0), with_blobs((40, 50), 1)):
        expected = found_by(onnxruntime, model, image)
        assert disagreement(expected, found_by(half, model, image), "bf16") is None


def test_sizes_that_come_and_go_do_not_change_the_scores(model: ModelFile, openvino: Engine) -> None:
    images = [with_blobs(size_hw, 3) for size_hw in SIZES_HW]  # more sizes than are kept compiled
    first = [scores_of(openvino, model, image) for image in images]
    for image, expected in zip(images, first, strict=True):
        np.testing.assert_array_equal(scores_of(openvino, model, image), expected)


def test_every_engine_passes_the_self_test(model: ModelFile, onnxruntime: Engine, openvino: Engine) -> None:
    assert self_test(onnxruntime, model) is None
    assert self_test(openvino, model) is None


def test_an_input_of_another_shape_is_an_error_in_one_line(onnxruntime: Engine, openvino: Engine) -> None:
    for engine in (onnxruntime, openvino):
        with pytest.raises(EngineError, match=f"^{engine.name}: ") as caught:
            engine.score(np.zeros((1, 7, 64, 64), np.float32))
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 300


def test_a_file_that_is_no_model(model: ModelFile, tmp_path: Path) -> None:
    card = msgspec.structs.replace(model.card, file_sha256="another")
    broken = ModelFile(tmp_path / "x.onnx", b"not a model at all", card)
    for engine in ("openvino", "onnxruntime"):
        with pytest.raises(ModelError, match=r"x\.onnx: .* cannot read this model") as caught:
            engine_of(broken, engine)
        assert "\n" not in str(caught.value)
    with pytest.raises(EngineError, match=r"no engine passes the self-test of x\.onnx: openvino"):
        choose_engine(broken, DetectorSettings())


# The choice


@pytest.fixture
def only_onnxruntime(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without OpenVINO, which has measured nothing yet; the folder of what it remembers."""
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setenv("LPNET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "choices"


def test_auto_takes_an_engine_and_says_why(model: ModelFile) -> None:
    choice = choose_engine(model, DetectorSettings())
    able = {str(candidate) for candidate in list_candidates() if candidate.is_for_auto}
    assert f"{choice.engine.name} {choice.engine.precision}" in able
    assert choice.why.startswith("fastest at 320x256 of: ")
    for name in able:
        assert name in choice.why


def test_a_file_of_four_frames_at_a_time_is_refused(model: ModelFile) -> None:
    built = msgspec.structs.replace(model.card.built, min_size=(4, 64, 64), max_size=(4, 64, 64))
    card = msgspec.structs.replace(model.card, built=built)
    with pytest.raises(EngineError, match=r"expected a file that takes one frame at a time, found one of 4; export it"):
        choose_engine(dataclasses.replace(model, card=card), DetectorSettings())


def test_auto_keeps_to_the_precision_asked_for(model: ModelFile) -> None:
    choice = choose_engine(model, DetectorSettings(precision="f32"))
    assert choice.engine.precision == "f32"
    assert "bf16" not in choice.why


def test_the_outcome_is_remembered(model: ModelFile, only_onnxruntime: Path) -> None:
    first = choose_engine(model, DetectorSettings())
    assert first.engine.name == "onnxruntime"
    assert first.why.endswith("(measured now)")
    (memory,) = only_onnxruntime.iterdir()
    (outcome,) = msgspec.json.decode(memory.read_bytes())
    memory.write_bytes(msgspec.json.encode([outcome | {"best_ms": 1234.5}]))
    again = choose_engine(model, DetectorSettings())
    assert again.why == "fastest at 320x256 of: onnxruntime f32 1234.5 ms (measured earlier on this machine)"
    assert choose_engine(model, DetectorSettings(threads=1)).why.endswith("(measured now)")


def test_a_damaged_memory_is_measured_again(model: ModelFile, only_onnxruntime: Path) -> None:
    choose_engine(model, DetectorSettings())
    (memory,) = only_onnxruntime.iterdir()
    for damage in (
        b"\x00\xff",
        b"[]",
        b'[{"candidate": "abacus f32", "best_ms": 1.0, "problem": null}]',
        b'[{"candidate": "onnxruntime f32", "best_ms": null, "problem": "was broken"}]',
    ):
        memory.write_bytes(damage)
        assert choose_engine(model, DetectorSettings()).why.endswith("(measured now)"), damage
        assert memory.read_bytes() != damage


def test_a_cache_that_cannot_be_written_costs_time_and_nothing_else(
    model: ModelFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv("LPNET_CACHE", str(tmp_path / "file" / "cache"))
    image = with_blobs((64, 64), 1)
    assert len(found_by(engine_of(model, "openvino"), model, image)) >= 1
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert choose_engine(model, DetectorSettings()).why.endswith("(measured now)")
    assert (tmp_path / "file").read_text() == "mine"


def test_an_engine_that_fails_the_self_test_is_not_taken(model: ModelFile, only_onnxruntime: Path) -> None:
    card = msgspec.structs.replace(model.card, self_test=SelfTest(centroid_xy=[(5.0, 5.0)], score=[0.9]))
    with pytest.raises(EngineError, match="onnxruntime f32: fails the self-test: expected 1 detections, found"):
        choose_engine(dataclasses.replace(model, card=card), DetectorSettings())
    assert not only_onnxruntime.exists(), "a failure must not be remembered"


def test_a_missing_engine_names_what_to_install(model: ModelFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(EngineError, match="openvino bf16 is not available here; it needs pip install openvino"):
        choose_engine(model, DetectorSettings(engine="openvino"))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(
        EngineError, match=r"expected an engine in precision auto, found none .*pip install onnxruntime"
    ):
        choose_engine(model, DetectorSettings())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (DetectorSettings(engine="abacus"), "--engine abacus: expected one of auto, openvino, onnxruntime"),
        (DetectorSettings(engine="onnxruntime", precision="bf16"), "--precision bf16: onnxruntime runs in f32"),
        (DetectorSettings(precision="f8"), "auto: expected an engine in precision f8, found none"),
    ],
)
def test_what_does_not_exist_is_refused(model: ModelFile, settings: DetectorSettings, message: str) -> None:
    with pytest.raises(EngineError) as caught:
        choose_engine(model, settings)
    assert str(caught.value).startswith(message)


@pytest.mark.skipif(not has_bf16(), reason="this processor does not calculate in bf16")
@pytest.mark.parametrize("size_hw", [(240, 368), (240, 240), (192, 304), (512, 640)])
def test_bf16_looks_at_the_same_cells(size_hw: tuple[int, int]) -> None:
    """Numbers of cells that no power of two divides: indices calculated in bf16 would land in other cells."""
    image = DemoScene(seed=3, size_hw=size_hw).frame(5)
    half = Detector.load(DetectorSettings(engine="openvino", precision="bf16")).score_map(image)
    whole = Detector.load(DetectorSettings(engine="onnxruntime")).score_map(image)
    np.testing.assert_allclose(half, whole, rtol=0, atol=SCORE_LIMIT["bf16"])
