"""The verb ``data``: ``lpnet-rt data convert`` and ``lpnet-rt data check``."""

from __future__ import annotations

import argparse

from lpnet_rt.training import check, convert

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``convert`` and ``check`` with their flags to a parser."""
    verbs = parser.add_subparsers(dest="data_verb", required=True, metavar="VERB")
    summary = "turn a downloaded data set into images/ + masks/ or the paper's layout"
    convert.add_arguments(verbs.add_parser("convert", help=summary, description=summary))
    summary = "report what is wrong with a data set, and what is in it"
    check.add_arguments(verbs.add_parser("check", help=summary, description=summary))


def run(args: argparse.Namespace) -> int:
    """Carry out the verb that was parsed; return its exit code.

    Raises:
        LpnetError: As the verb's own ``run``.
    """
    return convert.run(args) if args.data_verb == "convert" else check.run(args)
