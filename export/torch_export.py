"""LPNet-RT to torch.export's format (.pt2): for PyTorch without this project's modules.

Such files are written here and never read: torch.export.load unpickles a part of them, and a pickle can run code.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torch.export import ExportedProgram

from lpnet_rt.engines.torch_module import TorchModuleEngine
from lpnet_rt.export.cards import CARD_KEY, card_text
from lpnet_rt.export.shapes import Shapes
from lpnet_rt.export.tracing import without_deprecation
from lpnet_rt.models import ModelCard

__all__ = ["CARD_FILE", "trace", "write_torch_export"]

CARD_FILE = f"{CARD_KEY}.json"


def trace(module: nn.Module, shapes: Shapes, device: str = "cpu") -> ExportedProgram:
    """Trace a module for the sizes that ``shapes`` allows.

    Args:
        module: (B, 2, H, W) float32 to (B, 1, H, W) float32, in evaluation mode, on ``device``.
        shapes: Sizes.
        device: Of the module.
    """
    sample = shapes.sample().to(device)
    with without_deprecation():
        return torch.export.export(module, (sample,), dynamic_shapes=(shapes.dynamic(),), strict=False)


def write_torch_export(module: nn.Module, path: Path, shapes: Shapes, card: ModelCard) -> TorchModuleEngine:
    """Write one file with the card inside.

    Returns:
        The program that was written, as an engine, which raises EngineError for a size that it does not take.
    """
    program = trace(module, shapes)
    torch.export.save(program, path, extra_files={CARD_FILE: card_text(card)})
    return TorchModuleEngine(program.module(), card.built.precision, name="torch-export", autocast=False)
