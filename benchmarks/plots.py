"""Results as one picture."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lpnet_rt.benchmarks.results import Results, Spread
from lpnet_rt.errors import DependencyError, SinkError, reason
from lpnet_rt.files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["check_plotting", "draw_results"]

_STAGES = (("prepare", "#4c78a8"), ("infer", "#f58518"), ("detect", "#54a24b"), ("encode", "#b279a2"))
_PERCENTILES = ("p50", "p95", "p99", "max")
_ROW_INCHES = 0.42
_STAGES_ROW_INCHES = 0.7
_FRAME_INCHES = 1.3


def check_plotting() -> None:
    """Say early that a picture cannot be drawn.

    Raises:
        DependencyError: Matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise DependencyError("--plot: needs matplotlib; install it: pip install matplotlib")


def draw_results(results: Results, title: str, path: Path, *, overwrite: bool = True) -> None:
    """Draw what was measured: stages, rates from file to messages, live latency.

    Args:
        results: At least one of the three.
        title: Machine and model.
        path: PNG, PDF or SVG to write, whole or not at all.
        overwrite: Whether a file that exists is replaced.

    Raises:
        DependencyError: Matplotlib is not installed.
        SinkError: The picture cannot be written, or exists and may not be replaced.
    """
    check_plotting()
    from matplotlib.figure import Figure

    panels: list[tuple[float, Callable[[Axes], None]]] = []
    if results.stages:
        panels.append((_STAGES_ROW_INCHES * len(results.stages), lambda axes: _draw_stages(axes, results)))
    if results.end_to_end:
        panels.append((_ROW_INCHES * len(results.end_to_end), lambda axes: _draw_rates(axes, results)))
    if results.live:
        panels.append((_ROW_INCHES * 2 * len(results.live), lambda axes: _draw_live(axes, results)))
    heights = [_FRAME_INCHES + inches for inches, _ in panels]
    figure = Figure(figsize=(10.0, max(sum(heights), 2.0)), layout="constrained")
    figure.suptitle(title, fontsize=10)
    if panels:
        grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)
        for axes, (_, draw) in zip(grid[:, 0], panels, strict=True):
            draw(axes)
    picture = io.BytesIO()
    try:
        figure.savefig(picture, format=path.suffix.lstrip(".").lower() or "png", dpi=120)
    except ValueError as error:
        raise SinkError(f"--plot {path}: cannot be written: {reason(error)}; name a .png you can write") from error
    write_whole(path, picture.getvalue(), "--plot", overwrite=overwrite)


def _draw_stages(axes: Axes, results: Results) -> None:
    """A bar for each stage, not one for all: beside inference, the others could not be seen."""
    names = []
    height = 0.8 / len(_STAGES)
    for place, row in enumerate(results.stages):
        width, rows = row.size_wh
        batch = f", batch {row.batch}" if row.batch > 1 else ""
        names.append(f"{row.engine}, {width}x{rows}{batch}\n{row.fps:.0f} frames/s in one thread")
        for number, (stage, colour) in enumerate(_STAGES):
            spread: Spread = getattr(row, stage)
            at = place + (number - (len(_STAGES) - 1) / 2) * height
            axes.barh(at, spread.p50_ms, height=0.9 * height, color=colour, label=stage if place == 0 else None)
            axes.text(spread.p50_ms, at, f" {spread.p50_ms:.3g}", va="center", fontsize=7)
    _finish(axes, names, "Stages of one frame, median", "ms per frame, logarithmic")
    _log_axis(axes, [getattr(row, stage).p50_ms for row in results.stages for stage, _ in _STAGES])
    _legend(axes)


def _draw_rates(axes: Axes, results: Results) -> None:
    names = []
    for place, row in enumerate(results.end_to_end):
        names.append(f"{row.engine}, {row.name}")
        median, least, most = row.fps
        axes.barh(place, median, color="#4c78a8", xerr=[[median - least], [most - median]], capsize=3)
        axes.text(most, place, f"  {median:.0f} fps, {row.peak_mib:.0f} MiB", va="center", fontsize=8)
    title = "From an H.264 file to messages at a subscriber, median and range of the runs"
    _finish(axes, names, title, "frames per second")


def _draw_live(axes: Axes, results: Results) -> None:
    names = []
    for number, row in enumerate(results.live):
        for offset, (kind, spread) in enumerate(
            (("latency", row.latency), ("without inference", row.beside_inference))
        ):
            place = 2 * number + offset
            names.append(f"{row.name}, {kind}")
            values = (spread.p50_ms, spread.p95_ms, spread.p99_ms, spread.max_ms)
            axes.plot((values[0], values[-1]), (place, place), color="#bbbbbb", zorder=1)
            for percentile, value, (_, colour) in zip(_PERCENTILES, values, _STAGES, strict=True):
                label = percentile if place == 0 else None
                axes.scatter(value, place, color=colour, s=36, zorder=2, label=label)
    lost = ", ".join(f"{row.dropped} of {row.due}" for row in results.live)
    _finish(axes, names, f"At the camera's pace, from a frame's due time; dropped: {lost}", "ms, logarithmic")
    spreads = [spread for row in results.live for spread in (row.latency, row.beside_inference)]
    _log_axis(axes, [value for spread in spreads for value in (spread.p50_ms, spread.max_ms)])
    _legend(axes)


def _legend(axes: Axes) -> None:
    axes.legend(ncols=4, fontsize=8, loc="lower right", bbox_to_anchor=(1.0, 1.0), frameon=False, borderaxespad=0.0)


def _log_axis(axes: Axes, values_ms: Sequence[float]) -> None:
    """Scale a time axis so that what takes a hundredth of the rest can be seen, with plain numbers at its ticks."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    known = [value for value in values_ms if value > 0]
    axes.set_xscale("log")
    axes.set_xlim(min(known, default=0.1) / 2, max(known, default=1.0) * 2)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.4g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="x", labelsize=8)


def _finish(axes: Axes, names: list[str], title: str, xlabel: str) -> None:
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, axes.get_xlim()[1] * 1.25)
    axes.set_title(title, fontsize=9, loc="left")
    axes.set_xlabel(xlabel, fontsize=8)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
