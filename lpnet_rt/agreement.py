"""How far two sets of detections of the same frames are apart: the self-test, the parity gate and the parity benchmark.

Each detection of the reference, the strongest first, is matched with the nearest of the others that is still free.
Limits depend on the precision that the other set was computed in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "MOVE_LIMIT_PX",
    "SCORE_LIMIT",
    "Agreement",
    "Comparison",
    "Expected",
    "compare",
    "disagreement",
]

MOVE_LIMIT_PX = 0.25
SCORE_LIMIT = {"f32": 0.02, "f16": 0.05, "bf16": 0.05, "int8": 0.1}
# Two detections further apart than this are two targets, not one that moved.
_SAME_TARGET_PX = 3.0


class _Located(Protocol):
    """What is compared: places (N, 2) in pixels and scores (N,), strongest first."""

    @property
    def centroid_xy(self) -> NDArray[np.float32]: ...

    @property
    def score(self) -> NDArray[np.float32]: ...


@dataclass(frozen=True, slots=True)
class Expected:
    """Detections that are known by place and score only, as a model card lists them.

    Attributes:
        centroid_xy: (N, 2), pixels.
        score: (N,), 0..1.
    """

    centroid_xy: NDArray[np.float32]
    score: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sets of detections of one frame, matched; detections are named by their index.

    Attributes:
        expected: The reference's.
        found: The others.
        pairs: Of the reference and of the others, with the distance in pixels and the difference of the scores.
        lost: Of the reference, without a partner.
        gained: Of the others, without a partner.
    """

    expected: _Located
    found: _Located
    pairs: tuple[tuple[int, int, float, float], ...]
    lost: tuple[int, ...]
    gained: tuple[int, ...]

    def problem(self, precision: str) -> str | None:
        """What breaks a limit in the pairs, in one line, or None.

        Args:
            precision: ``f32``, ``f16``, ``bf16`` or ``int8``: how far scores may differ.
        """
        for index, _, moved_px, apart in self.pairs:
            place = _place(self.expected.centroid_xy[index])
            if moved_px > MOVE_LIMIT_PX:
                return f"the detection at {place} moved by {moved_px:.2f} px, at most {MOVE_LIMIT_PX} allowed"
            if apart > SCORE_LIMIT[precision]:
                limit = SCORE_LIMIT[precision]
                return f"the score of the detection at {place} differs by {apart:.3f}, at most {limit} allowed"
        return None

    def lone(self) -> list[tuple[float, str]]:
        """The score of each detection without a partner, and one line that says where it vanished or appeared."""
        sides = ((self.expected, self.lost, "vanished"), (self.found, self.gained, "appeared"))
        return [
            (score, f"detection at {_place(side.centroid_xy[index])} of score {score:.3f} {what}")
            for side, indices, what in sides
            for index in indices
            for score in (float(side.score[index]),)
        ]


@dataclass(slots=True)
class Agreement:
    """How far two sets of detections are apart over several frames.

    Attributes:
        frames: Compared.
        detections: Of the reference.
        moved_px: Largest distance of a detection from the reference's.
        score_apart: Largest difference of a detection's score, or of the highest score of an empty frame.
        gained: Detections that the reference has not.
        lost: Detections that only the reference has.
        near: One line for each that was gained or lost and may be, being near the threshold.
    """

    frames: int = 0
    detections: int = 0
    moved_px: float = 0.0
    score_apart: float = 0.0
    gained: int = 0
    lost: int = 0
    near: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        near = f", {self.gained} gained and {self.lost} lost at the threshold" if self.near else ""
        return (
            f"{self.detections} detections in {self.frames} frames, moved by at most {self.moved_px:.3f} px, "
            f"scores differ by at most {self.score_apart:.4f}{near}"
        )

    def add(self, comparison: Comparison) -> None:
        """Count a frame."""
        self.frames += 1
        self.detections += len(comparison.expected.score)
        self.gained += len(comparison.gained)
        self.lost += len(comparison.lost)
        for _, _, moved_px, apart in comparison.pairs:
            self.moved_px = max(self.moved_px, moved_px)
            self.score_apart = max(self.score_apart, apart)


def compare(expected: _Located, found: _Located, within_px: float = _SAME_TARGET_PX) -> Comparison:
    """Match the detections of one frame.

    Args:
        expected: The reference's, strongest first.
        found: The others.
        within_px: How far a partner may be away.
    """
    apart = expected.centroid_xy[:, None] - found.centroid_xy[None]
    distance_px = np.hypot(apart[..., 0], apart[..., 1])
    pairs, lost, free = [], [], set(range(len(found.score)))
    for index, row in enumerate(distance_px):
        nearest = int(row.argmin()) if free else -1
        if not free or row[nearest] > within_px:
            lost.append(index)
            continue
        differs = abs(float(expected.score[index]) - float(found.score[nearest]))
        pairs.append((index, nearest, float(row[nearest]), differs))
        free.remove(nearest)
        distance_px[:, nearest] = np.inf
    return Comparison(expected, found, tuple(pairs), tuple(lost), tuple(sorted(free)))


def disagreement(expected: _Located, found: _Located, precision: str) -> str | None:
    """What differs where the same detections must be found, in one line; None where they agree.

    Args:
        expected: The reference's.
        found: The others.
        precision: ``f32``, ``f16``, ``bf16`` or ``int8``: how far scores may differ.
    """
    if len(found.score) != len(expected.score):
        return f"expected {len(expected.score)} detections, found {len(found.score)}"
    return compare(expected, found, np.inf).problem(precision)


def _place(centroid_xy: NDArray[np.float32]) -> str:
    return f"({centroid_xy[0]:.1f}, {centroid_xy[1]:.1f})"
