"""Plots of an evaluation as PNG: precision-recall, ROC, F1 over threshold, and a gallery of errors."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from lpnet_rt.errors import SinkError, reason
from lpnet_rt.files import write_whole
from lpnet_rt.training.evaluation.error_examples import ErrorExample
from lpnet_rt.training.evaluation.evaluator import Evaluation
from lpnet_rt.training.evaluation.operating import OperatingPoint
from lpnet_rt.view.display_stretch import display_stretch

__all__ = ["PLOT_NAMES", "new_figure", "png_of", "staircase", "write_plots"]

PLOT_NAMES = ("precision_recall.png", "roc.png", "f1.png", "gallery.png")

_TARGET_COLOUR, _PIXEL_COLOUR, _IOU_COLOUR = "#1f5fa8", "#d1661f", "#3f8f4f"
_TRUTH_COLOUR, _PREDICTION_COLOUR = "#39d353", "#ff5c5c"
_GALLERY_COLUMNS = 6
# Labels of points nearer to each other than this, in points of 1/72 inch, would cover each other.
_LABEL_WIDTH_PT, _LABEL_HEIGHT_PT = 30.0, 11.0
_MOST_DECADES = 4

_Points = Sequence[tuple[float, float, float]]


def write_plots(evaluation: Evaluation, folder: Path, *, overwrite: bool = True) -> tuple[Path, ...]:
    """Write precision_recall.png, roc.png, f1.png and gallery.png, each whole or not at all.

    Args:
        evaluation: What to draw.
        folder: Where to; made if it is not there.
        overwrite: Whether files of these names that exist are replaced.

    Returns:
        The four files.

    Raises:
        SinkError: The folder or a file cannot be written, or a file exists and may not be replaced.
    """
    drawn = (_precision_recall, _roc, _f1, _gallery)
    pictures = {name: png_of(draw(evaluation)) for name, draw in zip(PLOT_NAMES, drawn, strict=True)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"--plots {folder}: cannot make the folder: {reason(error)}; give another") from error
    for name, picture in pictures.items():
        write_whole(folder / name, picture, "--plots", overwrite=overwrite)
    return tuple(folder / name for name in pictures)


def staircase(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Return the best y that is reached at or under each x: what an operator can choose, never falling.

    Between two thresholds nothing is interpolated, for no threshold gives it.

    Args:
        points: (x, y), in any order.

    Returns:
        The x and y of the steps, x rising, to be drawn as steps that rise at their x.
    """
    xs: list[float] = []
    ys: list[float] = []
    for x, y in sorted(points, key=lambda point: (point[0], -point[1])):
        if not ys or y > ys[-1]:
            xs.append(x)
            ys.append(y)
    return xs, ys


def png_of(figure: Figure) -> bytes:
    """Return a figure as PNG."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def new_figure(width_in: float, height_in: float) -> Figure:
    """Return an empty figure of a size in inches, at 110 points an inch."""
    # A figure of its own, without pyplot: no window system is asked for and no figure stays open behind our back.
    figure = Figure(figsize=(width_in, height_in), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _numbers(values: Sequence[float | None]) -> list[float]:
    return [float("nan") if value is None else value for value in values]


def _defined(
    thresholds: Sequence[float], xs: Sequence[float | None], ys: Sequence[float | None]
) -> list[tuple[float, float, float]]:
    """(threshold, x, y) of the points where both are defined."""
    triples = zip(thresholds, xs, ys, strict=True)
    return [(threshold, x, y) for threshold, x, y in triples if x is not None and y is not None]


def _unit_axis(axes: Axes, xlabel: str, ylabel: str) -> None:
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.grid(alpha=0.3)


def _title(evaluation: Evaluation) -> str:
    field = evaluation.field
    empty = field.images_without_target
    among = f", {empty} of them target-free" if empty else ""
    return f"{Path(evaluation.judged).name}: {field.images} frames{among}, {field.targets} targets"


def _mark_thresholds(axes: Axes, points: _Points, colour: str, chosen: float, offset_pt: tuple[int, int]) -> None:
    """Draw the points, a ring around that of the chosen threshold, and write thresholds where there is room.

    A label stands away from its point by the offset, to the right and up, or to the left and down where it is negative.

    The axes have their scales and limits already: which labels would collide depends on them.
    """
    if not points:
        return
    axes.plot([x for _, x, _ in points], [y for _, _, y in points], "o", color=colour, markersize=3.5)
    ringed = min(points, key=lambda point: abs(point[0] - chosen))
    axes.plot(*ringed[1:], "o", color=colour, markersize=10, markerfacecolor="none")
    taken: list[np.ndarray] = []
    order = [ringed, points[0], points[-1], *points[1:-1]]
    axes.figure.canvas.draw()  # constrained layout decides only now how large the axes are
    for threshold, x, y in order:
        place = axes.transData.transform((x, y)) * 72 / axes.figure.dpi
        if any(abs(place - other)[0] < _LABEL_WIDTH_PT and abs(place - other)[1] < _LABEL_HEIGHT_PT for other in taken):
            continue
        taken.append(place)
        axes.annotate(
            f"{threshold:.4g}",
            (x, y),
            xytext=offset_pt,
            textcoords="offset points",
            ha="left" if offset_pt[0] > 0 else "right",
            va="bottom" if offset_pt[1] > 0 else "top",
            fontsize=7,
            color=colour,
        )


def _precision_recall(evaluation: Evaluation) -> Figure:
    figure = new_figure(6.8, 5.8)
    axes = figure.subplots()
    rows = evaluation.paper_plain.rows
    thresholds = [row.threshold for row in rows]
    curves = (
        ("targets", _TARGET_COLOUR, [r.target_recall for r in rows], [r.target_precision for r in rows]),
        ("pixels", _PIXEL_COLOUR, [r.pixel_recall for r in rows], [r.pixel_precision for r in rows]),
    )
    _unit_axis(axes, "recall", "precision")
    axes.set_xlim(-0.06, 1.06)  # room for labels
    for label, colour, _, _ in curves:
        axes.plot([], [], "o-", color=colour, markersize=3.5, label=label)
    _legend_outside(axes)
    axes.set_title(
        f"{_title(evaluation)}\nall frames; thresholds beside the points, ring: {evaluation.threshold:g}; "
        "line: best precision at a recall or more",
        fontsize=9,
    )
    for (_, colour, recall, precision), offset_pt in zip(curves, ((5, 4), (-5, -4)), strict=True):
        points = _defined(thresholds, recall, precision)
        # At or over a recall is at or under its opposite.
        xs, ys = staircase([(-x, y) for _, x, y in points])
        if xs:
            axes.step([*(-x for x in xs), 0.0], [*ys, ys[-1]], where="post", color=colour, linewidth=1.0, alpha=0.6)
        _mark_thresholds(axes, points, colour, evaluation.threshold, offset_pt)
    return figure


def _legend_outside(axes: Axes) -> None:
    """A legend outside the axes, where it covers nothing."""
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.11), ncols=3, frameon=False, fontsize=9)


def _roc(evaluation: Evaluation) -> Figure:
    figure = new_figure(11.4, 5.4)
    left, right = figure.subplots(1, 2)
    points = evaluation.curve.points
    empty = evaluation.operator.empty_frames.frames
    if not evaluation.field.targets:
        figure.suptitle(f"{_title(evaluation)}: without targets there is no Pd", fontsize=10)
        _rates_over_threshold(left, right, points)
        return figure
    figure.suptitle(
        f"{_title(evaluation)}\nthresholds beside the points, ring: {evaluation.threshold:g}; "
        "line: best Pd at a rate or less",
        fontsize=10,
    )
    rates = [p.false_per_empty_frame if empty else p.false_per_frame for p in points]
    frames = f"a target-free frame ({empty} frames)" if empty else "a frame (all frames: none is free of targets)"
    panels = (
        (left, [p.fa_per_million for p in points], "Fa, pixels of false components per million, all frames"),
        (right, rates, f"false detections per {frames}"),
    )
    for axes, values, label in panels:
        axes.set_xlabel(label)
        axes.set_ylabel("Pd (centroids closer than 3 px)")
        axes.set_ylim(-0.05, 1.02)
        axes.grid(alpha=0.3)
        _rate_axis(axes, values)
    for axes, values, _ in panels:
        _roc_panel(axes, points, values, evaluation.threshold)
    return figure


def _roc_panel(axes: Axes, points: Sequence[OperatingPoint], rates: Sequence[float | None], threshold: float) -> None:
    known = _defined([p.threshold for p in points], rates, [p.pd for p in points])
    xs, ys = staircase([(x, y) for _, x, y in known])
    if xs:
        end = max(x for _, x, _ in known)
        axes.step([*xs, end], [*ys, ys[-1]], where="post", color=_TARGET_COLOUR, linewidth=1.0, alpha=0.6)
    _mark_thresholds(axes, known, _TARGET_COLOUR, threshold, (5, -5))


def _rate_axis(axes: Axes, rates: Sequence[float | None], vertical: bool = False) -> None:
    """Scale an axis for rates, which span decades and may be zero: logarithmic, with a linear foot under the lowest."""
    known = [rate for rate in rates if rate]
    highest = max(known, default=1.0)
    lowest = max(min(known, default=1.0), highest / 10**_MOST_DECADES)
    first, last = int(np.floor(np.log10(lowest))), int(np.ceil(np.log10(highest)))
    decades = [10.0**power for power in range(first, max(last, first + 1) + 1)]
    axis = axes.yaxis if vertical else axes.xaxis
    set_scale, set_limits = (axes.set_yscale, axes.set_ylim) if vertical else (axes.set_xscale, axes.set_xlim)
    set_scale("symlog", linthresh=decades[0], linscale=0.5)
    axis.set_major_locator(FixedLocator([0.0, *decades]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.4g}"))
    # A little under zero, so that points at zero are not cut in half.
    set_limits(-0.15 * decades[0], max(highest * 2.5, decades[1]))


def _rates_over_threshold(left: Axes, right: Axes, points: Sequence[OperatingPoint]) -> None:
    """What stands in for the ROC of a set without targets, where Pd does not exist."""
    thresholds = [point.threshold for point in points]
    panels = (
        (left, "Fa, pixels of false components per million", [p.fa_per_million for p in points]),
        (right, "false detections per target-free frame", [p.false_per_empty_frame for p in points]),
    )
    for axes, label, rates in panels:
        axes.plot(thresholds, _numbers(rates), "o-", color=_TARGET_COLOUR, markersize=3.5)
        _rate_axis(axes, rates, vertical=True)
        axes.set_xlabel("threshold")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)


def _f1(evaluation: Evaluation) -> Figure:
    figure = new_figure(6.8, 5.8)
    axes = figure.subplots()
    paper = evaluation.paper_plain
    thresholds = [row.threshold for row in paper.rows]
    curves = (
        ("F1 of targets", _TARGET_COLOUR, [r.target_f1 for r in paper.rows]),
        ("F1 of pixels", _PIXEL_COLOUR, [r.pixel_f1 for r in paper.rows]),
    )
    for label, colour, values in curves:
        known = [value for value in values if value is not None]
        best = f", best {100 * max(known):.2f} %" if known else ""
        axes.plot(thresholds, _numbers(values), "o-", color=colour, markersize=3.5, label=f"{label}{best}")
        if known:
            at = values.index(max(known))
            axes.plot(thresholds[at], max(known), "o", color=colour, markersize=10, markerfacecolor="none")
    points = evaluation.curve.points
    miou = _numbers([p.miou for p in points])
    axes.plot([p.threshold for p in points], miou, "-", color=_IOU_COLOUR, label="mIoU of detections")
    axes.axvline(evaluation.threshold, color="grey", linewidth=0.8, linestyle=":")
    _unit_axis(axes, "threshold", "F1, mIoU")
    among = "all frames, those free of targets included" if evaluation.field.images_without_target else "all frames"
    axes.set_title(f"{_title(evaluation)}\n{among}; rings: best F1; dotted: {evaluation.threshold:g}", fontsize=9)
    _legend_outside(axes)
    return figure


def _gallery(evaluation: Evaluation) -> Figure:
    groups = (
        ("missed, largest first", evaluation.misses),
        ("false, strongest first, away from targets", evaluation.false_alarms),
    )
    heights = [max(1, -(-len(examples) // _GALLERY_COLUMNS)) for _, examples in groups]
    figure = new_figure(1.9 * _GALLERY_COLUMNS, 0.8 + 2.25 * sum(heights))
    rows_of_parts = figure.add_gridspec(2, 1, height_ratios=heights)
    for i, (rows, (name, examples)) in enumerate(zip(heights, groups, strict=True)):
        part = figure.add_subfigure(rows_of_parts[i])
        shown = f"{name} ({len(examples)} shown)" if examples else f"{name}: none"
        part.suptitle(f"{shown}; truth green, prediction red", fontsize=10)
        grid = part.subplots(rows, _GALLERY_COLUMNS, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        for axes, example in zip(grid.flat, examples, strict=False):
            _tile(axes, example)
    return figure


def _tile(axes: Axes, example: ErrorExample) -> None:
    picture = display_stretch(example.image).astype(np.float32)
    low, high = float(picture.min()), float(picture.max())
    # At least 32 grey levels from black to white, so that the noise of an empty sky does not look like a scene.
    axes.imshow(picture, cmap="gray", vmin=low, vmax=max(high, low + 32), interpolation="nearest")
    for mask, colour in ((example.true, _TRUTH_COLOUR), (example.predicted, _PREDICTION_COLOUR)):
        for x, y in _outline(mask):
            axes.plot(x, y, color=colour, linewidth=1.0)
    name = example.stem if len(example.stem) <= 20 else f"…{example.stem[-19:]}"
    axes.set_title(f"{name}\n({example.centre_xy[0]:.0f}, {example.centre_xy[1]:.0f}) {example.score:.2f}", fontsize=7)


def _outline(mask: np.ndarray) -> list[tuple[list[float], list[float]]]:
    """The edges between the mask and its background, as line segments in pixel coordinates."""
    padded = np.pad(mask.astype(np.int8), 1)
    segments: list[tuple[list[float], list[float]]] = []
    for y, x in zip(*np.nonzero(np.diff(padded, axis=1)), strict=True):
        segments.append(([x - 0.5, x - 0.5], [y - 1.5, y - 0.5]))
    for y, x in zip(*np.nonzero(np.diff(padded, axis=0)), strict=True):
        segments.append(([x - 1.5, x - 0.5], [y - 0.5, y - 0.5]))
    return segments
