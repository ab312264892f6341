"""Fit what a model's scores mean on validation data, and write it into the model's card.

    python -m lpnet_rt.training.commands.calibration --model M --images DIR --split v1_val --split v2_val --clips DIR
        [--held-back 1 5] [--stride N] [--plot PNG] [--json OUT] [--write]

``--images`` is a data set with masks, ``--clips`` one of clips with boxes, of which those are taken whose number leaves
the remainder when divided. Nothing that the model was trained on belongs here.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from lpnet_rt.console import exit_code_of
from lpnet_rt.detections import Detections, joined
from lpnet_rt.detector import Detector
from lpnet_rt.errors import DataError
from lpnet_rt.files import refuse_existing, write_whole
from lpnet_rt.frames import Frame, GreyImage
from lpnet_rt.models import find_model, write_card
from lpnet_rt.models.false_alarms import ScoreCalibration
from lpnet_rt.settings import DetectorSettings
from lpnet_rt.training.data.clips import clip_is_held_back, read_clip
from lpnet_rt.training.data.data_set import Entry, read_frame
from lpnet_rt.training.data.frames import IGNORE
from lpnet_rt.training.data.layouts import open_data_set
from lpnet_rt.training.evaluation.calibration import (
    MIN_SCORE,
    CalibrationFit,
    ScoredDetections,
    false_alarm_thresholds,
    fit_calibration,
)
from lpnet_rt.training.progress import watched
from lpnet_rt.training.tracks.truth import inside_boxes, load_truth

__all__ = ["JudgedFrame", "add_arguments", "calibrate", "judged_frames", "main", "run"]

_BODY_THRESHOLD = 0.5
_NEAR_MASK_PX = 3
_CLIPS_PER_SESSION = 10
Find = Callable[[GreyImage], Detections]


@dataclass(frozen=True, slots=True)
class JudgedFrame:
    """The detections of one frame whose truth is known.

    Attributes:
        session: Name of the recording session.
        score: (N,) float64.
        is_target: (N,) bool.
        counts_false: Whether its false detections count for the rate.
    """

    session: str
    score: NDArray[np.float64]
    is_target: NDArray[np.bool_]
    counts_false: bool


def judged_frames(args: argparse.Namespace, find: Find) -> Iterator[JudgedFrame]:
    """Yield the frames of the data sets that the flags name.

    Args:
        args: Of :func:`add_arguments`.
        find: Detections of a frame down to ``MIN_SCORE``.

    Raises:
        DataError: A data set is missing or damaged, or names no frames.
    """
    if args.images is not None:
        data = open_data_set(args.images)
        entries = data.of_splits(tuple(args.split or ()))
        for entry in watched(entries, "images"):
            yield _judge_image(entry, find)
    if args.clips is not None:
        clips = [clip for clip in open_data_set(args.clips, "clips").entries if clip.image is not None]
        held_back = [clip for clip in clips if clip_is_held_back(clip.name, *args.held_back)]
        for clip in watched(held_back, "clips", "clips"):
            yield from _judge_clip(args.clips, clip, args.stride, find)


def calibrate(frames: list[JudgedFrame], data: list[str]) -> tuple[ScoreCalibration, ScoredDetections, CalibrationFit]:
    """Fit the calibration and the thresholds.

    Args:
        frames: Of all sessions.
        data: What they are, in words.

    Raises:
        DataError: There are too few detections or sessions, or all are targets, or none.
    """
    names = {name: number for number, name in enumerate(dict.fromkeys(frame.session for frame in frames))}
    every = _collected(frames, names)
    counting = _collected([frame for frame in frames if frame.counts_false], names)
    targets = int(every.is_target.sum())
    if len(names) < 5 or targets < 20 or len(every.score) - targets < 20:
        found = f"{targets} and {len(every.score) - targets} from {len(names)}"
        raise DataError(f"calibration: expected 20 detections of targets and 20 others from 5 sessions, found {found}")
    fit = fit_calibration(every)
    calibration = ScoreCalibration(
        method=fit.method,
        points=[(round(float(score), 6), round(float(probability), 6)) for score, probability in fit.points],
        thresholds=false_alarm_thresholds(counting.rows(~counting.is_target)),
        frames=int(counting.frames.sum()),
        detections=len(every.score),
        sessions=len(names),
        log_loss=(round(fit.log_loss["identity"], 4), round(fit.log_loss[fit.method], 4)),
        ece=(round(fit.ece["identity"], 4), round(fit.ece[fit.method], 4)),
        data=data,
    )
    return calibration, every, fit


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    parser.add_argument("--model", default="lpnet-rt", metavar="M", help="packaged model or a file with its card")
    parser.add_argument("--engine", default="auto", metavar="E", help="engine that runs the model (auto)")
    parser.add_argument("--threads", type=int, metavar="N", help="threads for inference (all)")
    parser.add_argument("--images", type=Path, metavar="DIR", help="data set of images with masks")
    parser.add_argument("--split", action="append", metavar="NAME", help="splits of it; may be repeated (all)")
    parser.add_argument("--clips", type=Path, metavar="DIR", help="folder with clips/, boxes/ and unlabelled.csv")
    parser.add_argument("--held-back", type=int, nargs=2, default=(1, 5), metavar=("REMAINDER", "DIVISOR"))
    parser.add_argument("--stride", type=int, default=1, metavar="N", help="every n-th frame of the clips (1)")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="write the reliability diagram")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write what would stand in the card")
    parser.add_argument("--write", action="store_true", help="write it into the card beside the model")
    parser.add_argument("--overwrite", action="store_true", help="replace --plot and --json files that exist")


def run(args: argparse.Namespace) -> int:
    """Carry out the command.

    Raises:
        LpnetError: The model, the data or an output cannot be used.
    """
    for path, flag in ((args.plot, "--plot"), (args.json, "--json")):
        if path is not None:
            refuse_existing(path, flag, args.overwrite)
    settings = DetectorSettings(model=args.model, engine=args.engine, threads=args.threads, threshold=_BODY_THRESHOLD)
    detector = Detector.load(settings)
    frames = list(judged_frames(args, _finder(detector)))
    calibration, found, fit = calibrate(frames, _described(args))
    _print(calibration, fit)
    if args.json is not None:
        content = msgspec.json.format(msgspec.json.encode(calibration), indent=2) + b"\n"
        write_whole(args.json, content, "--json", overwrite=args.overwrite)
    if args.plot is not None:
        from lpnet_rt.training.evaluation.reliability_plot import reliability_png

        write_whole(args.plot, reliability_png(found, fit), "--plot", overwrite=args.overwrite)
    if args.write:
        path = find_model(args.model).path.with_suffix(".json")
        write_card(path, msgspec.structs.replace(detector.card, scores=calibration))
        print(f"written into {path}")
    return 0


def _finder(detector: Detector) -> Find:
    detector.weak_threshold = MIN_SCORE

    def find(image: GreyImage) -> Detections:
        report = detector.report(Frame(image, 0, "calibration", None, 0, 0))
        if report.error is not None:
            raise DataError(f"calibration: {report.error}")
        return joined(report.detections, report.weak)

    return find


def _judge_image(entry: Entry, find: Find) -> JudgedFrame:
    frame = read_frame(entry)
    found, mask = find(frame.image), frame.truth.mask
    near = cv2.dilate((mask == 255).astype(np.uint8), np.ones((2 * _NEAR_MASK_PX + 1,) * 2, np.uint8)) > 0
    columns, rows = np.clip(found.centroid_xy.round().astype(int), 0, np.array(mask.shape[::-1]) - 1).T
    known = near[rows, columns] | (mask[rows, columns] != IGNORE)
    score = found.score.astype(np.float64)[known]
    return JudgedFrame(f"image {entry.name}", score, near[rows, columns][known], frame.role == "target-free")


def _judge_clip(root: Path, clip: Entry, stride: int, find: Find) -> Iterator[JudgedFrame]:
    """Yield frames of a clip; one without any box was not labelled, and is left out."""
    truth = load_truth(root, clip.name)
    if not truth.boxes or clip.image is None:
        return
    number = int((re.search(r"\d+$", clip.name) or ["0"])[0])
    session = f"{clip.name.rstrip('0123456789')}{number // _CLIPS_PER_SESSION}"
    for index, image, _ in read_clip(clip.image):
        if index % stride:
            continue
        found = find(image)
        xy = found.centroid_xy.astype(np.float64)
        is_target: NDArray[np.bool_] = np.any(inside_boxes(xy, truth.boxes_at(index)), axis=1)
        known = is_target | ~truth.is_ignored(index, xy)
        yield JudgedFrame(session, found.score.astype(np.float64)[known], is_target[known], True)


def _collected(frames: list[JudgedFrame], names: dict[str, int]) -> ScoredDetections:
    """Concatenate frames; sessions without frames among these count no frames."""
    session = np.array([names[frame.session] for frame in frames], np.int64)
    used, session = np.unique(session, return_inverse=True)
    return ScoredDetections(
        np.concatenate([frame.score for frame in frames] or [np.zeros(0)]),
        np.concatenate([frame.is_target for frame in frames] or [np.zeros(0, np.bool_)]),
        np.repeat(session, [len(frame.score) for frame in frames]),
        np.bincount(session, minlength=len(used)),
    )


def _described(args: argparse.Namespace) -> list[str]:
    said = []
    if args.images is not None:
        said.append(f"{args.images.name}: {', '.join(args.split or ['all images'])}")
    if args.clips is not None:
        remainder, divisor = args.held_back
        every = "every frame" if args.stride == 1 else f"one frame in {args.stride}"
        said.append(
            f"{args.clips.name}: {every} of the clips whose number leaves {remainder} when divided by {divisor}"
        )
    return said


def _print(calibration: ScoreCalibration, fit: CalibrationFit) -> None:
    print(f"{calibration.detections} detections, {calibration.sessions} sessions; cross-validated:")
    for name in fit.log_loss:
        print(f"  {name:9} log loss {fit.log_loss[name]:.4f}, calibration error {fit.ece[name]:.4f}")
    print(f"taken: {calibration.method}; thresholds from {calibration.frames} frames:")
    for row in calibration.thresholds:
        rate = f"1 false detection in {round(1 / row.false_per_frame):,} frames"
        if row.threshold is None:
            print(f"  {rate}: the data cannot show it")
        else:
            print(f"  {rate}: {row.threshold:g} (95 %: {row.low:g} to {row.high:g})")


def main(argv: list[str] | None = None) -> int:
    """Run the command on its own; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m lpnet_rt.training.commands.calibration", description=__doc__)
    add_arguments(parser)
    args = parser.parse_args(argv)
    return exit_code_of(lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
