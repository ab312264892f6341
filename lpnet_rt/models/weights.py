"""Weights files of the paper's network as models: their cards as model cards."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

from lpnet_rt.errors import ModelError
from lpnet_rt.models.card import InputRule, ModelCard, ModelFile, SelfTest
from lpnet_rt.models.lpnetga_card import LPNetGACard, read_card, read_weights

__all__ = ["find_weights", "model_card"]


def find_weights(path: Path) -> ModelFile:
    """Read a weights file and check it against its card.

    Args:
        path: ``.safetensors`` file with its card beside it, as ``lpnet-rt import-weights`` writes them.

    Raises:
        ModelError: A file is missing, damaged or of another network.
    """
    card = read_card(path)
    content = read_weights(path)
    if hashlib.sha256(content).hexdigest() != card.sha256:
        raise ModelError(f"{path}: the file is not the one its card describes (damaged?); import it again")
    return ModelFile(path, content, model_card(card))


def model_card(card: LPNetGACard) -> ModelCard:
    """Convert a weights file's card to a model card."""
    rule: Literal["paper-tiles", "paper-resize"] = "paper-tiles" if card.fitting == "tile" else "paper-resize"
    stretch = card.fusing == "sum_minmax" and card.fitting == "tile"
    return ModelCard(
        name=card.name,
        network=card.network,
        config={"statistics": card.statistics, "fusing": card.fusing, "fitting": card.fitting},
        parameters=card.parameters,
        input=InputRule(normalisation=rule, side_px=card.input_hw[0], stretch=stretch),
        threshold=card.threshold,
        weights_sha256=card.sha256,
        file_sha256=card.sha256,
        self_test=SelfTest(centroid_xy=[], score=[]),
        licences=[card.licence],
        notes=f"{card.fitting}, scores by {card.fusing}, batch norm by {card.statistics}",
    )
