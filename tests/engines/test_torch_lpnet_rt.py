"""LPNet-RT in PyTorch, and the device path, which runs on the processor just as well."""

from __future__ import annotations

import dataclasses

import msgspec
import numpy as np
import onnx
import pytest
import torch

from lpnet_rt import Detector, Frame
from lpnet_rt.detections import candidate_score, detect, detect_candidates
from lpnet_rt.engines import Choice, DeviceEngine
from lpnet_rt.engines.onnxruntime import OnnxRuntimeEngine
from lpnet_rt.engines.torch_lpnet_rt import TorchLPNetRTEngine
from lpnet_rt.engines.trial import self_test
from lpnet_rt.errors import EngineError, ModelError
from lpnet_rt.frames import GreyImage
from lpnet_rt.models import ModelFile, find_model
from lpnet_rt.networks.lpnet_rt.standardising import Standardise
from lpnet_rt.networks.lpnet_rt.weights import network_of_onnx
from lpnet_rt.preprocessing.frame_and_local import model_input
from lpnet_rt.preprocessing.rules import prepare, restore
from lpnet_rt.selftest import self_test_frame
from lpnet_rt.sources.demo import DemoScene

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU that PyTorch can use")


@pytest.fixture(scope="module")
def model() -> ModelFile:
    return find_model("lpnet-rt")


@pytest.fixture(scope="module")
def engine(model: ModelFile) -> TorchLPNetRTEngine:
    return TorchLPNetRTEngine(model, "f32", None, "cpu")


def frames_of(*indices: int, size_hw: tuple[int, int] = (96, 128)) -> list[np.ndarray]:
    scene = DemoScene(seed=5, size_hw=size_hw)
    return [scene.frame(index) for index in indices]


def in_eight_bits(image: np.ndarray) -> np.ndarray:
    return ((image.astype(int) - int(np.median(image))) // 4 + 90).clip(0, 255).astype(np.uint8)


def framed(image: np.ndarray, index: int) -> Frame:
    return Frame(image=image, index=index, source="s", pts_s=None, t_capture_us=1, t_read_ns=1)


def test_weights_of_the_onnx_file_are_the_network(model: ModelFile) -> None:
    image = model_input(self_test_frame(), model.card.input.multiple, model.card.input.min_side_px)
    found = network_of_onnx(model)(torch.from_numpy(image)).numpy()
    np.testing.assert_allclose(found, OnnxRuntimeEngine(model, 1).score(image), rtol=0, atol=1e-5)


def test_files_that_are_not_of_this_network(model: ModelFile) -> None:
    other = msgspec.structs.replace(model.card, network="LPNetGA")
    with pytest.raises(ModelError, match="expected a model of LPNet-RT, found LPNetGA"):
        network_of_onnx(dataclasses.replace(model, card=other))
    odd = msgspec.structs.replace(model.card, config={**model.card.config, "layers": 3})
    with pytest.raises(ModelError, match="its card does not describe an LPNet-RT"):
        network_of_onnx(dataclasses.replace(model, card=odd))
    wide = msgspec.structs.replace(model.card, config={**model.card.config, "local_channels": 8})
    with pytest.raises(ModelError, match=r"expected network\.local_view.*, float32 \(8,.*found float32 \(32,"):
        network_of_onnx(dataclasses.replace(model, card=wide))
    with pytest.raises(ModelError, match="expected an ONNX file, found"):
        network_of_onnx(dataclasses.replace(model, content=b"\x00nonsense"))
    graph = onnx.load_from_string(model.content)
    del graph.graph.initializer[0]
    with pytest.raises(ModelError, match=r"expected network\.global_view\.stem\.0\.weight, .* found none"):
        network_of_onnx(dataclasses.replace(model, content=graph.SerializeToString()))


@pytest.mark.parametrize("size_hw", [(128, 160), (77, 101), (5, 9), (1, 30), (256, 320)])
@pytest.mark.parametrize("kind", ["eight bits", "raw", "flat", "steep"])
def test_standardising_on_a_device_is_the_same(size_hw: tuple[int, int], kind: str) -> None:
    rng = np.random.default_rng(3)
    images: dict[str, GreyImage] = {
        "eight bits": rng.integers(0, 256, size_hw).astype(np.uint8),
        "raw": rng.normal(40_000, 30, size_hw).astype(np.uint16),
        "flat": np.full(size_hw, 7000, np.uint16),
        "steep": (np.arange(size_hw[0] * size_hw[1]).reshape(size_hw) % 60_000).astype(np.uint16),
    }
    image = images[kind]
    expected = model_input(image, 16, 64)
    bits = image if image.dtype == np.uint8 else image.view(np.int16)
    found = Standardise(size_hw, 16, 64)(torch.from_numpy(np.stack((bits, bits)))).numpy()
    for each in found:
        np.testing.assert_allclose(each, expected[0], rtol=0, atol=5e-3 if kind == "steep" else 2e-4)


@pytest.mark.parametrize("bits", [8, 16])
def test_the_device_path_finds_what_the_other_path_finds(
    model: ModelFile, engine: TorchLPNetRTEngine, bits: int
) -> None:
    assert isinstance(engine, DeviceEngine)
    images = frames_of(0, 40, 80, size_hw=(100, 130))
    if bits == 8:
        images = [in_eight_bits(image) for image in images]
    for threshold in (0.3, 0.74):
        candidates = engine.find(images, candidate_score(threshold))
        assert len(candidates) == 3
        for image, pixels in zip(images, candidates, strict=True):
            scores = restore(engine.score(prepare(image, model.card.input)), (100, 130), model.card.input)
            expected, found = detect(scores, image, threshold), detect_candidates(pixels, image, threshold)
            np.testing.assert_allclose(found.centroid_xy, expected.centroid_xy, atol=0.01)
            np.testing.assert_allclose(found.score, expected.score, atol=1e-3)
            assert pixels.finite
            kept = scores >= candidate_score(threshold)
            np.testing.assert_allclose(pixels.score_map()[kept], scores[kept], atol=1e-3)
    assert sum(len(pixels.rows) for pixels in candidates) > 0


def test_bf16_passes_the_self_test_and_f16_needs_a_gpu(model: ModelFile, engine: TorchLPNetRTEngine) -> None:
    assert self_test(engine, model) is None
    assert self_test(TorchLPNetRTEngine(model, "bf16", None, "cpu"), model) is None
    with pytest.raises(EngineError, match="precision f16 needs an NVIDIA GPU"):
        TorchLPNetRTEngine(model, "f16", None, "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(model: ModelFile) -> None:
    with pytest.raises(EngineError, match="expected an NVIDIA GPU, found none"):
        TorchLPNetRTEngine(model, "f32", None, "cuda")


def test_frames_of_several_sizes_and_sources_in_one_call(model: ModelFile, engine: TorchLPNetRTEngine) -> None:
    deep, small = frames_of(0, 40), frames_of(10, 50, size_hw=(64, 80))
    eight = [in_eight_bits(image) for image in deep]
    frames = [framed(image, i) for i, image in enumerate((deep[0], small[0], eight[0], deep[1], eight[1], small[1]))]
    device = Detector(model.card, Choice(engine, "test"), 0.5)
    plain = Detector(model.card, Choice(OnnxRuntimeEngine(model, 1), "test"), 0.5)
    assert (device.max_batch, plain.max_batch) == (1, 1)
    for found, expected in zip(device.reports(frames), plain.reports(frames), strict=True):
        assert found.frame is expected.frame
        assert found.error is None
        np.testing.assert_allclose(found.detections.centroid_xy, expected.detections.centroid_xy, atol=0.05)
        np.testing.assert_allclose(found.detections.score, expected.detections.score, atol=0.01)
        assert found.score_map.shape == expected.score_map.shape
        stages = found.latency
        parts = stages.queue_ms + stages.prepare_ms + stages.infer_ms + stages.detect_ms
        assert stages.total_ms == pytest.approx(parts, abs=1e-6)
    assert len(device.detect(deep[0])) == len(plain.detect(deep[0]))
    with pytest.raises(EngineError, match="expected frames of one size and depth"):
        engine.find([deep[0], small[0]], 0.5)


class NaNWhereBright(torch.nn.Module):
    """Scores every pixel 0.9, and nothing at all where a pixel stands far out of its frame."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        bright = image[:, :1].flatten(1).amax(1).view(-1, 1, 1, 1) > 20
        return torch.where(bright, torch.nan, torch.full_like(image[:, :1], 0.9))


def test_a_frame_that_scores_no_numbers_fails_alone(model: ModelFile) -> None:
    broken = TorchLPNetRTEngine(model, "f32", None, "cpu")
    broken._network = NaNWhereBright()
    quiet, loud = np.full((64, 64), 9, np.uint16), np.full((64, 64), 9, np.uint16)
    loud[5, 5] = 65_535
    detector = Detector(model.card, Choice(broken, "test"), 0.5)
    reports = detector.reports([framed(quiet, 0), framed(loud, 1)])
    assert reports[0].error is None
    assert len(reports[0].detections) == 1
    assert reports[1].error == "frame 1: expected finite scores, found NaN or infinity"
    assert len(reports[1].detections) == 0
    with pytest.raises(EngineError, match="expected finite scores"):
        detector.detect(loud)


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("precision", ["f32", "f16"])
def test_a_gpu_finds_the_same_in_any_batch(model: ModelFile, precision: str) -> None:
    gpu = TorchLPNetRTEngine(model, precision, None, "cuda")
    assert self_test(gpu, model) is None
    images = frames_of(*range(0, 90, 5), size_hw=(256, 320))
    alone = [gpu.find([image], 0.5)[0] for image in images]
    together = gpu.find(images, 0.5)
    for image, one, many in zip(images, alone, together, strict=True):
        expected, found = detect_candidates(one, image, 0.5), detect_candidates(many, image, 0.5)
        np.testing.assert_allclose(found.centroid_xy, expected.centroid_xy, atol=0.05)
        np.testing.assert_allclose(found.score, expected.score, atol=0.02)
