from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from lpnet_rt.benchmarks.arithmetic import count_executed_macs, count_macs
from lpnet_rt.models import InputRule, ModelCard, ModelFile, SelfTest, find_model

onnx = pytest.importorskip("onnx")
pytest.importorskip("openvino")
helper, FLOAT = onnx.helper, onnx.TensorProto.FLOAT


def one_node(kind: str, weights: tuple[int, ...], **attributes: object) -> ModelFile:
    """A model of (1, 8, H, W) with one node that has weights."""
    values = [onnx.numpy_helper.from_array(np.ones(weights, np.float32), "weights")]
    nodes = [helper.make_node(kind, ["image", "weights"], ["out"], **attributes)]
    given = helper.make_tensor_value_info("image", FLOAT, [1, 8, "height", "width"])
    out = helper.make_tensor_value_info("out", FLOAT, None)
    model = helper.make_model(
        helper.make_graph(nodes, "one", [given], [out], values),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    content = model.SerializeToString()
    card = ModelCard(
        name="one",
        network="none",
        config={},
        parameters=1,
        input=InputRule(multiple=16, min_side_px=16),
        threshold=0.5,
        weights_sha256="",
        file_sha256=hashlib.sha256(content).hexdigest(),
        self_test=SelfTest(centroid_xy=[], score=[]),
    )
    return ModelFile(Path("one.onnx"), content, card)


@pytest.mark.parametrize(
    ("kind", "weights", "attributes", "expected"),
    [
        ("Conv", (12, 8, 3, 3), {"pads": [1, 1, 1, 1]}, 32 * 48 * 12 * 8 * 9),
        ("Conv", (12, 8, 4, 4), {"strides": [4, 4]}, 8 * 12 * 12 * 8 * 16),
        ("Conv", (8, 1, 3, 3), {"pads": [1, 1, 1, 1], "group": 8}, 32 * 48 * 8 * 9),
        ("Conv", (16, 2, 3, 3), {"pads": [1, 1, 1, 1], "group": 4}, 32 * 48 * 16 * 2 * 9),
        ("ConvTranspose", (8, 5, 2, 2), {"strides": [2, 2]}, 32 * 48 * 8 * 5 * 4),
        ("ConvTranspose", (8, 3, 2, 2), {"strides": [2, 2], "group": 2}, 32 * 48 * 8 * 3 * 4),
        ("MatMul", (48, 7), {}, 8 * 32 * 48 * 7),
    ],
)
def test_by_hand(kind: str, weights: tuple[int, ...], attributes: dict[str, object], expected: int) -> None:
    assert count_macs(one_node(kind, weights, **attributes), (32, 48)) == expected


def test_frames_are_padded_first(blob_model: Path) -> None:
    model = find_model(str(blob_model))
    assert count_macs(model, (128, 160)) == 128 * 160 * 2 * 25
    assert count_macs(model, (120, 150)) == 128 * 160 * 2 * 25
    assert count_macs(model, (20, 20)) == 64 * 64 * 2 * 25


def test_executed_multiply_accumulates_are_counted() -> None:
    torch = pytest.importorskip("torch")
    convolution = torch.nn.Conv2d(8, 4, 3, padding=1)
    image = torch.zeros(2, 8, 16, 10)
    assert count_executed_macs(lambda: convolution(image)) == 2 * 4 * 8 * 9 * 160
