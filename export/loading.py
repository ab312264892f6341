"""An exported file in every engine of this machine that reads its format."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from lpnet_rt.engines.onnxruntime import OnnxRuntimeEngine
from lpnet_rt.export.parity import Score
from lpnet_rt.models import ModelCard, ModelFile

__all__ = ["load_exported"]


def load_exported(path: Path, card: ModelCard) -> dict[str, Score]:
    """Load a file, and say what runs it.

    Args:
        path: The model file.
        card: Its card; tells the format. A .pt2 is never loaded: see :mod:`lpnet_rt.export.torch_export`.

    Returns:
        Name of the engine to a function from (B, 2, H, W) to (B, 1, H, W), both float32.

    Raises:
        EngineError: The engine of that format is missing.
        ModelError: The file is damaged.
    """
    if card.built.format == "openvino":
        from lpnet_rt.engines.openvino import OpenVINOEngine

        # The reference is f32; what was quantised runs in int8 whatever is asked for.
        return {"openvino": OpenVINOEngine(ModelFile(path, path.read_bytes(), card), "f32", None, None).score}
    if card.built.format == "tensorrt":
        from lpnet_rt.engines.tensorrt import TensorRTEngine

        return {"tensorrt": TensorRTEngine(ModelFile(path, path.read_bytes(), card), None).score}
    model = ModelFile(path, path.read_bytes(), card)
    engines: dict[str, Score] = {"onnxruntime": OnnxRuntimeEngine(model, None).score}
    if importlib.util.find_spec("openvino") is not None:
        from lpnet_rt.engines.openvino import OpenVINOEngine

        engines["openvino"] = OpenVINOEngine(model, "f32", None, None).score
    return engines
