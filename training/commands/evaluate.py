"""The verb ``evaluate``: evaluate a model, or any detector's masks or score maps, on images with masks.

``lpnet-rt evaluate --images DIR --masks DIR [--split FILE] [--model M | --predictions DIR] --json OUT --plots DIR``,
or ``python -m lpnet_rt.training.commands.evaluate`` with the same flags. ``--tracks FILE... --data DIR`` evaluates the
tracks of a run, or MOT files, against the boxes of clips.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import msgspec
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from lpnet_rt.console import exit_code_of
from lpnet_rt.errors import DataError, SettingsError, SinkError, reason
from lpnet_rt.files import refuse_existing, write_whole
from lpnet_rt.frames import GreyImage
from lpnet_rt.settings import Polarity
from lpnet_rt.training.data.data_set import read_frame
from lpnet_rt.training.data.pairs import Pair, pair_files, read_prediction
from lpnet_rt.training.evaluation.components import Prediction
from lpnet_rt.training.evaluation.evaluator import Evaluation, Evaluator, to_json
from lpnet_rt.training.evaluation.plots import PLOT_NAMES, write_plots
from lpnet_rt.training.evaluation.summary import print_summary
from lpnet_rt.training.progress import watched

__all__ = ["EvaluateOptions", "ScoreFunction", "add_arguments", "check_outputs", "evaluate", "judge", "main", "run"]

_USUAL_RATES = (0.01, 0.1, 0.3, 1.0)
ScoreFunction = Callable[[GreyImage], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """What to evaluate, on what, and where to write it.

    Attributes:
        images: Folder of images.
        masks: Folder of masks: NAME, NAME_gt or NAME_pixels0 for an image NAME; anything but 0 is target.
        split: Text file with the stems to take; None takes every image.
        predictions: Folder of masks (0/255), score maps (8 or 16 bit of full scale) or .npy of floats from 0 to 1.
        model: Turns (H, W) raw counts into an (H, W) score map from 0 to 1; used where there are no predictions.
        judged: Name of what is evaluated, for the report.
        runs_in: Engine and precision that run the model, to be shown with the progress; empty where that says nothing.
        threshold: Score that a detection's peak reaches, where a measure takes one threshold.
        rate_hz: Frames per second, for false detections per hour.
        false_per_empty_frame: False-alarm rates at which Pd is wanted, detections per target-free frame.
        json: File for all figures, or None.
        plots: Folder for the plots, or None.
        overwrite: Whether files of these names that exist are replaced.
    """

    images: Path
    masks: Path
    split: Path | None = None
    predictions: Path | None = None
    model: ScoreFunction | None = None
    judged: str = "predictions"
    runs_in: str = ""
    threshold: float = 0.5
    rate_hz: float = 30.0
    false_per_empty_frame: tuple[float, ...] = _USUAL_RATES
    json: Path | None = None
    plots: Path | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise SettingsError(f"threshold: expected over 0 up to 1, found {self.threshold:g}")
        if not 0 < self.rate_hz < math.inf:
            raise SettingsError(f"rate_hz: expected frames per second over 0, found {self.rate_hz:g}")
        wrong = [rate for rate in self.false_per_empty_frame if not 0 <= rate < math.inf]
        if wrong:
            raise SettingsError(f"at-rate: expected false detections per frame of 0 or more, found {wrong[0]:g}")
        if (self.predictions is None) == (self.model is None):
            raise SettingsError("evaluate: expected either predictions or a model, found both or neither; give one")


def evaluate(options: EvaluateOptions) -> Evaluation:
    """Evaluate every frame, write what the options ask for, and return it.

    Raises:
        DataError: A folder, a split, an image, a mask or a prediction is missing, damaged or of another size.
        SinkError: A file is there already, or cannot be written; known before the first frame is evaluated.
    """
    evaluation = judge(options)
    write_outputs(evaluation, options)
    return evaluation


def judge(options: EvaluateOptions) -> Evaluation:
    """Evaluate every frame; write nothing.

    Raises:
        DataError: As :func:`evaluate`.
        SinkError: What the options ask for could not be written.
    """
    pairs = pair_files(options.images, options.masks, options.split, options.predictions)
    check_outputs(options.json, options.plots, options.overwrite, _inputs(pairs, options.split))
    evaluator = Evaluator(options.judged, options.threshold, options.rate_hz)
    runs_in = f" in {options.runs_in}" if options.runs_in else ""
    for pair in watched(pairs, f"evaluate {options.judged}{runs_in}"):
        frame = read_frame(pair.entry)
        prediction = _predict(pair, frame.image, options.model)
        try:
            evaluator.add(frame.name, frame.image, prediction, frame.truth.mask == 255)
        except DataError as error:
            raise DataError(f"{pair.prediction or pair.entry.image}: {error}") from error
    return evaluator.result(options.false_per_empty_frame)


def write_outputs(evaluation: Evaluation, options: EvaluateOptions) -> None:
    """Write the JSON file and the plots that the options ask for.

    Raises:
        SinkError: A file is there already, or cannot be written.
    """
    if options.json:
        write_whole(options.json, to_json(evaluation), "--json", overwrite=options.overwrite)
    if options.plots:
        write_plots(evaluation, options.plots, overwrite=options.overwrite)


def check_outputs(json: Path | None, plots: Path | None, overwrite: bool, inputs: Collection[Path] = ()) -> None:
    """Refuse outputs that cannot be written, before minutes of work are spent; make their folders.

    Args:
        json: File for the figures, or None.
        plots: Folder for the plots, or None.
        overwrite: Whether files that exist may be replaced.
        inputs: Files that are evaluated: never replaced.

    Raises:
        SinkError: A file exists, is one of the inputs, or its folder cannot be made or written.
    """
    pictures = [plots / name for name in PLOT_NAMES] if plots else []
    files = [("--json", json)] if json else []
    files += [("--plots", picture) for picture in pictures]
    for folder in {path.parent: None for _, path in files}:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SinkError(f"{folder}: cannot make the folder: {reason(error)}; give another") from error
        if not os.access(folder, os.W_OK | os.X_OK):
            raise SinkError(f"{folder}: expected a folder that can be written, found one that cannot; give another")
    if json and json.resolve() in {picture.resolve() for picture in pictures}:
        raise SinkError(f"--json {json}: a plot has this name; give another name")
    read = {path.resolve() for path in inputs}
    for flag, path in files:
        refuse_existing(path, flag, overwrite)
        if path.resolve() in read:
            raise SinkError(f"{flag} {path}: the file is one of those that are evaluated; give another name")


def _inputs(pairs: Sequence[Pair], split: Path | None) -> list[Path]:
    files = [file for pair in pairs for file in (pair.entry.image, pair.entry.mask, pair.prediction) if file]
    return [*files, split] if split else files


def _predict(pair: Pair, image: GreyImage, model: ScoreFunction | None) -> Prediction:
    if pair.prediction is not None:
        return read_prediction(pair.prediction, image.shape)
    if model is None:
        raise DataError(f"{pair.entry.image}: expected a prediction or a model, found neither")
    score = model(image)
    if score.shape != image.shape:
        file = pair.entry.image
        raise DataError(f"{file}: expected a score map of the image's size {image.shape}, found {score.shape}")
    return score


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's flags to a parser."""
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder of images")
    parser.add_argument("--masks", type=Path, metavar="DIR", help="folder of masks, paired by stem")
    parser.add_argument("--split", type=Path, metavar="FILE", help="text file with the image names to take")
    tracks_help = "evaluate the tracks of JSON Lines of a run, or MOT files (.txt), instead"
    parser.add_argument("--tracks", type=Path, nargs="+", metavar="FILE", help=tracks_help)
    parser.add_argument("--data", type=Path, metavar="DIR", help="with --tracks: folder with boxes/NAME.csv")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--model", default="lpnet-rt", metavar="M", help="packaged model or .onnx file (lpnet-rt)")
    what.add_argument(
        "--predictions", type=Path, metavar="DIR", help="evaluate masks or score maps (PNG, .npy) instead"
    )
    parser.add_argument(
        "--threshold", type=float, default=0.5, metavar="T", help="score that a detection reaches (0.5)"
    )
    parser.add_argument(
        "--rate", type=float, default=30.0, metavar="HZ", help="frames per second, for hourly rates (30)"
    )
    parser.add_argument(
        "--at-rate",
        type=float,
        action="append",
        metavar="R",
        help="state Pd at R false detections per target-free frame; may be repeated (0.01, 0.1, 0.3, 1)",
    )
    parser.add_argument("--engine", default="auto", metavar="E", help="engine that runs the model (auto)")
    parser.add_argument("--precision", default="auto", metavar="P", help="auto, f32 or bf16")
    parser.add_argument("--polarity", default="hot", choices=get_args(Polarity), help="targets to search for (hot)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write all figures to this file")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="write the plots into this folder")
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")


def run(args: argparse.Namespace) -> int:
    """Carry out the verb; return its exit code.

    Raises:
        LpnetError: As :func:`evaluate`, and ModelError or EngineError where the model cannot be loaded.
    """
    if args.tracks:
        return _evaluate_tracks(args)
    if args.images is None or args.masks is None:
        raise SettingsError("evaluate: expected --images and --masks, or --tracks and --data; give both of either")
    if args.predictions and args.polarity != "hot":
        raise SettingsError("evaluate: --polarity: expected a model that searches, found predictions; leave it out")
    # Known before a model is loaded and compiled, which takes a while.
    pair_files(args.images, args.masks, args.split, args.predictions)
    check_outputs(args.json, args.plots, args.overwrite)
    model, runs_in = (None, "") if args.predictions else _load_model(args)
    options = EvaluateOptions(
        images=args.images,
        masks=args.masks,
        split=args.split,
        predictions=args.predictions,
        model=model,
        judged=str(args.predictions or args.model),
        runs_in=runs_in,
        threshold=args.threshold,
        rate_hz=args.rate,
        false_per_empty_frame=tuple(args.at_rate or _USUAL_RATES),
        json=args.json,
        plots=args.plots,
        overwrite=args.overwrite,
    )
    evaluation = judge(options)
    # Printed first: a full disk costs the files, not the figures.
    print_summary(evaluation, Console())
    write_outputs(evaluation, options)
    return 0


def _evaluate_tracks(args: argparse.Namespace) -> int:
    from lpnet_rt.training.tracks.work import judge_files

    if args.data is None:
        raise SettingsError("evaluate: --tracks: expected the folder of the boxes, found none; give it with --data")
    for flag in ("images", "masks", "split", "predictions", "plots"):
        if getattr(args, flag) is not None:
            raise SettingsError(
                f"evaluate: --{flag}: expected no flag of images beside --tracks; leave one of them out"
            )
    check_outputs(args.json, None, args.overwrite, args.tracks)
    found = judge_files(args.data, args.tracks, args.rate, Console().print)
    if args.json:
        write_whole(args.json, msgspec.json.format(msgspec.json.encode(found)), "--json", overwrite=args.overwrite)
    return 0


def _load_model(args: argparse.Namespace) -> tuple[ScoreFunction, str]:
    # Imported here: whoever evaluates another detector's predictions needs no engine.
    from lpnet_rt.detector import Detector
    from lpnet_rt.settings import DetectorSettings

    settings = DetectorSettings(model=args.model, engine=args.engine, precision=args.precision, polarity=args.polarity)
    detector = Detector.load(settings)
    engine = detector.choice.engine
    return detector.score_map, f"{engine.name} {engine.precision}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb on its own; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m lpnet_rt.training.commands.evaluate", description=__doc__)
    add_arguments(parser)
    args = parser.parse_args(argv)
    return exit_code_of(lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
