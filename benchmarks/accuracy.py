"""Accuracy of a model as it is deployed: through its engine, at its threshold, on frames it was not trained on.

    python -m lpnet_rt.benchmarks.accuracy --data DIR [--json OUT]

``DIR`` holds ``sirst/`` (images, masks, splits) and ``irvideo/`` (clips, boxes). Masks are pixels whose score is at
least one half; detections are taken at the threshold in force.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

from lpnet_rt.benchmarks.outputs import check_output, write_figures
from lpnet_rt.console import exit_code_of
from lpnet_rt.detector import Detector
from lpnet_rt.settings import DetectorSettings
from lpnet_rt.training.data.clips import clip_is_held_back, read_clip, read_clip_labels
from lpnet_rt.training.data.data_set import read_frame
from lpnet_rt.training.data.frames import Boxes, LabelledFrame
from lpnet_rt.training.data.layouts import open_data_set
from lpnet_rt.training.evaluation.field_metrics import (
    BoxAccumulator,
    BoxMetrics,
    EmptyFrameAccumulator,
    EmptyFrameMetrics,
    FieldAccumulator,
    FieldMetrics,
)
from lpnet_rt.training.progress import watched

__all__ = ["judge_empty_frames", "judge_masks", "judge_video", "main"]

_NO_BOXES: Boxes = np.zeros((0, 4))


def judge_masks(detector: Detector, sirst: Path, split: str) -> FieldMetrics:
    """MIoU, nIoU, Pd and Fa on the frames of a split that hold targets."""
    metrics = FieldAccumulator(0.5)
    for frame in watched(_frames(sirst, split), split):
        metrics.add(detector.score_map(frame.image), frame.truth.mask)
    return metrics.result()


def judge_empty_frames(detector: Detector, sirst: Path, split: str) -> EmptyFrameMetrics:
    """False detections on the target-free frames of a split, at the detector's threshold."""
    metrics = EmptyFrameAccumulator(detector.threshold)
    for frame in watched([f for f in _frames(sirst, split) if f.role == "target-free"], f"{split}, target-free"):
        metrics.add_count(len(detector.detect(frame.image)))
    return metrics.result()


def judge_video(detector: Detector, irvideo: Path, held_back: tuple[int, int]) -> dict[str, BoxMetrics]:
    """Hits and false detections on every labelled frame of the clips held back, by kind of target and in all."""
    found = {clip.name: clip.image for clip in open_data_set(irvideo, "clips").entries if clip.image}
    names = [name for name in found if clip_is_held_back(name, *held_back)]
    kinds: dict[str, BoxAccumulator] = {}
    total = BoxAccumulator()
    for name in watched(names, "video", "clips"):
        kind = kinds.setdefault(name.rpartition("_")[0], BoxAccumulator())
        boxes = read_clip_labels(irvideo, name).boxes_xywh
        for index, image, _ in read_clip(found[name]):
            centroid_xy = detector.detect(image).centroid_xy
            for metrics in (kind, total):
                metrics.add(centroid_xy, boxes.get(index, _NO_BOXES))
    return {**{name: kind.result() for name, kind in kinds.items()}, "all clips": total.result()}


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m lpnet_rt.benchmarks.accuracy", description=__doc__)
    parser.add_argument("--data", required=True, metavar="DIR", help="folder with sirst/ and irvideo/")
    parser.add_argument("--model", default="lpnet-rt", metavar="M")
    parser.add_argument("--engine", default="auto", metavar="E")
    parser.add_argument("--precision", default="auto", metavar="P")
    parser.add_argument("--threshold", type=float, metavar="T", help="default: the model card's")
    parser.add_argument("--json", metavar="OUT", help="write the figures to this file")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that exists")
    args = parser.parse_args(argv)
    return exit_code_of(lambda: _run(args))


def _run(args: argparse.Namespace) -> int:
    if args.json:
        check_output(Path(args.json), "--json", args.overwrite)
    settings = DetectorSettings(
        model=args.model, engine=args.engine, precision=args.precision, threshold=args.threshold
    )
    detector = Detector.load(settings)
    engine, root = detector.choice.engine, Path(args.data)
    masks = judge_masks(detector, root / "sirst", "v1_val")
    empty = judge_empty_frames(detector, root / "sirst", "v2_val")
    video = judge_video(detector, root / "irvideo", (1, 5))
    print(f"{detector.card.name} in {engine.name} {engine.precision}, threshold {detector.threshold:g}")
    print(
        f"v1_val, at 0.5: mIoU {100 * (masks.miou or 0):.1f}  nIoU {100 * (masks.niou or 0):.1f}  "
        f"Pd {100 * (masks.pd or 0):.1f} %  Fa {masks.fa_per_million or 0:.1f} per million pixels"
    )
    print(f"v2_val, {empty.frames} target-free frames: {empty.false_per_frame or 0:.3f} false detections per frame")
    for name, found in video.items():
        print(
            f"{name}: {100 * (found.hit_rate or 0):.1f} % of {found.labelled_frames} labelled frames hit, "
            f"{found.false_per_frame or 0:.3f} false detections per labelled frame"
        )
    if args.json:
        figures = {
            "threshold": detector.threshold,
            "v1_val": asdict(masks),
            "v2_val_empty": asdict(empty),
            "video": {name: asdict(found) for name, found in video.items()},
        }
        write_figures(figures, Path(args.json), args.overwrite)
    return 0


def _frames(sirst: Path, split: str) -> list[LabelledFrame]:
    data = open_data_set(sirst)
    return [read_frame(entry) for entry in data.of_splits((split,))]


if __name__ == "__main__":
    sys.exit(main())
