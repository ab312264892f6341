"""Fine-tuning from one end to the other: recipe, run, judgement, model file, report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lpnet_rt.finetuning.ending import MODEL, Outcome, end_fine_tuning, judge_both
from lpnet_rt.finetuning.recipe import fine_tuning_recipe
from lpnet_rt.finetuning.report import write_card_page, write_report
from lpnet_rt.finetuning.start import read_start
from lpnet_rt.text import printable
from lpnet_rt.training.loop.loop import LAST, train
from lpnet_rt.training.states import read_state
from lpnet_rt.training.tasks.judging import Figures

__all__ = ["Request", "fine_tune"]


@dataclass(frozen=True, slots=True)
class Request:
    """What is wanted.

    Attributes:
        start: Packaged model, ONNX file or checkpoint.
        data: Folder of the data, in any layout.
        out: Folder of the run.
        recipe: Recipe whose values replace those that are chosen, or None.
        changes: ``table.key=value``, which replace both.
        licence: Of the data.
    """

    start: str
    data: Path
    out: Path
    recipe: str | None = None
    changes: list[str] | None = None
    licence: str = ""


def fine_tune(
    request: Request, epochs_now: int | None = None, device: str = "auto", is_first: bool = True
) -> Outcome | None:
    """Train, and at the end write model, card and report into the run's folder; a stopped run goes on.

    Args:
        request: What is wanted.
        epochs_now: Stop after so many epochs of this call.
        device: ``auto``, ``cpu`` or ``cuda``.
        is_first: Whether this is the process that judges and writes.

    Returns:
        What came of it; None where the run is not over, or in the other processes of a run.

    Raises:
        DataError: The data are incomplete or damaged, or hold no targets.
        ModelError: The start is missing or damaged, or the model fails the parity gate.
        SettingsError: A value of the recipe is wrong.
        SinkError: The folder cannot be written, or holds other files.
    """
    start = read_start(request.start)
    recipe = fine_tuning_recipe(start, request.data, request.recipe, request.changes or [], request.licence)
    train(recipe, request.out, epochs_now, device)
    if not is_first:
        return None
    if not read_state(request.out / LAST)["over"]:
        print(f"{request.out}: the run is not over; the same command resumes")
        return None
    outcome = judge_both(start, recipe, request.out)
    exported = end_fine_tuning(outcome, request.out)
    report = write_report(outcome, exported.card, request.out)
    page = write_card_page(outcome.after, exported.card, request.out)
    _print(outcome)
    for engine, agreement in exported.agreements.items():
        print(f"parity with PyTorch, {engine}: {agreement}")
    print(f"report: {report}; card: {page}")
    print(f"next: lpnet-rt run --model {request.out / MODEL} --source ...")
    return outcome


def _print(outcome: Outcome) -> None:
    console, start = Console(), outcome.start
    text = f"{printable(start.name)}, fine-tuned: {outcome.train}; judged on {outcome.validation}"
    console.print(text, soft_wrap=True, markup=False, highlight=False)
    table = Table("", "threshold", "targets found", "false detections", "per frame")
    table.add_row("before", *_row(outcome.before.at(start.threshold)))
    table.add_row("before, threshold chosen again", *_row(outcome.before.at(outcome.rechosen)))
    table.add_row("after", *_row(outcome.after.at(outcome.threshold)))
    console.print(table)


def _row(figures: Figures) -> tuple[str, ...]:
    found = f"{figures.found} of {figures.targets} ({100 * figures.found_share:.1f} %)"
    rate = f"{figures.false_per_frame:.3g}"
    return f"{figures.threshold:g}", found, f"{figures.false} in {figures.frames} frames", rate
