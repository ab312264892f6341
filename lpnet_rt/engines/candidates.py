"""Which engines can run a model on this machine, and what is missing for the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lpnet_rt.engine_registry import EngineName, Precision, specs_for
from lpnet_rt.engines.spec import EngineSpec
from lpnet_rt.models import ModelFile
from lpnet_rt.models.built import Precision as FilePrecision

__all__ = ["Candidate", "candidates_for", "list_candidates", "weights_candidates"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """An engine in one precision, and whether it is available on this machine.

    Attributes:
        spec: The engine's specification.
        precision: Precision of the arithmetic.
        missing: What to install to make it available, or None.
    """

    spec: EngineSpec
    precision: Precision
    missing: str | None = None

    def __str__(self) -> str:
        return f"{self.engine} {self.precision}"

    @property
    def engine(self) -> EngineName:
        """Name of the engine."""
        return self.spec.name

    @property
    def on_request(self) -> bool:
        """Whether ``auto`` skips it: it is never the fastest, or takes minutes to start."""
        return self.precision in self.spec.on_request

    @property
    def is_for_auto(self) -> bool:
        """Whether ``auto`` tries it."""
        return self.missing is None and not self.on_request


def candidates_for(model: ModelFile) -> list[Candidate]:
    """Return every engine that reads a model's format, in order of preference."""
    return _candidates(model.path.suffix, model.card.built.precision, model.card.config)


def list_candidates(precision: FilePrecision = "f32") -> list[Candidate]:
    """Return every engine and precision for an ONNX file of LPNet-RT.

    Args:
        precision: Precision of the file.
    """
    return _candidates(".onnx", precision, {})


def weights_candidates(statistics: str = "running") -> list[Candidate]:
    """Return every engine and precision for a weights file of the paper's network; ``auto`` takes exact ones only.

    Args:
        statistics: Statistics that batch norm uses: ``running`` or ``image``.
    """
    return _candidates(".safetensors", "f32", {"statistics": statistics})


def _candidates(suffix: str, file_precision: FilePrecision, config: Mapping[str, object]) -> list[Candidate]:
    return [
        Candidate(spec, precision, spec.needs(precision))
        for spec in specs_for(suffix)
        if spec.suits(config)
        for precision in spec.precisions.get(file_precision, ())
    ]
