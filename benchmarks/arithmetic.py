"""How many multiply-accumulates a model takes, counted from its graph's shapes."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from lpnet_rt.models import ModelFile

if TYPE_CHECKING:
    import openvino as ov

__all__ = ["count_executed_macs", "count_macs"]

_CONVOLUTIONS = ("Convolution", "GroupConvolution")
_BACKWARDS = ("ConvolutionBackpropData", "GroupConvolutionBackpropData")


def count_macs(model: ModelFile, size_hw: tuple[int, int]) -> int | None:
    """Count the multiply-accumulates of one frame: convolutions and matrix products, all else is left out.

    Args:
        model: ONNX model whose input is (1, C, H, W).
        size_hw: Size of the frame, pixels; padded as the model's card says.

    Returns:
        Multiply-accumulates, or None where OpenVINO, which works out the shapes, is not installed.
    """
    if importlib.util.find_spec("openvino") is None:
        return None
    import openvino as ov

    graph = ov.Core().read_model(model.content)
    rule = model.card.input
    padded = [rule.padded_px(side) for side in size_hw]
    channels = graph.input(0).get_partial_shape()[1].get_length()
    graph.reshape([1, channels, *padded])
    return sum(_macs(node) for node in graph.get_ordered_ops())


def count_executed_macs(forward: Callable[[], object]) -> int:
    """Count the multiply-accumulates of the convolutions and matrix products that PyTorch executes in a call."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        forward()
    return int(counter.get_total_flops()) // 2


def _macs(node: ov.Node) -> int:
    kind = node.get_type_name()
    if kind not in (*_CONVOLUTIONS, *_BACKWARDS, "MatMul"):
        return 0
    shapes = [[int(side) for side in value.get_shape()] for value in (*node.inputs(), node.output(0))]
    if kind in _CONVOLUTIONS:
        # Weights are (O, I, h, w), grouped ones (G, O/G, I/G, h, w): what comes after O is summed for every output.
        summed = shapes[1][1 if kind == "Convolution" else 2 :]
        return math.prod(shapes[-1]) * math.prod(summed)
    if kind in _BACKWARDS:
        # Weights are (I, O, h, w), grouped ones (G, I/G, O/G, h, w): every input is spread over what comes after I.
        spread = shapes[1][1 if kind == "ConvolutionBackpropData" else 2 :]
        return math.prod(shapes[0]) * math.prod(spread)
    is_turned = node.get_attributes()["transpose_a"] and len(shapes[0]) > 1
    return math.prod(shapes[-1]) * shapes[0][-2 if is_turned else -1]
