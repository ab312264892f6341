"""LPNet-RT to ONNX: by default one file for every size of frame, scores out, its model card inside and beside it."""

from __future__ import annotations

import logging
from pathlib import Path

import onnx
import torch
from torch import nn

from lpnet_rt.errors import ModelError
from lpnet_rt.export.cards import (
    CARD_KEY,
    CardFacts,
    card_text,
    make_card,
    package_versions,
    signed,
)
from lpnet_rt.export.shapes import Shapes, any_size
from lpnet_rt.export.tracing import without_deprecation
from lpnet_rt.models import ModelCard, write_card
from lpnet_rt.models.built import Built
from lpnet_rt.networks.lpnet_rt.card import input_rule
from lpnet_rt.networks.lpnet_rt.inference import ScoredLPNetRT
from lpnet_rt.networks.lpnet_rt.network import LPNetRT
from lpnet_rt.staging import staged

__all__ = ["CardFacts", "export_onnx", "write_onnx"]

# The newest that the oldest ONNX Runtime this project runs with (1.20) reads.
_OPSET = 21


def export_onnx(network: LPNetRT, path: Path, facts: CardFacts, overwrite: bool = False) -> ModelCard:
    """Write ``path`` and the model card beside it, without the parity gate; old files go only when all has gone well.

    Args:
        network: Left as it is but for evaluation mode and fp32.
        path: File to write.
        facts: For the card.
        overwrite: Whether files that exist are replaced.

    Raises:
        ModelError: The exported file is not valid ONNX.
        SinkError: A file exists, or the folder cannot be written.
    """
    network = network.eval().float()
    with staged(path, (".onnx", ".json"), overwrite) as partial:
        card = make_card(network, facts, Built(versions=package_versions("torch", "onnx")))
        write_onnx(ScoredLPNetRT(network).eval(), partial[".onnx"], any_size(input_rule(network)), card)
        card = signed(card, partial[".onnx"].read_bytes())
        write_card(partial[".json"], card)
    return card


def write_onnx(module: nn.Module, path: Path, shapes: Shapes, card: ModelCard) -> None:
    """Write one file, weights and card inside.

    Args:
        module: (B, 2, H, W) float32 to (B, 1, H, W) float32, in evaluation mode.
        path: File to write.
        shapes: Sizes of input that it must take.
        card: Goes into the file's metadata.

    Raises:
        ModelError: The exported graph is not valid ONNX.
    """
    # It warns that torchvision is missing, which nothing here needs.
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with without_deprecation():
        torch.onnx.export(
            module,
            (shapes.sample(),),
            str(path),
            input_names=["image"],
            output_names=["score"],
            dynamic_shapes={"image": shapes.dynamic()},
            opset_version=_OPSET,
            dynamo=True,
            external_data=False,
            optimize=True,
            verbose=False,
        )
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {CARD_KEY: card_text(card)})
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"{path}: the exported graph is not valid ONNX: {reason}") from error
    onnx.save(model, path)
