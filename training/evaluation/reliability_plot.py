"""The reliability diagram: how often detections are targets, by what is said of them, before and after calibration."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lpnet_rt.training.evaluation.calibration import CalibrationFit, Method, ScoredDetections, reliability

__all__ = ["reliability_png"]

_COLOUR = "tab:blue"
_FITTED: tuple[Method, ...] = ("platt", "isotonic")


def reliability_png(found: ScoredDetections, fit: CalibrationFit) -> bytes:
    """Draw both diagrams side by side, as PNG.

    Args:
        found: The detections.
        fit: Their calibration.
    """
    figure = Figure(figsize=(10.4, 5.2), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    targets = int(found.is_target.sum())
    figure.suptitle(
        f"{len(found.score):,} detections from {len(found.frames)} sessions, {targets:,} of targets", fontsize=10
    )
    left, right = figure.subplots(1, 2, sharey=True)
    # Where no fit does better, the best of them is drawn, to show why it was not taken.
    fitted = min(_FITTED, key=lambda method: fit.log_loss[method])
    taken = "" if fit.method == fitted else " (not taken)"
    panels: tuple[tuple[Axes, str, Method], ...] = (
        (left, "before: score", "identity"),
        (right, f"after: {fitted}, cross-validated{taken}", fitted),
    )
    for axes, title, name in panels:
        _panel(axes, fit.held_out[name], found.is_target)
        axes.set_title(
            f"{title}\nlog loss {fit.log_loss[name]:.3f}, calibration error {fit.ece[name]:.3f}", fontsize=10
        )
    left.set_xlabel("score")
    right.set_xlabel("probability")
    left.set_ylabel("share of targets")
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def _panel(axes: Axes, probability: NDArray[np.float64], is_target: NDArray[np.bool_]) -> None:
    """Draw the bins with their 95 % binomial intervals, and the distribution of what is said below."""
    said, true, count = reliability(probability, is_target)
    spread = 1.96 * np.sqrt(true * (1 - true) / count)
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle=":")
    axes.errorbar(said, true, yerr=spread, fmt="o-", color=_COLOUR, markersize=4, linewidth=1.0, capsize=2)
    heights, edges = np.histogram(probability, bins=20, range=(0, 1))
    axes.bar(edges[:-1], 0.15 * heights / heights.max(), width=0.05, align="edge", color=_COLOUR, alpha=0.2)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.grid(alpha=0.3)
