"""Does a model trained on 8-bit pictures find as much in 14-bit frames, with drift and fixed pattern?

    python -m lpnet_rt.benchmarks.deep_frames --data DIR [--model M] [--stride 30]

``DIR`` holds ``irvideo/``. The clips held back from training are made 14 bits deep: each gets a level of 2,000 to 8,000
counts and a range of 300 to 3,000 for its 256 grey values; what lies between two of these is filled by chance. Fixed
pattern, a shading that drifts and noise are added, by themselves and together.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from lpnet_rt.console import exit_code_of
from lpnet_rt.detector import Detector
from lpnet_rt.errors import DataError
from lpnet_rt.settings import DetectorSettings
from lpnet_rt.training.data.clips import clip_is_held_back, read_clip, read_clip_labels
from lpnet_rt.training.evaluation.field_metrics import BoxAccumulator
from lpnet_rt.training.progress import watched

__all__ = ["FORMS", "DeepCamera", "main"]

FORMS = ("8 bits", "14 bits", "fixed pattern", "drift", "all, and noise")
_MAX_COUNT = (1 << 14) - 1
_COLUMN_STD, _PIXEL_STD, _SHADING_STD, _NOISE_STD = 1.5, 0.7, 8.0, 1.0  # counts of 8 bits
_DRIFT_FRAMES = 100.0


@dataclass(frozen=True, slots=True, eq=False)
class DeepCamera:
    """A camera of 14 bits.

    Attributes:
        level: Count of a grey value of 0.
        gain: Counts per grey value.
        pattern: (H, W) fixed pattern, grey values.
        shading: (H, W) shading at the start, grey values; it grows by as much again every hundred frames.
    """

    level: float
    gain: float
    pattern: NDArray[np.float64]
    shading: NDArray[np.float64]

    @classmethod
    def draw(cls, size_hw: tuple[int, int], rng: Generator) -> DeepCamera:
        """Draw a camera by chance."""
        height, width = size_hw
        level, span = rng.uniform(2000.0, 8000.0), np.exp(rng.uniform(np.log(300.0), np.log(3000.0)))
        pattern = rng.normal(0.0, _COLUMN_STD, (1, width)) + rng.normal(0.0, _PIXEL_STD, size_hw)
        coarse = rng.normal(0.0, _SHADING_STD, (4, 4))
        shading = np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.float64)
        return cls(float(level), float(span) / 255.0, pattern, shading)

    def see(self, image: NDArray[np.uint8], form: str, index: int, rng: Generator) -> NDArray[np.uint16]:
        """Make a frame deep.

        Args:
            image: (H, W) uint8.
            form: One of ``FORMS`` but the first.
            index: Number of the frame, for the drift.
            rng: Fills in what lies between two grey values, and makes the noise.
        """
        grey = image + rng.uniform(-0.5, 0.5, image.shape)
        if form in ("fixed pattern", "all, and noise"):
            grey += self.pattern
        if form in ("drift", "all, and noise"):
            grey += self.shading * (1.0 + index / _DRIFT_FRAMES)
        if form == "all, and noise":
            grey += rng.normal(0.0, _NOISE_STD, image.shape)
        return np.clip(np.rint(self.level + self.gain * grey), 0, _MAX_COUNT).astype(np.uint16)


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m lpnet_rt.benchmarks.deep_frames", description=__doc__)
    parser.add_argument("--data", required=True, metavar="DIR", help="folder with irvideo/")
    parser.add_argument("--model", default="lpnet-rt", metavar="M")
    parser.add_argument("--stride", type=int, default=30, metavar="N", help="every N-th frame (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="processor threads; 0: all")
    args = parser.parse_args(argv)
    return exit_code_of(lambda: _run(args))


def _run(args: argparse.Namespace) -> int:
    root = Path(args.data) / "irvideo"
    clips = [path for path in sorted((root / "clips").glob("*.mp4")) if clip_is_held_back(path.stem, 1, 5)]
    if not clips:
        raise DataError(f"{root}: expected clips/*.mp4, found none that is held back")
    detector = Detector.load(DetectorSettings(model=args.model, threads=args.threads))
    metrics = {form: BoxAccumulator() for form in FORMS}
    for path in watched(clips, "clips", "clips"):
        labels, rng = read_clip_labels(root, path.stem), np.random.default_rng(int(path.stem[-3:]))
        camera: DeepCamera | None = None
        for index, image, _ in read_clip(path):
            if index % args.stride:
                continue
            camera = camera or DeepCamera.draw((image.shape[0], image.shape[1]), rng)
            boxes, ignored = labels.boxes_xywh.get(index, np.zeros((0, 4))), labels.ignored_xy.get(index)
            for form, metric in metrics.items():
                seen = image if form == FORMS[0] else camera.see(image.astype(np.uint8), form, index, rng)
                metric.add(detector.detect(seen).centroid_xy, boxes, ignored)
    print(f"{detector.card.name} at {detector.threshold:g}, {len(clips)} clips, every {args.stride}th frame")
    for form, metric in metrics.items():
        found = metric.result()
        print(
            f"{form}: {100 * (found.hit_rate or 0):.1f} % of {found.labelled_frames} labelled frames hit, "
            f"{found.false_per_frame or 0:.4f} false detections per labelled frame"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
