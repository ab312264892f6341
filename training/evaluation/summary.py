"""The main figures of an evaluation as a table, with what they are worth."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from lpnet_rt.text import printable
from lpnet_rt.training.evaluation.evaluator import Evaluation, RatePoint
from lpnet_rt.training.evaluation.paper_metrics import PaperMetrics

__all__ = ["print_summary"]

_SECONDS_PER_HOUR = 3600.0


def print_summary(evaluation: Evaluation, console: Console) -> None:
    """Print the main figures as a table."""
    field = evaluation.field
    counts = f"{_count(field.images, 'frame')}, {_count(field.targets, 'target')}"
    empty = f" ({_count(field.images_without_target, 'target-free frame')})" if field.images_without_target else ""
    console.print(f"{printable(evaluation.judged)}: {counts}{empty}", soft_wrap=True, markup=False, highlight=False)
    table = Table()
    table.add_column("measure")
    table.add_column("value", justify="right")
    table.add_column("at")
    at = f"threshold {evaluation.threshold:g}"
    table.add_row("mIoU", _percent(field.miou), at)
    table.add_row("nIoU", _percent(field.niou), at)
    table.add_row("Pd", _percent(field.pd), at if field.targets else "not defined: no frame has a target")
    table.add_row("Fa, pixels per million", _number(field.fa_per_million), at)
    _add_operator(table, evaluation, at)
    mixed = field.images_without_target > 0
    _add_paper(table, evaluation.paper_plain, "paper", ", all frames" if mixed else "")
    left_out = ", target-free left out" if mixed else ""
    _add_paper(table, evaluation.paper_published, "as published", left_out)
    console.print(table)


def _add_operator(table: Table, evaluation: Evaluation, at: str) -> None:
    operator = evaluation.operator
    empty = operator.empty_frames
    if not empty.frames:
        table.add_row("false detections per frame", "-", "not defined: no frame is free of targets")
        return
    bound = empty.false_per_frame_bound or 0.0
    where = f"{at}, {_count(empty.frames, 'target-free frame')}; under {_number(bound)} (95 %)"
    table.add_row("false detections per frame", _number(empty.false_per_frame), where)
    hourly = bound * operator.rate_hz * _SECONDS_PER_HOUR
    where = f"{operator.rate_hz:g} frames/s; under {_number(hourly)} (95 %)"
    table.add_row("false detections per hour", _number(operator.false_per_hour), where)
    for point in operator.pd_at_rate:
        name = f"Pd at {point.false_per_empty_frame:g} false per frame"
        table.add_row(name, _percent(point.best.pd if point.best else None), _where(evaluation, point))


def _where(evaluation: Evaluation, point: RatePoint) -> str:
    """At which threshold the Pd for a rate was found, or why there is none, or why it proves nothing."""
    if not evaluation.field.targets:
        return "not defined: no frame has a target"
    if point.best is None:
        return "no threshold is quiet enough"
    at = f"threshold {point.best.threshold:g}"
    if point.shown:
        return at
    frames = _count(evaluation.operator.empty_frames.frames, "target-free frame")
    min_rate = _number(evaluation.operator.least_rate_shown)
    return f"{at}; {frames} cannot show a rate under {min_rate}, even with none false"


def _add_paper(table: Table, paper: PaperMetrics, name: str, frames: str) -> None:
    for kind, row in (("targets", paper.best_target_f1), ("pixels", paper.best_pixel_f1)):
        value = (row.target_f1 if kind == "targets" else row.pixel_f1) if row else None
        table.add_row(
            f"{name}: F1 of {kind}", _percent(value), f"best, threshold {row.threshold:.2f}{frames}" if row else ""
        )
    table.add_row(f"{name}: ROC area", _number(paper.roc_area), f"0 to 0.5 false per image{frames}")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
