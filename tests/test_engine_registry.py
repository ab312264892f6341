from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from lpnet_rt import engine_registry as registry
from lpnet_rt.agreement import SCORE_LIMIT
from lpnet_rt.detector import Detector
from lpnet_rt.engine_registry import EngineName, Precision, all_specs, specs_for
from lpnet_rt.engines import candidates_for, choose_engine
from lpnet_rt.models import find_model
from lpnet_rt.selftest import self_test_frame
from lpnet_rt.settings import DetectorSettings

# One module, as someone would write it who adds an engine.
MODULE = """
from lpnet_rt.engines.onnxruntime import OnnxRuntimeEngine
from lpnet_rt.engines.spec import AS_THE_FILE, EngineSpec


class Mine(OnnxRuntimeEngine):
    def __init__(self, model, threads):
        super().__init__(model, threads)
        self.name = "mine"


SPECS = (
    EngineSpec(
        name="mine",
        package="onnxruntime",
        formats=(".onnx",),
        precisions=AS_THE_FILE,
        needs=lambda precision: None,
        open=lambda model, precision, threads: Mine(model, threads),
        open_for_gate=lambda model: Mine(model, None),
    ),
)
"""


def test_every_name_has_its_module_and_its_specs() -> None:
    assert set(registry.MODULES) == set(get_args(EngineName)) == {spec.name for spec in all_specs()}
    for spec in all_specs():
        assert spec.formats, spec
        computed = {precision for some in spec.precisions.values() for precision in some}
        assert computed <= set(get_args(Precision)) == set(SCORE_LIMIT)
        assert set(spec.on_request) <= computed


def test_every_format_of_a_model_has_an_engine() -> None:
    assert [spec.name for spec in specs_for(".onnx")] == list(registry.MODULES)
    assert [spec.name for spec in specs_for(".safetensors")] == ["openvino", "torch"]
    assert [spec.name for spec in specs_for(".xml")] == ["openvino"]
    assert [spec.name for spec in specs_for(".engine")] == ["tensorrt"]
    assert specs_for(".pt") == []


def test_the_registry_imports_no_engine() -> None:
    code = (
        "import sys\n"
        "from lpnet_rt import settings\n"
        "light = [name for name in ('numpy', 'cv2', 'lpnet_rt.engines.choice') if name in sys.modules]\n"
        "from lpnet_rt.engine_registry import all_specs\n"
        "all_specs()\n"
        "print(light, [name for name in ('openvino', 'onnxruntime', 'torch', 'tensorrt') if name in sys.modules])\n"
        "from lpnet_rt.engines import list_candidates\n"
        "list_candidates()\n"
        "print([name for name in ('onnxruntime', 'torch', 'tensorrt') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == ["[] []", "[]"]


def test_an_engine_is_a_module_and_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "engine_of_mine.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("LPNET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(registry.MODULES, "mine", "engine_of_mine")  # type: ignore[misc]
    model = find_model("lpnet-rt")
    assert str(candidates_for(model)[-1]) == "mine f32"
    assert "mine f32" in choose_engine(model, DetectorSettings(precision="f32")).why
    detector = Detector.load(DetectorSettings(engine="mine"))  # type: ignore[arg-type]
    assert detector.choice.engine.name == "mine"
    expected = Detector.load(DetectorSettings(engine="onnxruntime")).detect(self_test_frame())
    np.testing.assert_array_equal(detector.detect(self_test_frame()).centroid_xy, expected.centroid_xy)
