"""LPNet-RT to OpenVINO's own format (.xml and .bin), in fp32, with weights in fp16, or in int8 by NNCF."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import openvino as ov

from lpnet_rt.engines.openvino import WEIGHTS_KEY
from lpnet_rt.errors import EngineError
from lpnet_rt.export.cards import CARD_KEY, card_text
from lpnet_rt.models import ModelCard
from lpnet_rt.models.built import Precision
from lpnet_rt.preprocessing.frame_and_local import ModelInput

__all__ = ["quantise", "write_openvino"]


def write_openvino(model: ov.Model, path: Path, card: ModelCard, precision: Precision) -> None:
    """Write ``path`` (.xml) and the weights beside it (.bin); card and hash of the weights stand in the .xml.

    Args:
        model: What to write.
        path: Ends in ``.xml``.
        card: Of the file.
        precision: ``f16`` keeps the weights in half the space; the arithmetic is the engine's choice.
    """
    model.set_rt_info(card_text(card), [CARD_KEY])
    ov.save_model(model, path, compress_to_fp16=precision == "f16")
    weights = hashlib.sha256(path.with_suffix(".bin").read_bytes()).hexdigest()
    model.set_rt_info(weights, [WEIGHTS_KEY])
    ov.save_model(model, path, compress_to_fp16=precision == "f16")


def quantise(model: ov.Model, inputs: Sequence[ModelInput]) -> ov.Model:
    """Quantise to int8 after training, calibrated on model inputs; what writes logits stays as it is.

    Args:
        model: In fp32.
        inputs: (B, 2, H, W) float32 each, of real frames.

    Raises:
        EngineError: NNCF is not installed.
    """
    try:
        import nncf
    except ModuleNotFoundError as error:
        raise EngineError(
            "--int8: expected the package nncf, found none; pip install '.[int8]' in a checkout of lpnet-rt"
        ) from error
    nncf.set_log_level(logging.ERROR)
    with contextlib.redirect_stdout(sys.stderr):  # standard output is for results, not for its progress bar
        return nncf.quantize(
            model,
            nncf.Dataset(list(inputs)),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(inputs),
            ignored_scope=nncf.IgnoredScope(names=_logit_layers(model)),
            fast_bias_correction=True,
        )


def _logit_layers(model: ov.Model) -> list[str]:
    """Convolutions after which no other convolution comes on any way to the output or to the choice of cells."""
    names = []
    for node in model.get_ordered_ops():
        if node.get_type_name() == "Convolution" and not _leads_to_convolution(node):
            names.append(node.get_friendly_name())
    return names


def _leads_to_convolution(start: ov.Node) -> bool:
    waiting, seen = [start], set()
    while waiting:
        for output in waiting.pop().outputs():
            for target in output.get_target_inputs():
                node = target.get_node()
                name = node.get_friendly_name()
                if name in seen:
                    continue
                seen.add(name)
                if node.get_type_name() == "Convolution":
                    return True
                waiting.append(node)
    return False
