"""What of the TensorRT engine can be told without TensorRT: it is stood in for by its documented interface."""

from __future__ import annotations

import importlib.machinery
import importlib.metadata
import sys
import types
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lpnet_rt.engines import tensorrt as room
from lpnet_rt.engines.tensorrt import TensorRTEngine, build_from_onnx, gpu_name, tied_versions
from lpnet_rt.errors import EngineError, ModelError
from lpnet_rt.models import ModelFile, find_model
from lpnet_rt.models.built import Built

GPU = "NVIDIA H200 sm_90"
DAMAGED = b"damaged"


class Recorded:
    """Notes every call; returns what it is told to."""

    def __init__(self, calls: list[tuple[str, Any]], **results: Any) -> None:
        self._calls, self._results = calls, results

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> Any:
            self._calls.append((name, arguments))
            result = self._results.get(name)
            return result(*arguments) if callable(result) else result

        return call


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """A machine with TensorRT 11.1 and an H200; what is asked of them."""
    noted: list[tuple[str, Any]] = []
    trt = types.ModuleType("tensorrt")
    trt.__spec__ = importlib.machinery.ModuleSpec("tensorrt", None)

    def logger(level: int) -> Recorded:
        return Recorded(noted)

    logger.WARNING = 2  # type: ignore[attr-defined]
    facts = {
        "Logger": logger,
        "init_libnvinfer_plugins": lambda _, name: noted.append(("init_libnvinfer_plugins", name)),
        "Runtime": lambda _: Recorded(noted, deserialize_cuda_engine=lambda b: None if b == DAMAGED else "engine"),
        "Builder": lambda _: Recorded(
            noted,
            create_network=lambda flags: ("network", flags),
            create_builder_config=lambda: Recorded(noted),
            create_optimization_profile=lambda: Recorded(noted),
            build_serialized_network=lambda *_: b"built",
        ),
        "OnnxParser": lambda *_: Recorded(
            noted,
            parse=lambda content: content != DAMAGED,
            get_error=lambda _: types.SimpleNamespace(desc=lambda: "no such operator"),
        ),
        "NetworkDefinitionCreationFlag": types.SimpleNamespace(),
        "MemoryPoolType": types.SimpleNamespace(WORKSPACE="workspace"),
        "BuilderFlag": types.SimpleNamespace(TF32="tf32"),
    }
    for name, value in facts.items():
        setattr(trt, name, value)
    monkeypatch.setitem(sys.modules, "tensorrt", trt)
    monkeypatch.setattr(room, "gpu_name", lambda: GPU)
    monkeypatch.setattr(room, "tied_versions", lambda: {"tensorrt": "11.1.0"})
    # Contexts need a GPU; what is kept of one here is the engine's bytes.
    monkeypatch.setattr(room, "_Context", lambda trt, engine, path: engine)
    return noted


def engine_file(tmp_path: Path, content: bytes = b"engine", **built: Any) -> ModelFile:
    facts = Built(format="tensorrt", precision="f16", versions={"tensorrt": "11.1.0"}, device=GPU)
    card = msgspec.structs.replace(find_model("lpnet-rt").card, built=msgspec.structs.replace(facts, **built))
    return ModelFile(tmp_path / "mine.engine", content, card)


def test_without_tensorrt_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(EngineError, match=r"expected the package tensorrt, found none; pip install '.\[tens"):
        TensorRTEngine(engine_file(tmp_path), None)


def test_an_engine_of_another_version_or_gpu_is_refused(tmp_path: Path, calls: list[tuple[str, Any]]) -> None:
    assert TensorRTEngine(engine_file(tmp_path), None).precision == "f16"
    with pytest.raises(EngineError, match=r"mine\.engine: expected tensorrt 10\.3, with which it was built, found 11"):
        TensorRTEngine(engine_file(tmp_path, versions={"tensorrt": "10.3"}), None)
    with pytest.raises(EngineError, match=r"mine\.engine: expected the device 'NVIDIA L4 sm_89'"):
        TensorRTEngine(engine_file(tmp_path, device="NVIDIA L4 sm_89"), None)
    with pytest.raises(ModelError, match="expected a TensorRT engine, found a damaged file"):
        TensorRTEngine(engine_file(tmp_path, DAMAGED), None)


def test_an_onnx_file_is_built_once_for_each_size(tmp_path: Path, calls: list[tuple[str, Any]]) -> None:
    model = find_model("lpnet-rt")
    for _ in range(2):  # two starts
        engine = TensorRTEngine(model, tmp_path)
        for shape in ((1, 2, 512, 640), (1, 2, 256, 320), (1, 2, 512, 640)):
            assert engine._contexts[shape] == "engine"
    assert len(list(tmp_path.glob("*.built"))) == 2
    assert [name for name, _ in calls].index("init_libnvinfer_plugins") < [name for name, _ in calls].index("set_shape")
    asked = [arguments for name, arguments in calls if name == "set_shape"]
    assert asked == [("image", *[(1, 2, 512, 640)] * 3), ("image", *[(1, 2, 256, 320)] * 3)]
    assert [arguments for name, arguments in calls if name == "clear_flag"] == [("tf32",)] * 2
    assert [arguments for name, arguments in calls if name == "deserialize_cuda_engine"] == [(b"built",)] * 4


def test_a_file_that_tensorrt_cannot_read_is_named(calls: list[tuple[str, Any]]) -> None:
    with pytest.raises(ModelError, match="TensorRT cannot read the ONNX file: no such operator"):
        build_from_onnx(DAMAGED, {"shape": (1, 2, 64, 64)})
    profile = {name: (size, 2, 64, 64) for size, name in enumerate(("min_shape", "opt_shape", "max_shape"), 1)}
    assert build_from_onnx(b"fine", profile) == b"built"
    assert calls[-3][1] == ("image", (1, 2, 64, 64), (2, 2, 64, 64), (3, 2, 64, 64))


def test_the_version_is_found_under_every_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name != "tensorrt-cu12":
            raise importlib.metadata.PackageNotFoundError(name)
        return "11.1.0"

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert tied_versions() == {"tensorrt": "11.1.0"}


def test_a_machine_without_a_gpu() -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(EngineError, match="expected an NVIDIA GPU, found none"):
        gpu_name()
