"""``lpnet-rt info``: versions, engines, the model's card, and the engine that ``auto`` chooses."""

from __future__ import annotations

import argparse
import glob
import importlib.metadata
import platform

from lpnet_rt import __version__
from lpnet_rt.engine_registry import all_specs
from lpnet_rt.engines import Candidate, candidates_for, choose_engine
from lpnet_rt.models import find_model, packaged_models
from lpnet_rt.models.card import card_json
from lpnet_rt.models.markdown import card_page
from lpnet_rt.processors import processor_count
from lpnet_rt.settings import DetectorSettings
from lpnet_rt.text import printable

__all__ = ["add_arguments", "run"]

_LIBRARIES = ("numpy", "opencv-python-headless", "av", "pyzmq", "msgspec", "pygame-ce")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    parser.add_argument("--model", default="lpnet-rt", metavar="M", help="packaged model, or a file with its card")
    parser.add_argument("--card", choices=("json", "markdown"), help="print the model's card, and nothing else")


def run(args: argparse.Namespace) -> int:
    """Print the information.

    Raises:
        ModelError: The model is missing or damaged.
        EngineError: No engine can run it.
    """
    if args.card:
        print(_card_text(args.model, args.card), end="")
        return 0
    cameras = ", ".join(sorted(glob.glob("/dev/video*"))) or "none"
    libraries = dict.fromkeys([*_LIBRARIES, *(spec.package for spec in all_specs())])
    print(f"lpnet-rt     {__version__}, Python {platform.python_version()}, {platform.platform()}")
    print(f"processors   {processor_count()} for this process, {platform.machine()}")
    print(f"cameras      {cameras}")
    print("libraries    " + ", ".join(f"{name} {_version(name)}" for name in libraries))
    print(f"models       {', '.join(packaged_models())}")
    model = find_model(args.model)
    card = model.card
    name, network = printable(card.name), printable(card.network)
    print(f"model        {name}: {network}, {card.parameters:,} parameters, threshold {card.threshold}")
    print(f"             {printable(str(model.path))}")
    for line in [
        *card.trained_on,
        *(f"{name}: {value:g}" for name, value in card.measured.items()),
        *card.licences,
        card.notes,
    ]:
        print(f"             {printable(line)}")
    rows = () if card.scores is None else card.scores.thresholds
    shown = [f"1/{round(1 / row.false_per_frame)} {row.threshold or 'not known'}" for row in rows]
    if shown:
        print(f"thresholds   for false detections per frame: {', '.join(shown)}")
    for candidate in candidates_for(model):
        print(f"engine       {candidate!s:26} {_state(candidate)}")
    choice = choose_engine(model, DetectorSettings(model=args.model))
    print(f"auto takes   {choice.engine.name} {choice.engine.precision}: {choice.why}")
    return 0


def _card_text(spec: str, form: str) -> str:
    model = find_model(spec)
    if form == "json":
        return card_json(model.card).decode()
    return card_page(model.card, spec if spec in packaged_models() else model.path.name)


def _state(candidate: Candidate) -> str:
    if candidate.missing is not None:
        return f"needs {candidate.missing}"
    return "where asked for" if candidate.on_request else "available"


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "absent"
