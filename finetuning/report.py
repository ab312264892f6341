"""The report of a fine-tuning: one HTML file with its pictures in it, which loads nothing from elsewhere."""

from __future__ import annotations

import base64
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from lpnet_rt import __version__
from lpnet_rt.files import write_whole
from lpnet_rt.finetuning.ending import MODEL, Outcome
from lpnet_rt.finetuning.pictures import Mistake, draw, png_of_picture, rows, worst_false_detections, worst_misses
from lpnet_rt.models import ModelCard
from lpnet_rt.models.markdown import Picture, card_page
from lpnet_rt.training.evaluation.plots import new_figure, png_of
from lpnet_rt.training.loop.loop import LOG
from lpnet_rt.training.tasks.judging import RATES, THRESHOLDS, Judgement

__all__ = ["CARD_PAGE", "FAILURES_TEXT", "REPORT", "failures", "write_card_page", "write_report"]

REPORT = "report.html"
CARD_PAGE = "README.md"
FAILURES = "failures.png"
FAILURES_TEXT = (
    "The worst misses, then the worst false detections: targets in green, false detections in red, scores beside"
)

_SHOWN_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
_BEFORE_COLOUR, _AFTER_COLOUR = "#8a8f98", "#1f5fa8"


@dataclass(frozen=True, slots=True)
class _Tile:
    """A mistake with a picture of what each model found."""

    name: str
    place: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class _Gallery:
    title: str
    empty: str
    tiles: list[_Tile]


def write_report(outcome: Outcome, card: ModelCard, folder: Path) -> Path:
    """Write ``report.html`` into the run's folder.

    Args:
        outcome: What was judged.
        card: Of the model file that was written.
        folder: Of the run, with its log.

    Returns:
        The file.

    Raises:
        SinkError: It cannot be written.
    """
    environment = Environment(
        loader=PackageLoader("lpnet_rt.finetuning", "."), autoescape=True, undefined=StrictUndefined
    )
    rows = _log(folder / LOG)
    start, threshold = outcome.start, outcome.threshold
    page = environment.get_template("report_page.html").render(
        card=card,
        start=start,
        outcome=outcome,
        version=__version__,
        model=folder / MODEL,
        before=outcome.before.at(start.threshold),
        rechosen=outcome.before.at(outcome.rechosen),
        after=outcome.after.at(threshold),
        operating=[outcome.after.at(value) for value in sorted({*_SHOWN_THRESHOLDS, threshold})],
        quiet=[(rate, outcome.after.quiet(rate)) for rate in RATES],
        min_rate=3.0 / max(len(outcome.after.findings), 1),
        best=max(rows, key=lambda row: float(row["fitness"] or "-inf"))["epoch"] if rows else "-",
        epochs=rows[-1]["epoch"] if rows else "-",
        seconds=sum(float(row["seconds"]) for row in rows),
        curves=_uri(_curves(rows)),
        trade=_uri(_trade(outcome)),
        galleries=_galleries(outcome),
    )
    write_whole(folder / REPORT, page.encode("utf-8"), "report")
    return folder / REPORT


def write_card_page(judgement: Judgement, card: ModelCard, folder: Path) -> Path:
    """Write the model's card as Markdown, ``README.md``, with a picture of its worst mistakes beside it.

    Args:
        judgement: What the model finds in the validation part.
        card: Its card.
        folder: Where to.

    Returns:
        The Markdown file.

    Raises:
        SinkError: The folder cannot be written.
    """
    drawn = failures(judgement, card.threshold)
    if drawn is not None:
        write_whole(folder / FAILURES, png_of_picture(drawn), "card")
    pictures = () if drawn is None else (Picture(FAILURES, FAILURES_TEXT),)
    write_whole(folder / CARD_PAGE, card_page(card, MODEL, pictures).encode("utf-8"), "card")
    return folder / CARD_PAGE


def failures(judgement: Judgement, threshold: float, limit: int = 5) -> NDArray[np.uint8] | None:
    """Draw the worst misses in a row, and the worst false detections in the next; None where there are none."""
    return rows(
        *(
            [draw(mistake, judgement.findings[mistake.frame], threshold) for mistake in worst]
            for worst in (
                worst_misses(judgement, threshold, limit),
                worst_false_detections(judgement, threshold, limit),
            )
        )
    )


def _log(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _curves(rows: Sequence[dict[str, str]]) -> bytes:
    """Loss, and what the best model is chosen by, over the epochs."""
    figure = new_figure(9.0, 3.0)
    for axes, column, name in zip(figure.subplots(1, 2), ("loss", "fitness"), ("loss", "fitness"), strict=True):
        points = [(int(row["epoch"]), float(row[column])) for row in rows if row.get(column)]
        axes.plot([x for x, _ in points], [y for _, y in points], "o-", color=_AFTER_COLOUR, markersize=3.5)
        axes.set_xlabel("epoch; 0 is the start" if column == "fitness" else "epoch")
        axes.set_ylabel(name)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    return png_of(figure)


def _trade(outcome: Outcome) -> bytes:
    """Targets found over false detections, before and after, with the thresholds that are set."""
    figure = new_figure(6.0, 4.0)
    axes = figure.subplots()
    sides = (
        ("before", outcome.before, outcome.start.threshold, _BEFORE_COLOUR),
        ("after", outcome.after, outcome.threshold, _AFTER_COLOUR),
    )
    for name, judgement, chosen, colour in sides:
        points = [judgement.at(threshold) for threshold in THRESHOLDS]
        shares = [100 * point.found_share for point in points]
        axes.plot([p.false_per_frame for p in points], shares, ".-", color=colour, label=name, linewidth=1)
        point = judgement.at(chosen)
        place = (point.false_per_frame, 100 * point.found_share)
        axes.plot(*place, "o", color=colour, markersize=10, markerfacecolor="none")
        axes.annotate(f"{chosen:g}", place, xytext=(8, -10), textcoords="offset points", color=colour)
    axes.set_xscale("symlog", linthresh=0.01)
    axes.set_xlim(left=-0.001)
    axes.set_xlabel("false detections per frame")
    axes.set_ylabel("targets found, %")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", frameon=False)
    return png_of(figure)


def _galleries(outcome: Outcome) -> list[_Gallery]:
    before, after = outcome.before, outcome.after
    old, new = outcome.start.threshold, outcome.threshold
    kinds = (
        ("Worst misses before", "No target was missed.", worst_misses(before, old)),
        ("Worst misses after", "No target is missed.", worst_misses(after, new)),
        ("Worst false detections before", "There was none.", worst_false_detections(before, old)),
        ("Worst false detections after", "There is none.", worst_false_detections(after, new)),
    )
    return [_Gallery(title, empty, [_tile(outcome, mistake) for mistake in found]) for title, empty, found in kinds]


def _tile(outcome: Outcome, mistake: Mistake) -> _Tile:
    x, y = mistake.centre_xy
    before = draw(mistake, outcome.before.findings[mistake.frame], outcome.start.threshold)
    after = draw(mistake, outcome.after.findings[mistake.frame], outcome.threshold)
    place = f"({x:.0f}, {y:.0f}), score {mistake.score:.2f}"
    return _Tile(mistake.name, place, _uri(png_of_picture(before)), _uri(png_of_picture(after)))


def _uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()
