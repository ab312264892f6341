"""Accuracy of a model as it is deployed: through its engine, at its threshold, on frames it was not trained on.

    python -m lpnet_rt.benchmarks.accuracy --data DIR [--thresholds 0.5,0.6,0.7] [--json OUT]

``DIR`` holds ``sirst/`` (images, masks, splits) and ``irvideo/`` (clips, boxes, and places that count neither way).
Masks are pixels whose score is at least one half; detections are taken at the threshold in force, or at each of
``--thresholds``, in one pass: the table to choose a threshold by.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from lpnet_rt.benchmarks.arithmetic import count_executed_macs, count_macs
from lpnet_rt.benchmarks.outputs import check_output, write_figures
from lpnet_rt.console import exit_code_of
from lpnet_rt.detector import Detector
from lpnet_rt.errors import SettingsError
from lpnet_rt.models import ModelFile, find_model
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
_ALL = "all clips"
_MASK_SCORE = 0.5
_CLIP_HW = (256, 320)


def judge_masks(detector: Detector, sirst: Path, split: str, thresholds: Sequence[float]) -> list[FieldMetrics]:
    """MIoU, nIoU, Pd and Fa on the frames of a split that hold targets, at each threshold."""
    metrics = [FieldAccumulator(threshold) for threshold in thresholds]
    for frame in watched([f for f in _frames(sirst, split) if f.role == "targets"], split):
        scores = detector.score_map(frame.image)
        for one in metrics:
            one.add(scores, frame.truth.mask)
    return [one.result() for one in metrics]


def judge_empty_frames(
    detector: Detector, sirst: Path, split: str, thresholds: Sequence[float]
) -> list[EmptyFrameMetrics]:
    """False detections on the target-free frames of a split, at each threshold of at least the detector's."""
    metrics = [EmptyFrameAccumulator(threshold) for threshold in thresholds]
    for frame in watched([f for f in _frames(sirst, split) if f.role == "target-free"], f"{split}, target-free"):
        score = detector.detect(frame.image).score
        for one in metrics:
            one.add_count(int(np.count_nonzero(score >= one.threshold)))
    return [one.result() for one in metrics]


def judge_video(
    detector: Detector, irvideo: Path, held_back: tuple[int, int], thresholds: Sequence[float], stride: int = 1
) -> list[dict[str, BoxMetrics]]:
    """Hits and false detections on the labelled frames of the clips held back, by kind of target and in all.

    One result for each threshold, which is at least the detector's; places of ``unlabelled.csv`` count neither way.
    Every ``stride``-th frame of each clip is judged.
    """
    found = {clip.name: clip.image for clip in open_data_set(irvideo, "clips").entries if clip.image}
    names = [name for name in found if clip_is_held_back(name, *held_back)]
    kinds: list[dict[str, BoxAccumulator]] = [{} for _ in thresholds]
    for name in watched(names, "video", "clips"):
        labels = read_clip_labels(irvideo, name)
        for index, image, _ in read_clip(found[name]):
            if index % stride:
                continue
            detections = detector.detect(image)
            boxes, ignored = labels.boxes_xywh.get(index, _NO_BOXES), labels.ignored_xy.get(index)
            for threshold, metrics in zip(thresholds, kinds, strict=True):
                centroid_xy = detections.centroid_xy[detections.score >= threshold]
                for kind in (name.rpartition("_")[0], _ALL):
                    metrics.setdefault(kind, BoxAccumulator()).add(centroid_xy, boxes, ignored)
    order = sorted({kind for metrics in kinds for kind in metrics}, key=lambda kind: (kind == _ALL, kind))
    return [{kind: metrics[kind].result() for kind in order if kind in metrics} for metrics in kinds]


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m lpnet_rt.benchmarks.accuracy", description=__doc__)
    parser.add_argument("--data", required=True, metavar="DIR", help="folder with sirst/ and irvideo/")
    parser.add_argument("--model", default="lpnet-rt", metavar="M")
    parser.add_argument("--engine", default="auto", metavar="E")
    parser.add_argument("--precision", default="auto", metavar="P")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="processor threads; 0: all")
    parser.add_argument("--thresholds", metavar="T,T", help="of 0.5 or more; default: the model card's")
    parser.add_argument("--video-stride", type=int, default=1, metavar="N", help="judge every N-th frame of the clips")
    parser.add_argument("--json", metavar="OUT", help="write the figures to this file")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that exists")
    args = parser.parse_args(argv)
    return exit_code_of(lambda: _run(args))


def _run(args: argparse.Namespace) -> int:
    if args.json:
        check_output(Path(args.json), "--json", args.overwrite)
    asked = _thresholds(args.thresholds)
    settings = DetectorSettings(
        model=args.model,
        engine=args.engine,
        precision=args.precision,
        threads=args.threads,
        threshold=min(asked, default=None),
    )
    detector = Detector.load(settings)
    engine, root, thresholds = detector.choice.engine, Path(args.data), asked or [detector.threshold]
    print(f"{detector.card.name} in {engine.name} {engine.precision}")
    masks = judge_masks(detector, root / "sirst", "v1_val", [_MASK_SCORE])[0]
    print(
        f"v1_val, at 0.5: mIoU {100 * (masks.miou or 0):.1f}  nIoU {100 * (masks.niou or 0):.1f}  "
        f"Pd {100 * (masks.pd or 0):.1f} %  Fa {masks.fa_per_million or 0:.1f} per million pixels"
    )
    targets = judge_masks(detector, root / "sirst", "v2_val", thresholds)
    empty = judge_empty_frames(detector, root / "sirst", "v2_val", thresholds)
    video = judge_video(detector, root / "irvideo", (1, 5), thresholds, args.video_stride)
    figures = []
    for threshold, masked, free, clips in zip(thresholds, targets, empty, video, strict=True):
        _print_row(threshold, masked, free, clips)
        figures.append(
            {
                "threshold": threshold,
                "v2_val_targets": asdict(masked),
                "v2_val_empty": asdict(free),
                "video": {name: asdict(one) for name, one in clips.items()},
            }
        )
    if args.json:
        macs = _macs(detector, find_model(args.model))
        per_pixel = None if macs is None else macs / math.prod(_CLIP_HW) / 1000
        head = {"model": detector.card.name, "kmac_per_pixel": per_pixel, "v1_val": asdict(masks)}
        write_figures(head | {"thresholds": figures}, Path(args.json), args.overwrite)
    return 0


def _macs(detector: Detector, model: ModelFile) -> int | None:
    """Multiply-accumulates of a frame of the clips' size; what PyTorch executes where the model is no graph."""
    if model.path.suffix == ".onnx":
        return count_macs(model, _CLIP_HW)
    if detector.choice.engine.name != "torch":
        return None
    frame = np.random.default_rng(0).integers(0, 255, _CLIP_HW, np.uint8)
    return count_executed_macs(lambda: detector.score_map(frame))


def _print_row(threshold: float, targets: FieldMetrics, empty: EmptyFrameMetrics, video: dict[str, BoxMetrics]) -> None:
    print(
        f"threshold {threshold:g}: v2_val: {100 * (targets.pd or 0):.1f} % of {targets.targets} targets found, "
        f"{empty.false_per_frame or 0:.3f} false detections per target-free frame ({empty.frames})"
    )
    for name, found in video.items():
        print(
            f"    {name}: {100 * (found.hit_rate or 0):.1f} % of {found.labelled_frames} labelled frames hit, "
            f"{found.false_per_frame or 0:.4f} false detections per labelled frame"
        )


def _thresholds(text: str | None) -> list[float]:
    try:
        asked = [float(part) for part in text.split(",")] if text else []
    except ValueError:
        asked = [0.0]
    if not all(_MASK_SCORE <= threshold <= 1.0 for threshold in asked):
        raise SettingsError(f"--thresholds {text}: expected numbers from 0.5 to 1, separated by commas")
    return asked


def _frames(sirst: Path, split: str) -> list[LabelledFrame]:
    data = open_data_set(sirst)
    return [read_frame(entry) for entry in data.of_splits((split,))]


if __name__ == "__main__":
    sys.exit(main())
