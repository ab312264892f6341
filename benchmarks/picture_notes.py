"""How often a black-hot or coloured picture is noticed, and how often one is noticed that is not: on clips with boxes.

    python -m lpnet_rt.benchmarks.picture_notes --data DIR [--clips N] [--held-back 1 5]

``DIR`` holds ``clips/`` and ``boxes/``. Every clip is taken as it is, inverted, and in a palette; the clips are evenly
spread over the kinds of target. Only the frames that the notice samples are scored, one per second.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from lpnet_rt.console import exit_code_of
from lpnet_rt.detector import Detector
from lpnet_rt.engines.polarity import negative
from lpnet_rt.frames import Frame, GreyImage
from lpnet_rt.pipeline.picture_watch import PictureWatch
from lpnet_rt.settings import DetectorSettings
from lpnet_rt.sources.colour import shrunk_colour
from lpnet_rt.sources.states import StateLog
from lpnet_rt.training.data.clips import clip_is_held_back, read_clip
from lpnet_rt.training.data.layouts import open_data_set
from lpnet_rt.training.data.roles import spread_over
from lpnet_rt.training.progress import watched

__all__ = ["chosen_clips", "main", "notes_of"]

_RATE_HZ = 30


def notes_of(detector: Detector, images: Sequence[GreyImage], colours: Sequence[float | None]) -> tuple[str, ...]:
    """Return what is noticed in a clip.

    Args:
        detector: For warm targets.
        images: One frame per second, (H, W) each.
        colours: How colourful each is; None: not measured.
    """
    log = StateLog()
    watch = PictureWatch("clip", log, detector.negative_peak, start=lambda work: work())
    for second, (image, colour) in enumerate(zip(images, colours, strict=True)):
        frame = Frame(image, second * _RATE_HZ, "clip", float(second), 0, 0, colour=colour)
        report = detector.report(frame)
        watch.check(report)
    watch.check(report)  # takes the last result
    return log.notes


def chosen_clips(root: Path, count: int, held_back: tuple[int, int], wanted: bool) -> list[Path]:
    """Return ``count`` clips that are held back, or that are not, evenly spread over the kinds of target."""
    kinds: dict[str, list[Path]] = {}
    for clip in open_data_set(root, "clips").entries:
        if clip.image is not None and clip_is_held_back(clip.name, *held_back) == wanted:
            kinds.setdefault(clip.name.rpartition("_")[0], []).append(clip.image)
    return [path for paths in kinds.values() for path in spread_over(paths, -(-count // len(kinds)))]


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m lpnet_rt.benchmarks.picture_notes", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder with clips/ and boxes/")
    parser.add_argument("--clips", type=int, default=60, metavar="N", help="clips of each part (60)")
    parser.add_argument("--held-back", type=int, nargs=2, default=(1, 5), metavar=("REMAINDER", "DIVISOR"))
    parser.add_argument("--threads", type=int, metavar="N", help="threads for inference (all)")
    args = parser.parse_args(argv)
    return exit_code_of(lambda: _run(args))


def _run(args: argparse.Namespace) -> int:
    logging.getLogger("lpnet_rt.pipeline").setLevel(logging.ERROR)  # a line for each notice is none too many elsewhere
    detector = Detector.load(DetectorSettings(threads=args.threads))
    for wanted in (False, True):
        clips = chosen_clips(args.data, args.clips, tuple(args.held_back), wanted)
        counts = {"as it is": 0, "inverted": 0, "as it is, coloured": 0, "in a palette": 0}
        for path in watched(clips, "held back" if wanted else "others", "clips"):
            for name, noticed in _judge(detector, path):
                counts[name] += noticed
        part = "held back" if wanted else "not held back"
        print(f"{len(clips)} clips {part}: " + ", ".join(f"{name}: {count}" for name, count in counts.items()))
    return 0


def _judge(detector: Detector, path: Path) -> Iterator[tuple[str, bool]]:
    """Yield whether a clip is noticed as black-hot as it is and inverted, and as coloured as it is and in a palette."""
    images = [image for index, image, _ in read_clip(path) if index % _RATE_HZ == 0]
    grey = [shrunk_colour(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)) for image in images]
    notes = notes_of(detector, images, grey)
    yield "as it is", "black-hot" in notes
    yield "as it is, coloured", "false-colour" in notes
    yield "inverted", "black-hot" in notes_of(detector, [negative(image) for image in images], grey)
    palette = [cv2.applyColorMap(image.astype(np.uint8), cv2.COLORMAP_INFERNO) for image in images]
    greys = [np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8) for image in palette]
    colours = [shrunk_colour(image) for image in palette]
    yield "in a palette", "false-colour" in notes_of(detector, greys, colours)


if __name__ == "__main__":
    sys.exit(main())
