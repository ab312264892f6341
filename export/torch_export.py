"""LPNet-RT to torch.export's format (.pt2): for PyTorch without this project's modules."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torch.export import ExportedProgram

from lpnet_rt.engines.torch_export import read_program
from lpnet_rt.export.cards import CARD_KEY, card_text, read_card_text
from lpnet_rt.export.shapes import Shapes
from lpnet_rt.models import ModelCard

__all__ = ["embedded_card", "trace", "write_torch_export"]

_CARD_FILE = f"{CARD_KEY}.json"


def trace(module: nn.Module, shapes: Shapes, device: str = "cpu") -> ExportedProgram:
    """Trace a module for the sizes that ``shapes`` allows.

    Args:
        module: (B, 2, H, W) float32 to (B, 1, H, W) float32, in evaluation mode, on ``device``.
        shapes: Sizes.
        device: Of the module.
    """
    sample = shapes.sample().to(device)
    return torch.export.export(module, (sample,), dynamic_shapes=(shapes.dynamic(),), strict=False)


def write_torch_export(module: nn.Module, path: Path, shapes: Shapes, card: ModelCard) -> None:
    """Write one file with the card inside."""
    torch.export.save(trace(module, shapes), path, extra_files={_CARD_FILE: card_text(card)})


def embedded_card(path: Path) -> ModelCard:
    """The card inside a .pt2; its ``file_sha256`` is empty.

    Raises:
        ModelError: The file cannot be read or holds no card.
    """
    extra = {_CARD_FILE: ""}
    read_program(path, extra)
    return read_card_text(path, extra[_CARD_FILE] or None)
