from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import numpy as np
import pytest

from lpnet_rt.benchmarks.videos import write_demo_video
from lpnet_rt.detections import detect
from lpnet_rt.engines.onnxruntime import OnnxRuntimeEngine
from lpnet_rt.models import InputRule, ModelCard, ModelFile, SelfTest, write_card
from lpnet_rt.preprocessing.frame_and_local import model_input
from lpnet_rt.selftest import SELF_TEST_THRESHOLD, self_test_frame

SIZE_HW = (128, 160)


def _graph() -> bytes:
    """A blurred local channel through a sigmoid: finds hot blobs, one frame at a time."""
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    weights = np.zeros((1, 2, 5, 5), np.float32)
    weights[0, 1, 1:4, 1:4] = 0.25
    nodes = [
        helper.make_node("Conv", ["image", "weights", "bias"], ["logit"], pads=[2, 2, 2, 2]),
        helper.make_node("Sigmoid", ["logit"], ["score"]),
    ]
    values = [
        onnx.numpy_helper.from_array(weights, "weights"),
        onnx.numpy_helper.from_array(np.array([-9.0], np.float32), "bias"),
    ]
    given = helper.make_tensor_value_info("image", kind, [1, 2, "height", "width"])
    scores = helper.make_tensor_value_info("score", kind, [1, 1, "height", "width"])
    graph = helper.make_graph(nodes, "blobs", [given], [scores], values)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()


@pytest.fixture(scope="session")
def blob_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model with its card; it takes one frame at a time."""
    path = tmp_path_factory.mktemp("blob-model") / "blobs.onnx"
    path.write_bytes(_graph())
    card = ModelCard(
        name="blobs",
        network="none",
        config={},
        parameters=51,
        input=InputRule(multiple=16, min_side_px=64),
        threshold=0.5,
        weights_sha256="",
        file_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        self_test=SelfTest(centroid_xy=[], score=[]),
    )
    engine = OnnxRuntimeEngine(ModelFile(path, path.read_bytes(), card), 1)
    image = self_test_frame()
    found = detect(engine.score(model_input(image, 16, 64))[0, 0], image, SELF_TEST_THRESHOLD)
    assert len(found) == 3
    test = SelfTest(centroid_xy=[(float(x), float(y)) for x, y in found.centroid_xy], score=found.score.tolist())
    write_card(path.with_suffix(".json"), msgspec.structs.replace(card, self_test=test))
    return path


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second and a third of the demo scene, small, as H.264."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    write_demo_video(path, SIZE_HW, 40)
    return path
