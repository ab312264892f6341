"""What an engine declares of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lpnet_rt.engine_registry import EngineName, Precision
from lpnet_rt.engines.base import Engine
from lpnet_rt.models import ModelFile
from lpnet_rt.models.built import Precision as FilePrecision

__all__ = ["AS_THE_FILE", "EngineSpec"]

# Of an engine that computes as the file says.
AS_THE_FILE: Mapping[FilePrecision, tuple[Precision, ...]] = {"f32": ("f32",), "f16": ("f16",), "int8": ("int8",)}


@dataclass(frozen=True, slots=True, eq=False)
class EngineSpec:
    """One engine for one kind of model file.

    Attributes:
        name: As ``--engine`` takes it.
        package: What it is installed as; a remembered choice depends on its version.
        formats: Suffixes of the files it reads, such as ``.onnx``.
        precisions: What it can compute in, by the precision of the file, in the order of preference.
        needs: None where it can compute in a precision on this machine, or what to install; imports nothing large
            without need.
        open: Loads a model: the file, the precision, and processor threads or None for all. May raise EngineError,
            ModelError, and whatever importing its library raises.
        on_request: Precisions that ``auto`` leaves out: they are never the fastest, or minutes pass before they run.
        builds: It builds an engine for every size of frame, which takes minutes.
        suits: Whether it runs the network of a model card's ``config``.
        open_for_gate: Loads a file for the parity gate, and keeps nothing on disk; None takes no part in it.
    """

    name: EngineName
    package: str
    formats: tuple[str, ...]
    precisions: Mapping[FilePrecision, tuple[Precision, ...]]
    needs: Callable[[Precision], str | None]
    open: Callable[[ModelFile, Precision, int | None], Engine]
    on_request: tuple[Precision, ...] = ()
    builds: bool = False
    suits: Callable[[Mapping[str, object]], bool] = lambda config: True
    open_for_gate: Callable[[ModelFile], Engine] | None = None
