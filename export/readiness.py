"""The last question of an export: will the file that has passed the parity gate also be taken by ``--model``?

The parity gate lets a detection appear or vanish close to the threshold; the self-test, which every start makes, does
not. A file that only passes the first would be written and then refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from lpnet_rt.engines.choice import choose_engine
from lpnet_rt.engines.trial import self_test
from lpnet_rt.errors import EngineError, ModelError
from lpnet_rt.export.parity import Score
from lpnet_rt.models import ModelFile
from lpnet_rt.preprocessing.rules import prepare
from lpnet_rt.selftest import self_test_frame
from lpnet_rt.settings import DetectorSettings

__all__ = ["refuse_unrunnable"]


def refuse_unrunnable(model: ModelFile, engines: dict[str, Score]) -> None:
    """Make the check that every start makes: at least one engine must pass the card's self-test.

    Args:
        model: The file, with its card.
        engines: What runs a format that no verb opens (torch-export), by name: from (B, 2, H, W) to (B, 1, H, W).

    Raises:
        ModelError: No engine passes; the message says what each found.
    """
    built = model.card.built
    if built.format == "torch-export":
        for name, score in engines.items():
            problem = _self_test(score, model)
            if problem is not None:
                raise ModelError(f"self-test: {name} {built.precision}: {problem}; keep more of it in f32")
        return
    if built.least is not None and built.least[0] > 1:
        return  # a file for batches only, which is for other programs
    try:
        choose_engine(model, DetectorSettings())
    except EngineError as error:
        raise ModelError(f"self-test: {error}; take a higher precision") from error


def _self_test(score: Score, model: ModelFile) -> str | None:
    """What differs from the card, in one line; None where they agree, or where the file takes another size."""
    built = model.card.built
    given = prepare(self_test_frame(), model.card.input)
    least, most = built.least, built.most
    if least is not None and most is not None:
        size = (given.shape[0], given.shape[2], given.shape[3])
        if not all(low <= side <= high for low, side, high in zip(least, size, most, strict=True)):
            return None
    return self_test(_TorchExport(score, built.precision), model)


@dataclass(frozen=True, slots=True)
class _TorchExport:
    """A file that no verb opens, as an engine."""

    score: Score
    precision: str
    name: str = "torch-export"
