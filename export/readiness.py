"""The last question of an export: will the file that has passed the parity gate also be taken by ``--model``?

The parity gate lets a detection appear or vanish close to the threshold; the self-test, which every start makes, does
not. A file that only passes the first would be written and then refused.
"""

from __future__ import annotations

from lpnet_rt.engines.base import Engine
from lpnet_rt.engines.choice import choose_engine
from lpnet_rt.engines.trial import self_test
from lpnet_rt.errors import EngineError, ModelError
from lpnet_rt.models import ModelCard, ModelFile
from lpnet_rt.preprocessing.rules import prepare
from lpnet_rt.selftest import self_test_frame
from lpnet_rt.settings import DetectorSettings

__all__ = ["refuse_unrunnable"]


def refuse_unrunnable(model: ModelFile, engines: dict[str, Engine]) -> None:
    """Make the check that every start makes: at least one engine must pass the card's self-test.

    Args:
        model: The file, with its card.
        engines: What runs a format that no verb opens (torch-export), by name.

    Raises:
        ModelError: No engine passes; the message says what each found.
    """
    built = model.card.built
    if built.format == "torch-export":
        for name, engine in engines.items() if _takes_self_test(model.card) else ():
            problem = self_test(engine, model)
            if problem is not None:
                raise ModelError(f"self-test: {name} {built.precision}: {problem}; keep more of it in f32")
        return
    if built.min_size is not None and built.min_size[0] > 1:
        return  # a file for batches only, which is for other programs
    try:
        choose_engine(model, DetectorSettings())
    except EngineError as error:
        raise ModelError(f"self-test: {error}; take a higher precision") from error


def _takes_self_test(card: ModelCard) -> bool:
    """Whether the self-test's frame is of a size that the file takes."""
    least, most = card.built.min_size, card.built.max_size
    if least is None or most is None:
        return True
    shape = prepare(self_test_frame(), card.input).shape
    size = (shape[0], *shape[2:])
    return all(low <= side <= high for low, side, high in zip(least, size, most, strict=True))
