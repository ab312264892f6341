"""The end of a fine-tuning: judged before and after, a threshold, a model file that passed the gate, its card."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lpnet_rt.export.build import Exported, ExportRequest, export_model
from lpnet_rt.export.cards import CardFacts
from lpnet_rt.export.gate_frames import GateFrame
from lpnet_rt.export.shapes import any_size
from lpnet_rt.finetuning.start import Start, network_of
from lpnet_rt.models import ModelCard
from lpnet_rt.networks.lpnet_rt.card import input_rule
from lpnet_rt.selftest import self_test_frame
from lpnet_rt.training.data.frames import LabelledFrame
from lpnet_rt.training.data.roles import spread_over, training_frames
from lpnet_rt.training.loop.loop import BEST, load_checkpoint
from lpnet_rt.training.recipes.lpnet_rt import Recipe
from lpnet_rt.training.tasks.judging import Figures, Judgement, choose_threshold, judge
from lpnet_rt.training.tasks.validate import ValidationSet, scorer

__all__ = ["MODEL", "Contents", "Outcome", "end_fine_tuning", "judge_both"]

MODEL = "model.onnx"

_GATE_FRAMES = 8


@dataclass(frozen=True, slots=True)
class Contents:
    """What a set of frames holds.

    Attributes:
        masked: Images with targets and masks.
        empty: Images or frames without a target.
        video: Frames of clips with boxes.
        recordings: Clips.
    """

    masked: int
    empty: int
    video: int
    recordings: int

    @classmethod
    def of(cls, frames: Iterable[LabelledFrame]) -> Contents:
        """Count frames, each of which is read and forgotten."""
        roles = {"targets": 0, "target-free": 0, "video": 0}
        clips = set()
        for frame in frames:
            roles[frame.role] += 1
            clips.add(frame.clip)
        return cls(roles["targets"], roles["target-free"], roles["video"], len(clips - {None}))

    def __str__(self) -> str:
        clips = f"{self.video} frames " + (f"of {self.recordings} clips " if self.recordings else "") + "with boxes"
        kinds = ((self.masked, f"{self.masked} images with targets"), (self.video, clips))
        parts = [text for number, text in (*kinds, (self.empty, f"{self.empty} target-free frames")) if number]
        return ", ".join(parts) or "nothing"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a fine-tuning has come to.

    Attributes:
        start: What it started from.
        recipe: Of the run.
        train: What was trained on.
        validation: What the checkpoint and the threshold were chosen by.
        before: What the start finds in the validation part.
        after: What the new model finds there.
        threshold: Chosen for the new model.
        rechosen: What would be chosen for the start by the same rule.
    """

    start: Start
    recipe: Recipe
    train: Contents
    validation: Contents
    before: Judgement
    after: Judgement
    threshold: float
    rechosen: float


def judge_both(start: Start, recipe: Recipe, folder: Path) -> Outcome:
    """Judge the start and the best checkpoint of a run on the run's validation part, in f32.

    Raises:
        DataError: A file of the data is missing or damaged.
        ModelError: The start or the checkpoint is missing or damaged.
    """
    data = ValidationSet.load(recipe)
    frames = (*data.masked, *data.empty, *data.video)
    before = judge(scorer(network_of(start), "f32"), frames, "before")
    after = judge(scorer(load_checkpoint(folder / BEST), "f32"), frames, "after")
    return Outcome(
        start=start,
        recipe=recipe,
        train=Contents.of(training_frames(recipe.data)),
        validation=Contents.of(frames),
        before=before,
        after=after,
        threshold=choose_threshold(after),
        rechosen=choose_threshold(before),
    )


def end_fine_tuning(outcome: Outcome, folder: Path) -> Exported:
    """Write the model file with its card, which say what was measured, once it has passed the parity gate.

    Raises:
        ModelError: The file fails the gate.
        SinkError: The folder cannot be written.
    """
    network = load_checkpoint(folder / BEST)
    frames = [GateFrame("self-test", self_test_frame()), *_gate_frames(outcome.after)]
    request = ExportRequest("onnx", "f32", any_size(input_rule(network)), frames, overwrite=True)
    return export_model(network, folder / MODEL, _facts(outcome, folder), request)


def _gate_frames(judgement: Judgement) -> list[GateFrame]:
    frames: Sequence[LabelledFrame] = [found.frame for found in judgement.findings]
    return [GateFrame(frame.name, frame.image) for frame in spread_over(frames, _GATE_FRAMES)]


def _facts(outcome: Outcome, folder: Path) -> CardFacts:
    start, data = outcome.start, Path(outcome.recipe.data.root).name
    base = start.card or None
    chosen = f"{data}, validation part: {outcome.validation}; checkpoint and threshold were chosen on these"
    return CardFacts(
        name=folder.resolve().name,
        threshold=outcome.threshold,
        trained_on=[
            *(f"Before fine-tuning: {line}" for line in (base.trained_on if base else ())),
            f"Fine-tuned on {data}: {outcome.train}",
            f"Not trained on: {chosen}",
        ],
        measured=_measured(outcome, data),
        licences=[*(base.licences if base else ()), *(f"{data}: {text}" for text in _licences(outcome.recipe))],
        notes=base.notes if base else "",
        limits=[
            *(base.limits if base else ()),
            "Figures on other scenes and cameras than those of its data are unknown.",
        ],
        base=_described(start, base),
    )


def _licences(recipe: Recipe) -> list[str]:
    stated = list(dict.fromkeys(part.licence for part in recipe.data.train if part.licence))
    return stated or ["no licence is stated"]


def _described(start: Start, base: ModelCard | None) -> str:
    digest = f"weights {base.weights_sha256[:12]}" if base else f"file {start.sha256[:12]}"
    return f"{start.name} ({digest})"


def _measured(outcome: Outcome, data: str) -> dict[str, float]:
    measured: dict[str, float] = {}
    sides = (
        ("before", outcome.before, outcome.before.at(outcome.start.threshold)),
        ("after", outcome.after, outcome.after.at(outcome.threshold)),
    )
    for when, judgement, figures in sides:
        measured |= {f"{data}, validation part, {when}: {name}": value for name, value in _values(judgement, figures)}
    return measured


def _values(judgement: Judgement, figures: Figures) -> list[tuple[str, float]]:
    """Figures by name, without those that there is nothing to measure on."""
    masks = judgement.masks
    empty = figures.empty_false / figures.empty_frames if figures.empty_frames else None
    values = (
        ("targets found, %", 100 * figures.found_share),
        ("false detections a frame", figures.false_per_frame),
        ("false detections a target-free frame", empty),
        ("mIoU, %", None if masks.miou is None else 100 * masks.miou),
        ("nIoU, %", None if masks.niou is None else 100 * masks.niou),
        ("threshold", figures.threshold),
    )
    return [(name, round(value, 4)) for name, value in values if value is not None]
