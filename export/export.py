"""``lpnet-rt export``: a checkpoint to a model file."""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path

from lpnet_rt.errors import SettingsError
from lpnet_rt.export.onnx import CardFacts, export_onnx
from lpnet_rt.training.loop import load_checkpoint

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    parser.add_argument("--checkpoint", required=True, metavar="FILE", help="best.pt or last.pt of a run")
    parser.add_argument("--out", required=True, metavar="FILE", help="model file to write, ending in .onnx")
    parser.add_argument("--threshold", type=float, default=0.5, metavar="T", help="default: %(default)s")
    parser.add_argument("--facts", metavar="FILE", help="TOML file: trained_on, licences, notes, [measured]")


def run(args: argparse.Namespace) -> int:
    """Export."""
    out = Path(args.out)
    if out.suffix != ".onnx":
        raise SettingsError(f"--out {out}: expected a name that ends in .onnx")
    if not 0 < args.threshold <= 1:
        raise SettingsError(f"--threshold {args.threshold}: expected a score over 0, at most 1")
    facts = _facts(args.facts, out.stem, args.threshold)
    card = export_onnx(load_checkpoint(Path(args.checkpoint)), out, facts)
    print(f"{out}: {card.network}, {card.parameters:,} parameters, weights {card.weights_sha256[:12]}")
    return 0


def _facts(path: str | None, name: str, threshold: float) -> CardFacts:
    try:
        tree = tomllib.loads(Path(path).read_text(encoding="utf-8")) if path else {}
        return CardFacts(
            name=name,
            threshold=threshold,
            trained_on=list(tree.get("trained_on", [])),
            measured={key: float(value) for key, value in tree.get("measured", {}).items()},
            licences=list(tree.get("licences", [])),
            notes=str(tree.get("notes", "")),
        )
    except (OSError, ValueError, TypeError) as error:
        raise SettingsError(f"{path}: expected trained_on, licences, notes and [measured]: {error}") from error
