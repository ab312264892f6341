"""``lpnet-rt convert``: the JSON Lines of a run in other formats."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import get_args

from lpnet_rt.formats import Format, convert

__all__ = ["add_arguments", "run"]

_logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    parser.add_argument("messages", metavar="FILE.jsonl", help="written by lpnet-rt run --jsonl")
    parser.add_argument("--to", required=True, choices=get_args(Format), help="format to write")
    parser.add_argument("--out", required=True, metavar="FILE", help="file to write; mot: one for each source")
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")


def run(args: argparse.Namespace) -> int:
    """Convert.

    Raises:
        MessageError: A line is not of the schema.
        SettingsError: The input cannot be read, or the output would be the input.
        SinkError: A file exists or cannot be written.
    """
    survey, paths = convert(Path(args.messages), args.to, Path(args.out), args.overwrite)
    written = ", ".join(map(str, paths))
    _logger.info("%s: frames: %d, detections: %d", written, survey.frames, survey.detections)
    if survey.failed:
        _logger.warning("frames that could not be judged and are left out: %d", survey.failed)
    return 0
