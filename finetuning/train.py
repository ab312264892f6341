"""``lpnet-rt train``: as ``lpnet_rt.training.commands.train``, and with ``--from`` from a model to a model."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from lpnet_rt.errors import SettingsError
from lpnet_rt.training.commands import train

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    train.add_arguments(parser)
    parser.add_argument(
        "--from",
        dest="start",
        metavar="MODEL",
        help="fine-tune a packaged model, an ONNX file with its card, or a checkpoint, on --data in any layout",
    )
    parser.add_argument("--data-licence", default="", metavar="TEXT", help="with --from: licence of the data")


def run(args: argparse.Namespace) -> int:
    """Train, or fine-tune.

    Raises:
        LpnetError: As :func:`lpnet_rt.training.commands.train.run`, and where the new model fails the parity gate.
    """
    if args.start is None:
        if args.data_licence:
            raise SettingsError("--data-licence: expected --from beside it; a recipe names licences (docs/data.md)")
        return train.run(args)
    if args.data is None:
        raise SettingsError("--from: expected the folder of your data, found none; give it with --data")
    train.require_torch()
    from lpnet_rt.finetuning.fine_tune import Request, fine_tune

    root = Path(args.data)
    out = Path(args.out or f"runs/{root.resolve().name}")
    request = Request(args.start, root, out, args.recipe, args.set, args.data_licence)
    fine_tune(request, args.epochs_now, args.device, is_first=os.environ.get("RANK", "0") == "0")
    return 0
