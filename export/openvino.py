"""LPNet-RT to OpenVINO's own format (.xml and .bin), in fp32, with weights in fp16, or in int8 by NNCF."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from lpnet_rt.errors import EngineError, ModelError
from lpnet_rt.export.cards import CARD_KEY, card_text, read_card_text
from lpnet_rt.frames import ModelInput
from lpnet_rt.models import ModelCard
from lpnet_rt.models.built import Precision

__all__ = ["embedded_card", "load_openvino", "quantise", "write_openvino"]

_WEIGHTS_KEY = "lpnet_rt_weights_sha256"


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
    model.set_rt_info(weights, [_WEIGHTS_KEY])
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
        raise EngineError("--int8: expected the package nncf, found none; pip install 'lpnet-rt[int8]'") from error
    nncf.set_log_level(logging.ERROR)
    with contextlib.redirect_stdout(sys.stderr):  # its progress bar is no result of ours
        return nncf.quantize(
            model,
            nncf.Dataset(list(inputs)),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(inputs),
            ignored_scope=nncf.IgnoredScope(names=_logit_layers(model)),
            fast_bias_correction=True,
        )


def load_openvino(path: Path) -> Callable[[ModelInput], NDArray[np.float32]]:
    """Load a written file on the processor, calculating in fp32.

    Raises:
        ModelError: A file is missing or damaged, or the weights are not those of the .xml.
    """
    core = ov.Core()
    try:
        _check_weights(path)
        model = core.read_model(path)
        compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    except RuntimeError as error:
        raise ModelError(f"{path}: OpenVINO cannot read this model: {_last_line(error)}") from error

    def score(batch: ModelInput) -> NDArray[np.float32]:
        try:
            result: NDArray[np.float32] = compiled(batch)[0]
        except RuntimeError as error:
            raise EngineError(f"openvino: {_last_line(error)}") from error
        return result

    return score


def embedded_card(path: Path) -> ModelCard:
    """The card inside a .xml; its ``file_sha256`` is empty.

    Raises:
        ModelError: The file cannot be read or holds no card.
    """
    try:
        model = ov.Core().read_model(path)
    except RuntimeError as error:
        raise ModelError(f"{path}: OpenVINO cannot read this model: {_last_line(error)}") from error
    return read_card_text(path, str(model.get_rt_info([CARD_KEY]).value) if model.has_rt_info([CARD_KEY]) else None)


def _check_weights(path: Path) -> None:
    """Compare the .bin with its hash in the .xml, as text: OpenVINO may fail on what is damaged before it can tell."""
    beside = path.with_suffix(".bin")
    try:
        found = re.search(rf'<{_WEIGHTS_KEY} value="([0-9a-f]{{64}})"', path.read_text(encoding="utf-8"))
        weights = beside.read_bytes()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{path}: expected a model with its weights {beside.name}: {error}; export it again"
        ) from error
    if found is None:
        raise ModelError(f"{path}: expected the hash of its weights in it, found none; export it again")
    if hashlib.sha256(weights).hexdigest() != found.group(1):
        raise ModelError(f"{beside}: the weights are not those of {path.name} (damaged?); export both again")


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


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__
