"""Plots of an evaluation as PNG: precision-recall, ROC, F1 over threshold, and a gallery of errors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lpnet_rt.errors import SinkError
from lpnet_rt.frames import display_stretch
from lpnet_rt.training.cases import Case
from lpnet_rt.training.evaluation import Evaluation
from lpnet_rt.training.operating import OperatingPoint

__all__ = ["write_plots"]

_TARGET_COLOUR, _PIXEL_COLOUR, _IOU_COLOUR = "#1f5fa8", "#d1661f", "#3f8f4f"
_TRUTH_COLOUR, _PREDICTION_COLOUR = "#39d353", "#ff5c5c"
_GALLERY_COLUMNS = 6


def write_plots(evaluation: Evaluation, folder: Path) -> tuple[Path, ...]:
    """Write precision_recall.png, roc.png, f1.png and gallery.png.

    Args:
        evaluation: What to draw.
        folder: Where to; made if it is not there.

    Returns:
        The four files.

    Raises:
        SinkError: The folder or a file cannot be written.
    """
    figures = {
        "precision_recall.png": _precision_recall(evaluation),
        "roc.png": _roc(evaluation),
        "f1.png": _f1(evaluation),
        "gallery.png": _gallery(evaluation),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, figure in figures.items():
            figure.savefig(folder / name)
    except OSError as error:
        raise SinkError(f"{folder}: cannot write the plots: {error.strerror}") from error
    return tuple(folder / name for name in figures)


def _new_figure(width_in: float, height_in: float) -> Figure:
    # A figure of its own, without pyplot: no window system is asked for and no figure stays open behind our back.
    figure = Figure(figsize=(width_in, height_in), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _numbers(values: Sequence[float | None]) -> list[float]:
    return [float("nan") if value is None else value for value in values]


def _unit_axis(axes: Axes, xlabel: str, ylabel: str) -> None:
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.grid(alpha=0.3)


def _title(evaluation: Evaluation) -> str:
    field = evaluation.field
    return f"{Path(evaluation.judged).name}: {field.images} frames, {field.targets} targets"


def _precision_recall(evaluation: Evaluation) -> Figure:
    figure = _new_figure(6.4, 5.2)
    axes = figure.subplots()
    rows = evaluation.paper_plain.rows
    curves = (
        ("targets", _TARGET_COLOUR, [r.target_recall for r in rows], [r.target_precision for r in rows]),
        ("pixels", _PIXEL_COLOUR, [r.pixel_recall for r in rows], [r.pixel_precision for r in rows]),
    )
    for label, colour, recall, precision in curves:
        x, y = _numbers(recall), _numbers(precision)
        axes.plot(x, y, "o-", color=colour, markersize=4, label=label)
        middle = min(range(len(rows)), key=lambda i: abs(rows[i].threshold - evaluation.threshold))
        axes.plot(x[middle], y[middle], "o", color=colour, markersize=10, markerfacecolor="none")
    _unit_axis(axes, "recall", "precision")
    axes.set_title(f"{_title(evaluation)}\nthresholds 0.05 to 1.00, ring: {evaluation.threshold:g}", fontsize=10)
    axes.legend(loc="lower left")
    return figure


def _roc(evaluation: Evaluation) -> Figure:
    figure = _new_figure(10.4, 4.8)
    left, right = figure.subplots(1, 2)
    points = evaluation.curve.points
    if not evaluation.field.targets:
        _rates_over_threshold(left, right, points)
        figure.suptitle(_title(evaluation), fontsize=10)
        return figure
    _roc_panel(left, points, [p.fa_per_million for p in points], evaluation.threshold)
    left.set_xlabel("Fa, pixels of false components per million")
    if evaluation.operator.empty_frames.frames:
        _roc_panel(right, points, [p.false_per_empty_frame for p in points], evaluation.threshold)
        right.set_xlabel(f"false detections a target-free frame ({evaluation.operator.empty_frames.frames} frames)")
    else:
        _roc_panel(right, points, [p.false_per_frame for p in points], evaluation.threshold)
        right.set_xlabel("false detections a frame (all frames: none is free of targets)")
    figure.suptitle(f"{_title(evaluation)}, ring: threshold {evaluation.threshold:g}", fontsize=10)
    return figure


def _roc_panel(axes: Axes, points: Sequence[OperatingPoint], rates: Sequence[float | None], threshold: float) -> None:
    x, y = _numbers(rates), _numbers([point.pd for point in points])
    axes.plot(x, y, "o-", color=_TARGET_COLOUR, markersize=4)
    middle = min(range(len(points)), key=lambda i: abs(points[i].threshold - threshold))
    axes.plot(x[middle], y[middle], "o", color=_TARGET_COLOUR, markersize=10, markerfacecolor="none")
    known = [rate for rate in rates if rate]
    # Rates span decades and may be zero: logarithmic, with a linear foot below the smallest one.
    axes.set_xscale("symlog", linthresh=min(known, default=1.0))
    axes.set_xlim(left=0.0, right=max(known, default=1.0) * 1.3)
    axes.set_ylim(-0.02, 1.02)
    axes.set_ylabel("Pd (centroids closer than 3 px)")
    axes.grid(alpha=0.3)


def _rates_over_threshold(left: Axes, right: Axes, points: Sequence[OperatingPoint]) -> None:
    """What stands in for the ROC of a set without targets, where Pd does not exist."""
    thresholds = [point.threshold for point in points]
    panels = (
        (left, "Fa, pixels of false components per million", [p.fa_per_million for p in points]),
        (right, "false detections a target-free frame", [p.false_per_empty_frame for p in points]),
    )
    for axes, label, rates in panels:
        axes.plot(thresholds, _numbers(rates), "o-", color=_TARGET_COLOUR, markersize=4)
        axes.set_yscale("symlog", linthresh=min((rate for rate in rates if rate), default=1.0))
        axes.set_ylim(bottom=0.0)
        axes.set_xlabel("threshold")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)


def _f1(evaluation: Evaluation) -> Figure:
    figure = _new_figure(6.4, 5.2)
    axes = figure.subplots()
    rows = evaluation.paper_plain.rows
    thresholds = [row.threshold for row in rows]
    axes.plot(thresholds, _numbers([r.target_f1 for r in rows]), "o-", color=_TARGET_COLOUR, label="F1 of targets")
    axes.plot(thresholds, _numbers([r.pixel_f1 for r in rows]), "o-", color=_PIXEL_COLOUR, label="F1 of pixels")
    points = evaluation.curve.points
    axes.plot([p.threshold for p in points], _numbers([p.miou for p in points]), "-", color=_IOU_COLOUR, label="mIoU")
    axes.axvline(evaluation.threshold, color="grey", linewidth=0.8, linestyle=":")
    _unit_axis(axes, "threshold", "F1, mIoU")
    axes.set_title(_title(evaluation), fontsize=10)
    axes.legend(loc="lower left")
    return figure


def _gallery(evaluation: Evaluation) -> Figure:
    groups = (("missed, largest first", evaluation.misses), ("false, strongest first", evaluation.false_alarms))
    heights = [max(1, -(-len(cases) // _GALLERY_COLUMNS)) for _, cases in groups]
    figure = _new_figure(1.9 * _GALLERY_COLUMNS, 0.8 + 2.25 * sum(heights))
    rows_of_parts = figure.add_gridspec(2, 1, height_ratios=heights)
    for i, (rows, (name, cases)) in enumerate(zip(heights, groups, strict=True)):
        part = figure.add_subfigure(rows_of_parts[i])
        shown = f"{name} ({len(cases)} shown)" if cases else f"{name}: none"
        part.suptitle(f"{shown}; truth green, prediction red", fontsize=10)
        grid = part.subplots(rows, _GALLERY_COLUMNS, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        for axes, case in zip(grid.flat, cases, strict=False):
            _tile(axes, case)
    return figure


def _tile(axes: Axes, case: Case) -> None:
    picture = display_stretch(case.image).astype(np.float32)
    low, high = float(picture.min()), float(picture.max())
    # At least 32 grey levels from black to white, so that the noise of an empty sky does not look like a scene.
    axes.imshow(picture, cmap="gray", vmin=low, vmax=max(high, low + 32), interpolation="nearest")
    for mask, colour in ((case.true, _TRUTH_COLOUR), (case.predicted, _PREDICTION_COLOUR)):
        for x, y in _outline(mask):
            axes.plot(x, y, color=colour, linewidth=1.0)
    name = case.stem if len(case.stem) <= 20 else f"…{case.stem[-19:]}"
    axes.set_title(f"{name}\n({case.centre_xy[0]:.0f}, {case.centre_xy[1]:.0f}) {case.score:.2f}", fontsize=7)


def _outline(mask: np.ndarray) -> list[tuple[list[float], list[float]]]:
    """The edges between the mask and its background, as line segments in pixel coordinates."""
    padded = np.pad(mask.astype(np.int8), 1)
    segments: list[tuple[list[float], list[float]]] = []
    for y, x in zip(*np.nonzero(np.diff(padded, axis=1)), strict=True):
        segments.append(([x - 0.5, x - 0.5], [y - 1.5, y - 0.5]))
    for y, x in zip(*np.nonzero(np.diff(padded, axis=0)), strict=True):
        segments.append(([x - 1.5, x - 0.5], [y - 0.5, y - 0.5]))
    return segments
