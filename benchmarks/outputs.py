"""Files that benchmarks write: refused before anything is measured where they could not be written after."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from lpnet_rt.errors import SinkError
from lpnet_rt.files import refuse_existing, write_whole

__all__ = ["check_output", "write_figures"]


def check_output(path: Path, flag: str, overwrite: bool) -> None:
    """Refuse a file that could not be written.

    Args:
        path: File to write when everything is measured.
        flag: What names it, for the message.
        overwrite: Whether a file that exists may be replaced.

    Raises:
        SinkError: It exists, or its folder is not there or cannot be written.
    """
    if not os.access(path.absolute().parent, os.W_OK | os.X_OK):
        raise SinkError(f"{flag} {path}: expected a folder that can be written; make it first")
    refuse_existing(path, flag, overwrite)


def write_figures(figures: object, path: Path, overwrite: bool) -> None:
    """Write figures as indented JSON, whole or not at all.

    Args:
        figures: What msgspec can encode.
        path: File to write.
        overwrite: Whether a file that exists is replaced.

    Raises:
        SinkError: It exists or cannot be written.
    """
    write_whole(
        path, msgspec.json.format(msgspec.json.encode(figures), indent=2) + b"\n", "--json", overwrite=overwrite
    )
