"""The parity gate: an exported file must find what PyTorch in fp32 finds, on real frames.

A detection may not appear, vanish or move by more than ``selftest.MOVE_LIMIT_PX``, and its score may differ by
``selftest.SCORE_LIMIT`` of the file's precision. A detection whose score lies that close to the threshold may
appear or vanish: on either side of it both answers are within the limit. In a frame in which nothing is found, the
frame's highest score may differ by as much.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lpnet_rt.detections import Detections, detect
from lpnet_rt.errors import ModelError
from lpnet_rt.export.gate_frames import GateFrame, batches, fit
from lpnet_rt.export.shapes import Shapes
from lpnet_rt.models import InputRule
from lpnet_rt.preprocessing.frame_and_local import ModelInput
from lpnet_rt.selftest import MOVE_LIMIT_PX, SCORE_LIMIT

__all__ = ["Agreement", "Gate", "Score", "compare", "compare_maps", "run_gate"]

Score = Callable[[ModelInput], NDArray[np.float32]]

# Two detections further apart than this are two targets, not one that moved.
_SAME_TARGET_PX = 3.0


@dataclass(frozen=True, slots=True)
class Gate:
    """What a file is held to.

    Attributes:
        frames: Real frames.
        shapes: Sizes that the file takes.
        rule: How frames become input.
        threshold: The model card's.
        precision: ``f32``, ``f16``, ``bf16`` or ``int8``: which limit.
    """

    frames: Sequence[GateFrame]
    shapes: Shapes
    rule: InputRule
    threshold: float
    precision: str


@dataclass(slots=True)
class Agreement:
    """How far two sets of detections are apart.

    Attributes:
        frames: Compared.
        detections: Of the reference.
        moved_px: Largest distance of a detection from the reference's.
        score_apart: Largest difference of a detection's score, or of the highest score of an empty frame.
        gained: Detections that the reference has not, all of them near the threshold.
        lost: Detections that only the reference has, all of them near the threshold.
        near: One line for each that was gained or lost: which, in which frame, where, of what score.
        problem: What breaks a limit, in one line, or None.
    """

    frames: int = 0
    detections: int = 0
    moved_px: float = 0.0
    score_apart: float = 0.0
    gained: int = 0
    lost: int = 0
    near: list[str] = field(default_factory=list)
    problem: str | None = field(default=None)

    def __str__(self) -> str:
        near = f", {self.gained} gained and {self.lost} lost at the threshold" if self.near else ""
        return (
            f"{self.detections} detections in {self.frames} frames, moved by at most {self.moved_px:.3f} px, "
            f"scores differ by at most {self.score_apart:.4f}{near}"
        )


def run_gate(reference: nn.Module, engines: dict[str, Score], gate: Gate) -> dict[str, Agreement]:
    """Hold every engine to what PyTorch finds.

    Args:
        reference: (B, 2, H, W) to (B, 1, H, W), fp32, on the processor, in evaluation mode.
        engines: The exported file in each engine that reads it, by name.
        gate: Frames and limits.

    Returns:
        How far each is from the reference.

    Raises:
        ModelError: A limit is broken; the message names engine, frame and what differs.
    """
    agreements = {name: Agreement() for name in engines}
    fitted = [fit(frame, gate.shapes) for frame in gate.frames]
    for members, batch in batches(fitted, gate.shapes, gate.rule):
        with torch.inference_mode():
            expected = reference(torch.from_numpy(batch)).numpy()
        for name, score in engines.items():
            found = score(batch)
            if found.shape != expected.shape:
                raise ModelError(f"parity gate: {name}: expected scores of {expected.shape}, found {found.shape}")
            for index, frame in enumerate(members):
                height, width = frame.image.shape
                maps = [np.array(scores[index, 0, :height, :width], np.float32) for scores in (expected, found)]
                compare_maps(maps[0], maps[1], frame, gate, agreements[name])
                if agreements[name].problem is not None:
                    problem = agreements[name].problem
                    raise ModelError(f"parity gate: {name} {gate.precision}, frame {frame.name}: {problem}")
    return agreements


def compare_maps(
    expected: NDArray[np.float32], found: NDArray[np.float32], frame: GateFrame, gate: Gate, agreement: Agreement
) -> None:
    """Compare the score maps (H, W) of one frame, and add what is found to ``agreement``."""
    agreement.frames += 1
    if not np.isfinite(found).all():
        agreement.problem = "expected finite scores, found NaN or infinity"
        return
    sides = [detect(scores, frame.image, gate.threshold) for scores in (expected, found)]
    before = len(agreement.near)
    compare(sides[0], sides[1], gate.threshold, SCORE_LIMIT[gate.precision], agreement)
    agreement.near[before:] = [f"frame {frame.name}: {line}" for line in agreement.near[before:]]
    if agreement.problem is None and not len(sides[0]) and not len(sides[1]):
        apart = abs(float(expected.max()) - float(found.max()))
        agreement.score_apart = max(agreement.score_apart, apart)
        if apart > SCORE_LIMIT[gate.precision]:
            agreement.problem = (
                f"the highest score of a frame without detections differs by {apart:.3f}, "
                f"at most {SCORE_LIMIT[gate.precision]} allowed"
            )


def compare(
    expected: Detections, found: Detections, threshold: float, score_limit: float, agreement: Agreement
) -> None:
    """Compare the detections of one frame, and add what is found to ``agreement``.

    Args:
        expected: The reference's.
        found: The engine's.
        threshold: Both were made with.
        score_limit: How far scores may differ.
        agreement: Gets the figures, and the problem if there is one.
    """
    agreement.detections += len(expected)
    left = set(range(len(found)))
    for index, centroid in enumerate(expected.centroid_xy):
        distance_px = {other: float(np.hypot(*(found.centroid_xy[other] - centroid))) for other in left}
        nearest = min(distance_px, key=lambda other: distance_px[other], default=None)
        if nearest is None or distance_px[nearest] > _SAME_TARGET_PX:
            agreement.lost += 1
            _judge_lone(expected, index, "vanished", threshold + score_limit, agreement)
            continue
        left.remove(nearest)
        apart = abs(float(expected.score[index]) - float(found.score[nearest]))
        agreement.moved_px = max(agreement.moved_px, distance_px[nearest])
        agreement.score_apart = max(agreement.score_apart, apart)
        if distance_px[nearest] > MOVE_LIMIT_PX:
            moved = f"moved by {distance_px[nearest]:.2f} px, at most {MOVE_LIMIT_PX} allowed"
            agreement.problem = agreement.problem or f"the detection at {_place(centroid)} {moved}"
        if apart > score_limit:
            differs = f"differs by {apart:.3f}, at most {score_limit} allowed"
            agreement.problem = agreement.problem or f"the score of the detection at {_place(centroid)} {differs}"
    for other in sorted(left):
        agreement.gained += 1
        _judge_lone(found, other, "appeared", threshold + score_limit, agreement)


def _judge_lone(side: Detections, index: int, what: str, certain: float, agreement: Agreement) -> None:
    score, place = float(side.score[index]), _place(side.centroid_xy[index])
    agreement.near.append(f"the detection at {place} of score {score:.3f} {what}")
    if score > certain:
        agreement.problem = agreement.problem or f"a detection at {place} of score {score:.3f} {what}"


def _place(centroid_xy: NDArray[np.float32]) -> str:
    return f"({centroid_xy[0]:.1f}, {centroid_xy[1]:.1f})"
