"""``lpnet-rt import-weights``: a checkpoint of the paper's network into a model that every verb can use."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import msgspec

from lpnet_rt.errors import SettingsError
from lpnet_rt.models.lpnetga_card import LPNetGACard
from lpnet_rt.networks.lpnetga.weights import LICENCE_NOTE, network_of, read_tensors, save_lpnetga
from lpnet_rt.staging import refuse_inputs, refuse_outputs, staged
from lpnet_rt.training.loop.checkpoints import load_lpnetga_checkpoint

__all__ = ["add_arguments", "import_checkpoint", "run"]

_SUFFIXES = (".safetensors", ".json")
_OWN_LICENCE = "trained with lpnet-rt; the licences of the training data apply"
_INPUT = {
    "resize": "grey frame resized to input_hw, 8-bit counts divided by 255",
    "tile": "grey frame cut into overlapping tiles of input_hw, 8-bit counts divided by 255",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    parser.add_argument("checkpoint", type=Path, metavar="FILE", help="published .pth, or best.pt of a run of LPNetGA")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="model to write, ending in .safetensors"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the model and the card that exist")
    parser.add_argument("--name", metavar="NAME", help="name of the model (default: the output's stem)")
    parser.add_argument(
        "--fusing",
        choices=("mean", "sum_minmax", "dense"),
        default="mean",
        help="mean: absolute; sum_minmax: the paper's, its best pixel always scores 1; dense: fast (%(default)s)",
    )
    parser.add_argument(
        "--fitting",
        choices=("resize", "tile"),
        default="resize",
        help="resize frames to 120x120 as the paper does, or tile them at native resolution (%(default)s)",
    )
    parser.add_argument(
        "--statistics",
        choices=("running", "image"),
        default="running",
        help="what batch norm goes by: running averages, or each image itself, as published (%(default)s)",
    )
    parser.add_argument("--threshold", type=float, default=0.5, metavar="T", help="score of a detection (%(default)s)")


def run(args: argparse.Namespace) -> int:
    """Import.

    Raises:
        LpnetError: As :func:`import_checkpoint`.
    """
    if not 0 < args.threshold <= 1:
        raise SettingsError(f"--threshold {args.threshold}: expected a score over 0, at most 1")
    card = LPNetGACard(
        name=args.name or args.out.stem,
        sha256="",
        licence="",
        input=_INPUT[args.fitting],
        statistics=args.statistics,
        fusing=args.fusing,
        fitting=args.fitting,
        threshold=args.threshold,
    )
    written = import_checkpoint(args.checkpoint, args.out, card, args.overwrite)
    print(f"{args.out}: {written.network}, {written.parameters:,} parameters, weights {written.sha256[:12]}")
    print(f"licence: {written.licence}")
    return 0


def import_checkpoint(checkpoint: Path, out: Path, card: LPNetGACard, overwrite: bool = False) -> LPNetGACard:
    """Read a checkpoint, without running anything in it, and write weights and card.

    Args:
        checkpoint: A published state dict, or ``best.pt`` or ``last.pt`` of a run of LPNetGA.
        out: File to write, ending in ``.safetensors``; the card goes beside it, ending in ``.json``.
        card: How the model is used; hash, patch sizes, licence and number of trained values are filled in.
        overwrite: Whether files that exist are replaced.

    Returns:
        The card as written.

    Raises:
        ModelError: The checkpoint is missing, damaged, holds more than tensors or belongs to another network.
        SettingsError: ``out`` has another ending, or the threshold is out of range.
        SinkError: A file exists and is not to be replaced, ``out`` cannot be written, or it is the checkpoint.
    """
    if out.suffix != _SUFFIXES[0]:
        raise SettingsError(f"--out {out}: expected a name that ends in {_SUFFIXES[0]}")
    refuse_outputs(out, _SUFFIXES, overwrite)
    refuse_inputs([out.with_suffix(suffix) for suffix in _SUFFIXES], [checkpoint], "--out")
    content = read_tensors(checkpoint)
    ours = isinstance(content, Mapping) and "recipe" in content
    network = load_lpnetga_checkpoint(checkpoint) if ours else network_of(content, checkpoint)
    licence = card.licence or (_OWN_LICENCE if ours else LICENCE_NOTE)
    with staged(out, _SUFFIXES, overwrite) as partial:
        return save_lpnetga(network, partial[_SUFFIXES[0]], msgspec.structs.replace(card, licence=licence))
