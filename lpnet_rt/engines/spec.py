"""The specification of an engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lpnet_rt.engine_registry import EngineName, Precision
from lpnet_rt.engines.base import Engine
from lpnet_rt.models import ModelFile
from lpnet_rt.models.built import Precision as FilePrecision

__all__ = ["AS_THE_FILE", "EngineSpec"]

# Of an engine that computes in the precision of the file.
AS_THE_FILE: Mapping[FilePrecision, tuple[Precision, ...]] = {"f32": ("f32",), "f16": ("f16",), "int8": ("int8",)}


@dataclass(frozen=True, slots=True, eq=False)
class EngineSpec:
    """One engine for one kind of model file.

    Attributes:
        name: As ``--engine`` takes it.
        package: Its package; a cached choice depends on its version.
        formats: Suffixes of the files it reads, such as ``.onnx``.
        precisions: Precisions it can compute in, by the precision of the file, in order of preference.
        needs: Returns what to install to compute in a precision on this machine, or None; avoids large imports.
        open: Loads a model: the file, the precision, and CPU threads or None for all. May raise EngineError,
            ModelError, and whatever importing its library raises.
        on_request: Precisions that ``auto`` skips: they are never the fastest, or take minutes to start.
        builds: Whether it builds an engine for every frame size, which takes minutes.
        suits: Whether it runs the network of a model card's ``config``.
        open_for_gate: Loads a file for the parity gate without caching on disk; None: it takes no part in the gate.
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
