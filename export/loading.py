"""An exported file in every engine of this machine that reads its format."""

from __future__ import annotations

from pathlib import Path

from lpnet_rt.engine_registry import specs_for
from lpnet_rt.engines.base import Engine
from lpnet_rt.errors import EngineError
from lpnet_rt.models import ModelCard, ModelFile

__all__ = ["load_exported"]


def load_exported(path: Path, card: ModelCard) -> dict[str, Engine]:
    """Load a file, and say what runs it.

    Args:
        path: The model file.
        card: Its card; tells the format. A .pt2 is never loaded: see :mod:`lpnet_rt.export.torch_export`.

    Returns:
        Engines by name.

    Raises:
        EngineError: The engine of that format is missing.
        ModelError: The file is damaged.
    """
    model = ModelFile(path, path.read_bytes(), card)
    engines: dict[str, Engine] = {}
    lacking = []
    for spec in specs_for(path.suffix):
        if spec.open_for_gate is None:
            continue
        missing = spec.needs("f32")
        if missing is None:
            engines[spec.name] = spec.open_for_gate(model)
        else:
            lacking.append(f"{spec.name} needs {missing}")
    if not engines:
        raise EngineError(f"{path.name}: expected an engine that reads it, found none ({'; '.join(lacking)})")
    return engines
