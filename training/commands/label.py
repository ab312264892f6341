"""``lpnet-rt label``: propose labels for recordings, to be corrected in a labelling tool.

The corrected file goes back onto the deep originals with ``lpnet-rt data import FILE --images DIR/originals``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lpnet_rt.detector import Detector
from lpnet_rt.errors import SettingsError, SourceError
from lpnet_rt.settings import DetectorSettings, SourceSettings
from lpnet_rt.sources.naming import source_name
from lpnet_rt.text import printable
from lpnet_rt.training.data.convert import staged_folder
from lpnet_rt.training.labelling.files import LabelFolder
from lpnet_rt.training.labelling.proposals import choose_frames, propose, read_frames

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's flags to a parser."""
    parser.add_argument(
        "--source",
        action="append",
        required=True,
        metavar="X",
        help="video, image or folder of images; may be repeated",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder to write; empty or not there yet"
    )
    parser.add_argument("--every", type=int, default=10, metavar="N", help="write every n-th frame (10)")
    parser.add_argument("--frames", type=int, metavar="N", help="read at most N frames of a source")
    parser.add_argument(
        "--rate", type=float, metavar="HZ", help="images are a sequence of so many frames per second, with tracks"
    )
    parser.add_argument("--segments", action="store_true", help="propose outlines beside boxes")
    parser.add_argument("--model", default="lpnet-rt", metavar="M", help="packaged model or .onnx file (lpnet-rt)")
    parser.add_argument("--threshold", type=float, metavar="T", help="score that starts a track (the model's own)")
    parser.add_argument("--engine", default="auto", metavar="E", help="engine that runs the model (auto)")


def run(args: argparse.Namespace) -> int:
    """Carry out the verb; return its exit code.

    Raises:
        LpnetError: A flag is wrong, a source or the model cannot be read, or the folder cannot be written.
    """
    _refuse_flags(args)
    detector = Detector.load(DetectorSettings(model=args.model, engine=args.engine, threshold=args.threshold))
    notes: list[str] = []
    with staged_folder(args.out) as root:
        folder = LabelFolder(root, args.segments)
        read = 0
        recordings: set[str] = set()
        for spec in args.source:
            settings = SourceSettings(spec=spec, frames=args.frames, reconnect="never")
            recording = _recording(spec, recordings)
            proposed = propose(detector, read_frames(settings, notes), args.rate)
            if not proposed:
                raise SourceError(f"{printable(spec)}: expected frames, found none")
            read += len(proposed)
            wanted = {frame.index: frame for frame in choose_frames(proposed, args.every)}
            # Read once more, as all frames of a recording would not fit into memory.
            for frame in read_frames(settings, notes):
                if frame.index in wanted:
                    folder.add(frame, wanted[frame.index], recording, spec)
        folder.finish()
    for line in notes:
        print(f"note: {printable(line)}", file=sys.stderr)
    images, proposals = folder.counts
    print(f"{args.out}: frames read {read}, written {images}, proposals {proposals}")
    print(f"correct {args.out}/labels.json over {args.out}/pictures in a labelling tool, export COCO, and then:")
    print(f"lpnet-rt data import CORRECTED.json --images {args.out}/originals --out DATA")
    return 0


def _refuse_flags(args: argparse.Namespace) -> None:
    for flag, value in (("every", args.every), ("frames", args.frames)):
        if value is not None and value < 1:
            raise SettingsError(f"--{flag}: expected a whole number of at least 1, found {value}")
    if args.rate is not None and not 0 < args.rate < float("inf"):
        raise SettingsError(f"--rate: expected frames per second over 0, found {args.rate:g}")
    if args.threshold is not None and not 0 < args.threshold <= 1:
        raise SettingsError(f"--threshold: expected over 0 up to 1, found {args.threshold:g}")
    if args.out.exists() and (not args.out.is_dir() or any(args.out.iterdir())):
        raise SettingsError(f"--out {args.out}: expected an empty folder or none, found files; choose another")


def _recording(spec: str, taken: set[str]) -> str:
    """A name for a source that no other has."""
    path = Path(spec)
    name = source_name(path.resolve().name if path.is_dir() else path.stem)
    number = 1
    unique = name
    while unique in taken:
        number += 1
        unique = f"{name}-{number}x"  # does not end in digits, which would count as a frame number
    taken.add(unique)
    return unique
