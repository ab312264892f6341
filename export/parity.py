"""The parity gate: an exported file must find what PyTorch in fp32 finds, on real frames.

A detection may not appear, vanish or move by more than ``agreement.MOVE_LIMIT_PX``, and its score may differ by
``agreement.SCORE_LIMIT`` of the file's precision. A detection whose score lies that close to the threshold may
appear or vanish: on either side of it both answers are within the limit. In a frame in which nothing is found, the
frame's highest score may differ by as much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lpnet_rt.agreement import SCORE_LIMIT, Agreement, compare
from lpnet_rt.detections import candidate_score, detect_candidates
from lpnet_rt.engines.base import Engine
from lpnet_rt.engines.scorer import HostScorer, Scored
from lpnet_rt.errors import ModelError
from lpnet_rt.export.gate_frames import GateFrame, batches, fit
from lpnet_rt.export.shapes import Shapes
from lpnet_rt.models import ModelCard

__all__ = ["Gate", "run_gate"]


@dataclass(frozen=True, slots=True)
class Gate:
    """What a file is held to.

    Attributes:
        frames: Real frames.
        shapes: Sizes that the file takes.
        card: The file's: input rule, threshold, and the precision, which says how far scores may differ.
    """

    frames: Sequence[GateFrame]
    shapes: Shapes
    card: ModelCard


def run_gate(reference: Engine, engines: dict[str, Engine], gate: Gate) -> dict[str, Agreement]:
    """Hold every engine to what PyTorch finds.

    Args:
        reference: The network in fp32, on the processor.
        engines: The exported file in each engine that reads it, by name.
        gate: Frames and limits.

    Returns:
        How far each is from the reference.

    Raises:
        ModelError: A limit is broken; the message names engine, frame and what differs.
    """
    card, min_score = gate.card, candidate_score(gate.card.threshold)
    agreements = {name: Agreement() for name in engines}
    scorers = {name: HostScorer(engine, card) for name, engine in engines.items()}
    fitted = [fit(frame, gate.shapes) for frame in gate.frames]
    for members, images in batches(fitted, gate.shapes, card.input):
        expected = HostScorer(reference, card).score_batch(images, min_score)
        for name, scorer in scorers.items():
            for frame, want, found in zip(members, expected, scorer.score_batch(images, min_score), strict=False):
                problem = _compare(want, found, frame, card, agreements[name])
                if problem is not None:
                    raise ModelError(f"parity gate: {name} {card.built.precision}, frame {frame.name}: {problem}")
    return agreements


def _compare(expected: Scored, found: Scored, frame: GateFrame, card: ModelCard, agreement: Agreement) -> str | None:
    """Add a frame to an agreement; what breaks a limit, in one line, or None."""
    if not found.candidates.finite:
        return "expected finite scores, found NaN or infinity"
    sides = [detect_candidates(scored.candidates, frame.image, card.threshold) for scored in (expected, found)]
    comparison, limit = compare(sides[0], sides[1]), SCORE_LIMIT[card.built.precision]
    agreement.add(comparison)
    problem = comparison.problem(card.built.precision)
    for score, line in comparison.lone():
        agreement.near.append(f"frame {frame.name}: the {line}")
        if score > card.threshold + limit:
            problem = problem or f"a {line}"
    if not len(sides[0]) and not len(sides[1]):
        apart = abs(float(expected.score_map().max()) - float(found.score_map().max()))
        agreement.score_apart = max(agreement.score_apart, apart)
        if apart > limit:
            problem = f"the highest score of a frame without detections differs by {apart:.3f}, at most {limit} allowed"
    return problem
