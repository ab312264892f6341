"""The verb ``evaluate``: judge a model, or any detector's masks or score maps, on images with masks.

``lpnet-rt evaluate --images DIR --masks DIR [--split FILE] [--model M | --predictions DIR] --json OUT --plots DIR``,
or ``python -m lpnet_rt.training.evaluate`` with the same flags.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from lpnet_rt.errors import DataError, LpnetError, SettingsError, SinkError
from lpnet_rt.frames import GreyImage
from lpnet_rt.training.components import Prediction
from lpnet_rt.training.evaluation import Evaluation, Evaluator, to_json
from lpnet_rt.training.pairs import Pair, pair_files, read_grey, read_mask, read_prediction
from lpnet_rt.training.plots import write_plots

__all__ = ["EvaluateOptions", "ScoreFunction", "add_arguments", "evaluate", "main", "run"]

_USUAL_RATES = (0.01, 0.1, 0.3, 1.0)
ScoreFunction = Callable[[GreyImage], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """What to judge, on what, and where to write it.

    Attributes:
        images: Folder of images.
        masks: Folder of masks: NAME, NAME_gt or NAME_pixels0 for an image NAME; anything but 0 is target.
        split: Text file with the stems to take; None takes every image.
        predictions: Folder of masks (0/255), score maps (8 or 16 bit of full scale) or .npy of floats from 0 to 1.
        model: Turns (H, W) raw counts into an (H, W) score map from 0 to 1; used where there are no predictions.
        judged: Name of what is judged, for the report.
        threshold: Score at or over which a pixel is predicted, where a measure takes one threshold.
        rate_hz: Frames a second, for false detections an hour.
        false_per_empty_frame: False-alarm rates at which Pd is wanted, detections a target-free frame.
        json: File for all figures, or None.
        plots: Folder for the plots, or None.
    """

    images: Path
    masks: Path
    split: Path | None = None
    predictions: Path | None = None
    model: ScoreFunction | None = None
    judged: str = "predictions"
    threshold: float = 0.5
    rate_hz: float = 30.0
    false_per_empty_frame: tuple[float, ...] = _USUAL_RATES
    json: Path | None = None
    plots: Path | None = None

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise SettingsError(f"threshold: expected over 0 up to 1, found {self.threshold:g}")
        if not self.rate_hz > 0:
            raise SettingsError(f"rate_hz: expected frames a second over 0, found {self.rate_hz:g}")
        if (self.predictions is None) == (self.model is None):
            raise SettingsError("evaluate: expected either predictions or a model, found both or neither; give one")


def evaluate(options: EvaluateOptions) -> Evaluation:
    """Judge every frame, write what the options ask for, and return it.

    Raises:
        DataError: A folder, a split, an image, a mask or a prediction is missing, damaged or of another size.
        SinkError: The JSON file or the plots cannot be written; known before the first frame is judged.
    """
    pairs = pair_files(options.images, options.masks, options.split, options.predictions)
    _prepare_outputs(options)
    evaluator = Evaluator(options.judged, options.threshold, options.rate_hz)
    console = Console(stderr=True)
    for pair in track(pairs, "evaluate", console=console, disable=not console.is_terminal, transient=True):
        image = read_grey(pair.image)
        true = read_mask(pair.mask, image.shape)
        prediction = _predict(pair, image, options.model)
        try:
            evaluator.add(pair.stem, image, prediction, true)
        except DataError as error:
            raise DataError(f"{pair.prediction or pair.image}: {error}") from error
    evaluation = evaluator.result(options.false_per_empty_frame)
    if options.json:
        _write(options.json, to_json(evaluation))
    if options.plots:
        write_plots(evaluation, options.plots)
    return evaluation


def _predict(pair: Pair, image: GreyImage, model: ScoreFunction | None) -> Prediction:
    if pair.prediction is not None:
        return read_prediction(pair.prediction, image.shape)
    if model is None:
        raise DataError(f"{pair.image}: expected a prediction or a model, found neither")
    score = model(image)
    if score.shape != image.shape:
        raise DataError(f"{pair.image}: expected a score map of the image's size {image.shape}, found {score.shape}")
    return score


def _prepare_outputs(options: EvaluateOptions) -> None:
    folders = [folder for folder in (options.json.parent if options.json else None, options.plots) if folder]
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SinkError(f"{folder}: cannot make the folder: {error.strerror}") from error
        if not os.access(folder, os.W_OK):
            raise SinkError(f"{folder}: expected a folder that can be written, found one that cannot")
    if options.json and options.json.is_dir():
        raise SinkError(f"{options.json}: expected a file for the figures, found a folder")


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        raise SinkError(f"{path}: cannot be written: {error.strerror}") from error


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's flags to a parser."""
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="folder of images")
    parser.add_argument("--masks", type=Path, required=True, metavar="DIR", help="folder of masks, paired by stem")
    parser.add_argument("--split", type=Path, metavar="FILE", help="text file with the image names to take")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--model", default="lpnet-rt", metavar="M", help="packaged model or .onnx file (lpnet-rt)")
    what.add_argument("--predictions", type=Path, metavar="DIR", help="judge masks or score maps (PNG, .npy) instead")
    parser.add_argument("--threshold", type=float, default=0.5, metavar="T", help="score of a predicted pixel (0.5)")
    parser.add_argument("--rate", type=float, default=30.0, metavar="HZ", help="frames a second, for hourly rates (30)")
    parser.add_argument(
        "--at-rate",
        type=float,
        action="append",
        metavar="R",
        help="state Pd at R false detections a target-free frame; may be repeated (0.01, 0.1, 0.3, 1)",
    )
    parser.add_argument("--engine", default="auto", metavar="E", help="engine that runs the model (auto)")
    parser.add_argument("--precision", default="auto", metavar="P", help="auto, f32 or bf16")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write all figures to this file")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="write the plots into this folder")


def run(args: argparse.Namespace) -> int:
    """Carry out the verb; return its exit code.

    Raises:
        LpnetError: As :func:`evaluate`, and ModelError or EngineError where the model cannot be loaded.
    """
    model: ScoreFunction | None = None
    if args.predictions is None:
        model = _load_model(args)
    evaluation = evaluate(
        EvaluateOptions(
            images=args.images,
            masks=args.masks,
            split=args.split,
            predictions=args.predictions,
            model=model,
            judged=str(args.predictions or args.model),
            threshold=args.threshold,
            rate_hz=args.rate,
            false_per_empty_frame=tuple(args.at_rate or _USUAL_RATES),
            json=args.json,
            plots=args.plots,
        )
    )
    print_summary(evaluation, Console())
    return 0


def _load_model(args: argparse.Namespace) -> ScoreFunction:
    # Imported here: whoever judges another detector's predictions needs no engine.
    from lpnet_rt.detector import Detector
    from lpnet_rt.settings import DetectorSettings

    return Detector.load(DetectorSettings(model=args.model, engine=args.engine, precision=args.precision)).score_map


def print_summary(evaluation: Evaluation, console: Console) -> None:
    """Print the main figures as a table."""
    field, operator, paper = evaluation.field, evaluation.operator, evaluation.paper_published
    console.print(f"{evaluation.judged}: {field.images} frames, {field.targets} targets", soft_wrap=True, markup=False)
    table = Table()
    table.add_column("measure")
    table.add_column("value", justify="right")
    table.add_column("at")
    at = f"threshold {evaluation.threshold:g}"
    table.add_row("mIoU", _percent(field.miou), at)
    table.add_row("nIoU", _percent(field.niou), at)
    table.add_row("Pd", _percent(field.pd), at)
    table.add_row("Fa, pixels per million", _plain(field.fa_per_million), at)
    frames = operator.empty_frames
    if frames.frames:
        where = f"{at}, {frames.frames} target-free frames"
        table.add_row("false detections a frame", _plain(frames.false_per_frame), where)
        table.add_row("false detections an hour", _plain(operator.false_per_hour), f"{operator.rate_hz:g} frames/s")
        for point in operator.pd_at_rate:
            best = point.best
            where = f"threshold {best.threshold:g}" if best else "no threshold is quiet enough"
            name = f"Pd at {point.false_per_empty_frame:g} false a frame"
            table.add_row(name, _percent(best.pd if best else None), where)
    for name, row in (("targets", paper.best_target_f1), ("pixels", paper.best_pixel_f1)):
        value = (row.target_f1 if name == "targets" else row.pixel_f1) if row else None
        where = f"best, threshold {row.threshold:.2f}" if row else ""
        table.add_row(f"paper: F1 of {name}", _percent(value), where)
    table.add_row("paper: ROC area", _plain(paper.roc_area), "up to 0.5 false targets an image")
    console.print(table)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb on its own; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m lpnet_rt.training.evaluate", description=__doc__)
    add_arguments(parser)
    try:
        return run(parser.parse_args(argv))
    except LpnetError as error:
        print(f"lpnet-rt: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
