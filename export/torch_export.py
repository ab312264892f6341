"""LPNet-RT to torch.export's format (.pt2): for PyTorch without this project's modules."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.export import ExportedProgram

from lpnet_rt.errors import ModelError
from lpnet_rt.export.cards import CARD_KEY, card_text, read_card_text
from lpnet_rt.export.shapes import Shapes
from lpnet_rt.frames import ModelInput
from lpnet_rt.models import ModelCard

__all__ = ["embedded_card", "load_torch_export", "trace", "write_torch_export"]

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


def load_torch_export(path: Path) -> Callable[[ModelInput], NDArray[np.float32]]:
    """Load a written file on the processor.

    Raises:
        ModelError: The file is missing, damaged or from a version of PyTorch that this one does not read.
    """
    module = _load(path, {}).module()

    def score(batch: ModelInput) -> NDArray[np.float32]:
        with torch.inference_mode():
            result: NDArray[np.float32] = module(torch.from_numpy(batch)).numpy()
        return result

    return score


def embedded_card(path: Path) -> ModelCard:
    """The card inside a .pt2; its ``file_sha256`` is empty.

    Raises:
        ModelError: The file cannot be read or holds no card.
    """
    extra = {_CARD_FILE: ""}
    _load(path, extra)
    return read_card_text(path, extra[_CARD_FILE] or None)


def _load(path: Path, extra: dict[str, str]) -> ExportedProgram:
    try:
        return torch.export.load(path, extra_files=extra or None)
    except Exception as error:  # torch raises whatever its parts raise on a damaged file
        reason = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        raise ModelError(f"{path}: PyTorch {torch.__version__} cannot read this model: {reason}") from error
