"""Accuracy against cost, from figures of the accuracy benchmark.

    python -m lpnet_rt.benchmarks.accuracy --data DIR --model M --thresholds 0.5,0.6,0.7,0.8,0.9 --json m.json
    python -m lpnet_rt.benchmarks.accuracy_cost m.json other.json --plot cost.png

Cost is multiply-accumulates per pixel of a frame of 320x256. Accuracy is that of the clips held back, the whole curve
over thresholds and its best F1: labelled frames hit, against those missed and false detections.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from msgspec import Struct

from lpnet_rt.benchmarks.outputs import check_output
from lpnet_rt.benchmarks.plots import check_plotting
from lpnet_rt.console import exit_code_of
from lpnet_rt.errors import DataError, reason
from lpnet_rt.files import read_limited

__all__ = ["Point", "best_f1", "main", "read_point"]

_MAX_BYTES = 1 << 24
_ALL = "all clips"


class _Clips(Struct, frozen=True):
    hit_rate: float
    false_per_frame: float


class _Masks(Struct, frozen=True):
    miou: float | None


class _Row(Struct, frozen=True):
    threshold: float
    video: dict[str, _Clips]


class _Figures(Struct, frozen=True):
    model: str
    kmac_per_pixel: float | None
    v1_val: _Masks
    thresholds: tuple[_Row, ...]


@dataclass(frozen=True, slots=True)
class Point:
    """A model.

    Attributes:
        name: Of the model.
        kmac_per_pixel: Thousand multiply-accumulates per pixel.
        miou: On the masks of SIRST v1's validation part, 0..1.
        curve: False detections per labelled frame and share of labelled frames hit, for each threshold.
        f1: The best over the thresholds.
    """

    name: str
    kmac_per_pixel: float
    miou: float
    curve: tuple[tuple[float, float], ...]
    f1: float


def read_point(path: Path) -> Point:
    """Read what ``accuracy --json`` wrote.

    Raises:
        DataError: The file is missing, of another kind, or its model's cost could not be counted.
    """
    try:
        figures = msgspec.json.decode(read_limited(path, _MAX_BYTES, "figures", DataError), type=_Figures)
    except msgspec.MsgspecError as error:
        raise DataError(f"{path}: expected the figures of the accuracy benchmark: {reason(error)}") from error
    if figures.kmac_per_pixel is None:
        raise DataError(f"{path}: expected the model's cost, found none; measure it with --engine torch")
    clips = [row.video[_ALL] for row in figures.thresholds if _ALL in row.video]
    if not clips:
        raise DataError(f"{path}: expected figures of clips, found none")
    curve = sorted((one.false_per_frame, one.hit_rate) for one in clips)
    return Point(figures.model, figures.kmac_per_pixel, figures.v1_val.miou or 0.0, tuple(curve), best_f1(curve))


def best_f1(curve: Sequence[tuple[float, float]]) -> float:
    """Highest harmonic mean of recall and precision on a curve of (false per labelled frame, share hit)."""
    return max(2 * hit / (1 + hit + false) for false, hit in curve)


def main(argv: list[str] | None = None) -> int:
    """Print the table and draw the plot."""
    parser = argparse.ArgumentParser(prog="python -m lpnet_rt.benchmarks.accuracy_cost", description=__doc__)
    parser.add_argument("figures", nargs="+", metavar="JSON", help="figures of one model each")
    parser.add_argument("--names", metavar="N,N", help="names in the plot, one for each file")
    parser.add_argument("--plot", metavar="PNG", help="draw the plot")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that exists")
    args = parser.parse_args(argv)
    return exit_code_of(lambda: _run(args))


def _run(args: argparse.Namespace) -> int:
    if args.plot:
        check_plotting()
        check_output(Path(args.plot), "--plot", args.overwrite)
    points = [read_point(Path(path)) for path in args.figures]
    names = args.names.split(",") if args.names else [point.name for point in points]
    if len(names) != len(points):
        raise DataError(f"--names: expected {len(points)}, one for each file, found {len(names)}")
    for name, point in zip(names, points, strict=True):
        print(
            f"{name}: {point.kmac_per_pixel:.1f} kMAC per pixel, best F1 on clips {100 * point.f1:.1f}, "
            f"mIoU {100 * point.miou:.1f}"
        )
    if args.plot:
        _draw(names, points, Path(args.plot))
    return 0


def _draw(names: Sequence[str], points: Sequence[Point], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 4.2), layout="constrained")
    cost, curves = figure.subplots(1, 2)
    for number, (name, point) in enumerate(zip(names, points, strict=True)):
        label = f"{name}, {point.kmac_per_pixel:.3g} kMAC/px"
        # A logarithmic axis has no place for none at all.
        drawn = [(false, 100 * hit) for false, hit in point.curve if false > 0]
        (line,) = (
            curves.plot(*zip(*drawn, strict=True), "o-", label=label) if drawn else curves.plot([], [], label=label)
        )
        place = (point.kmac_per_pixel, 100 * point.f1)
        cost.plot(*place, "o", color=line.get_color(), markersize=9)
        above = (0, 9) if number % 2 else (0, -18)
        cost.annotate(f"{name} {place[1]:.1f}", place, xytext=above, textcoords="offset points", ha="center")
    cost.set(xscale="log", xlabel="thousand multiply-accumulates per pixel", ylabel="best F1 on clips held back, %")
    cost.margins(0.18)
    curves.set(xscale="log", xlabel="false detections per labelled frame", ylabel="labelled frames hit, %")
    curves.legend(loc="lower left", fontsize=8)
    for axes in (cost, curves):
        axes.grid(alpha=0.3, which="both")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    sys.exit(main())
