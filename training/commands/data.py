"""``lpnet-rt data``: convert and check data sets."""

from __future__ import annotations

import argparse

from lpnet_rt.training.data import check, convert

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the two verbs and their flags."""
    verbs = parser.add_subparsers(dest="data_verb", metavar="VERB", required=True)
    for name, module, summary in (
        ("convert", convert, "turn a published data set into a layout that trains and evaluates"),
        ("check", check, "report what is wrong with a data set, and what is in it"),
    ):
        child = verbs.add_parser(name, help=summary, description=f"lpnet-rt data {name}: {summary}.")
        module.add_arguments(child)
        child.set_defaults(data_run=module.run)


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    return int(args.data_run(args))
