"""``lpnet-rt data``: import, convert and check data sets."""

from __future__ import annotations

import argparse

from lpnet_rt.training.data import check, convert
from lpnet_rt.training.imports import importing

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the three verbs and their flags."""
    verbs = parser.add_subparsers(dest="data_verb", metavar="VERB", required=True)
    for name, module, summary in (
        ("convert", convert, "turn a published data set into a layout that trains and evaluates"),
        ("import", importing, "labels of COCO, YOLO, Pascal VOC, CVAT, Label Studio or MOT, with images or video"),
        ("check", check, "report what is wrong with a data set, and what is in it"),
    ):
        child = verbs.add_parser(name, help=summary, description=f"lpnet-rt data {name}: {summary}.")
        module.add_arguments(child)
        child.set_defaults(data_run=module.run)


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    return int(args.data_run(args))
