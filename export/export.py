"""``lpnet-rt export``: a checkpoint to a model file that has passed the parity gate."""

from __future__ import annotations

import argparse
import tomllib
from dataclasses import replace
from pathlib import Path

from lpnet_rt.errors import SettingsError
from lpnet_rt.export.build import SUFFIX, Exported, ExportRequest, export_model, written_suffixes
from lpnet_rt.export.cards import CardFacts
from lpnet_rt.export.gate_frames import gate_frames
from lpnet_rt.export.shapes import Shapes, read_shapes
from lpnet_rt.models.built import Precision
from lpnet_rt.networks.lpnet_rt.card import input_rule
from lpnet_rt.staging import refuse_inputs, refuse_outputs
from lpnet_rt.text import printable
from lpnet_rt.training.loop.loop import load_checkpoint

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    parser.add_argument("--checkpoint", required=True, metavar="FILE", help="best.pt or last.pt of a run")
    endings = ", ".join(f"{suffix} ({name})" for name, suffix in SUFFIX.items())
    parser.add_argument("--out", required=True, metavar="FILE", help=f"model file to write, ending in {endings}")
    parser.add_argument("--format", choices=list(SUFFIX), default="onnx", help="default: %(default)s")
    precision = parser.add_mutually_exclusive_group()
    precision.add_argument("--half", action="store_true", help="half precision where it is safe")
    precision.add_argument("--int8", action="store_true", help="int8 by NNCF (openvino only)")
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="frames in one input; default: %(default)s")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--size", metavar="HxW", help="one size of frame; without this and --dynamic, any size")
    size.add_argument(
        "--dynamic", nargs=3, metavar=("MIN", "OPT", "MAX"), help="sizes from MIN to MAX, tuned for OPT: HxW or BxHxW"
    )
    parser.add_argument(
        "--via", choices=("auto", "torch-tensorrt", "onnx"), default="auto", help="way to a TensorRT engine"
    )
    parser.add_argument("--frames", metavar="SOURCE", help="folder or video for the parity gate; default: demo scene")
    parser.add_argument("--gate-frames", type=int, default=8, metavar="N", help="how many; default: %(default)s")
    parser.add_argument("--threshold", type=float, default=0.5, metavar="T", help="default: %(default)s")
    parser.add_argument(
        "--offset", type=float, metavar="L", help="added to every logit; default: the run's own, mostly 0"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the model and the card that exist")
    parser.add_argument(
        "--facts", metavar="FILE", help="TOML file: trained_on, licence, licences, limits, notes, [measured]"
    )


def run(args: argparse.Namespace) -> int:
    """Export."""
    out = Path(args.out)
    if out.suffix != SUFFIX[args.format]:
        raise SettingsError(f"--out {out}: expected a name that ends in {SUFFIX[args.format]} for {args.format}")
    if not 0 < args.threshold <= 1:
        raise SettingsError(f"--threshold {args.threshold}: expected a score over 0, at most 1")
    if args.gate_frames < 1:
        raise SettingsError(f"--gate-frames {args.gate_frames}: expected at least 1")
    if args.format == "tensorrt" and args.size is None and args.dynamic is None:
        raise SettingsError(
            "--format tensorrt: expected --size or --dynamic, found neither; an engine is tuned to sizes"
        )
    suffixes = written_suffixes(args.format)
    refuse_outputs(out, suffixes, args.overwrite)
    inputs = [Path(name) for name in (args.checkpoint, args.facts, args.frames) if name]
    refuse_inputs([out.with_suffix(suffix) for suffix in suffixes], inputs, "--out")
    facts = _facts(args.facts, out.stem, args.threshold)
    network = load_checkpoint(Path(args.checkpoint))
    if args.offset is not None:
        network.config = replace(network.config, offset=args.offset)
    shapes = read_shapes(args.size, args.dynamic, args.batch, input_rule(network))
    precision: Precision = "f16" if args.half else "int8" if args.int8 else "f32"
    frames = gate_frames(args.frames, args.gate_frames)
    request = ExportRequest(args.format, precision, shapes, frames, args.via, args.overwrite)
    _tell(out, shapes, export_model(network, out, facts, request))
    return 0


def _tell(out: Path, shapes: Shapes, exported: Exported) -> None:
    card = exported.card
    print(f"{out}: {card.network}, {card.parameters:,} parameters, weights {card.weights_sha256[:12]}")
    smallest, largest = ("x".join(map(str, size)) for size in (shapes.min_bhw, shapes.max_bhw))
    print(f"input: {smallest} (batch, height, width)" if smallest == largest else f"input: {smallest} to {largest}")
    if exported.plan:
        print(f"precision: {exported.plan}")
    for engine, agreement in exported.agreements.items():
        print(f"parity with PyTorch, {engine}: {agreement}")
        for line in agreement.near:
            print(f"  {printable(line)}")


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
            licence=str(tree.get("licence", "")),
            limits=list(tree.get("limits", [])),
            base=str(tree.get("base", "")),
        )
    except (OSError, ValueError, TypeError) as error:
        wanted = "trained_on, licence, licences, limits, notes, base and [measured]"
        raise SettingsError(f"{path}: expected {wanted}: {error}") from error
