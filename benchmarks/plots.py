"""Results as one picture."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lpnet_rt.benchmarks.results import Results, Spread
from lpnet_rt.errors import DependencyError, SinkError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["check_plotting", "draw_results"]

_STAGES = (("prepare", "#4c78a8"), ("infer", "#f58518"), ("detect", "#54a24b"), ("encode", "#b279a2"))
_PERCENTILES = ("p50", "p95", "p99", "max")
_ROW_INCHES = 0.42
_FRAME_INCHES = 1.3


def check_plotting() -> None:
    """Say early that a picture cannot be drawn.

    Raises:
        DependencyError: Matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise DependencyError("--plot: needs matplotlib; install it: pip install matplotlib")


def draw_results(results: Results, title: str, path: Path) -> None:
    """Draw what was measured: stages, rates from file to messages, live latency.

    Args:
        results: At least one of the three.
        title: Machine and model.
        path: PNG, PDF or SVG to write.

    Raises:
        DependencyError: Matplotlib is not installed.
        SinkError: The picture cannot be written.
    """
    check_plotting()
    from matplotlib.figure import Figure

    panels: list[tuple[int, Callable[[Axes], None]]] = []
    if results.stages:
        panels.append((len(results.stages), lambda axes: _draw_stages(axes, results)))
    if results.end_to_end:
        panels.append((len(results.end_to_end), lambda axes: _draw_rates(axes, results)))
    if results.live:
        panels.append((2 * len(results.live), lambda axes: _draw_live(axes, results)))
    heights = [_FRAME_INCHES + _ROW_INCHES * rows for rows, _ in panels]
    figure = Figure(figsize=(10.0, max(sum(heights), 2.0)), layout="constrained")
    figure.suptitle(title, fontsize=10)
    if panels:
        grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)
        for axes, (_, draw) in zip(grid[:, 0], panels, strict=True):
            draw(axes)
    try:
        figure.savefig(path, dpi=120)
    except (OSError, ValueError) as error:
        raise SinkError(f"--plot {path}: cannot be written: {error}; name a .png you can write") from error


def _draw_stages(axes: Axes, results: Results) -> None:
    names = []
    for place, row in enumerate(results.stages):
        width, height = row.size_wh
        names.append(f"{row.engine}, {width}x{height}" + (f", batch {row.batch}" if row.batch > 1 else ""))
        left = 0.0
        for stage, colour in _STAGES:
            spread: Spread = getattr(row, stage)
            axes.barh(place, spread.p50_ms, left=left, color=colour, label=stage if place == 0 else None)
            left += spread.p50_ms
        axes.text(left, place, f" {left:.1f} ms, alone {row.fps:.0f} fps", va="center", fontsize=8)
    _finish(axes, names, "Stages of one frame, median ms")
    _legend(axes)


def _draw_rates(axes: Axes, results: Results) -> None:
    names = []
    for place, row in enumerate(results.end_to_end):
        names.append(f"{row.engine}, {row.name}")
        median, least, most = row.fps
        axes.barh(place, median, color="#4c78a8", xerr=[[median - least], [most - median]], capsize=3)
        axes.text(most, place, f"  {median:.0f} fps, {row.peak_mib:.0f} MiB", va="center", fontsize=8)
    _finish(axes, names, "From an H.264 file to messages at a subscriber, frames a second (median, range of the runs)")


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
    _finish(axes, names, f"At the camera's pace, ms from due time; dropped: {lost}")
    _legend(axes)


def _legend(axes: Axes) -> None:
    axes.legend(ncols=4, fontsize=8, loc="lower right", bbox_to_anchor=(1.0, 1.0), frameon=False, borderaxespad=0.0)


def _finish(axes: Axes, names: list[str], title: str) -> None:
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, axes.get_xlim()[1] * 1.25)
    axes.set_title(title, fontsize=9, loc="left")
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
