"""Compare two sets of detections of the same frames: for the self-test, the parity gate and the parity benchmark.

Each detection of the reference, strongest first, is matched with the nearest unmatched one of the other set. Limits
depend on the precision in which the other set was computed.
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
    """Columns to compare: centroids (N, 2) in pixels and scores (N,), strongest first."""

    @property
    def centroid_xy(self) -> NDArray[np.float32]: ...

    @property
    def score(self) -> NDArray[np.float32]: ...


@dataclass(frozen=True, slots=True)
class Expected:
    """Detections with only centroid and score, as in a model card.

    Attributes:
        centroid_xy: (N, 2), pixels.
        score: (N,), 0..1.
    """

    centroid_xy: NDArray[np.float32]
    score: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two matched sets of detections of one frame; detections are referred to by index.

    Attributes:
        expected: Detections of the reference.
        found: Detections of the other set.
        pairs: Index in each set, distance in pixels and difference of the scores, per pair.
        lost: Unmatched detections of the reference.
        gained: Unmatched detections of the other set.
    """

    expected: _Located
    found: _Located
    pairs: tuple[tuple[int, int, float, float], ...]
    lost: tuple[int, ...]
    gained: tuple[int, ...]

    def problem(self, precision: str) -> str | None:
        """Return the first pair over a limit, in one line, or None.

        Args:
            precision: ``f32``, ``f16``, ``bf16`` or ``int8``; sets the limit on score differences.
        """
        for index, _, moved_px, apart in self.pairs:
            centroid = _shown(self.expected.centroid_xy[index])
            if moved_px > MOVE_LIMIT_PX:
                return f"the detection at {centroid} moved by {moved_px:.2f} px, at most {MOVE_LIMIT_PX} allowed"
            if apart > SCORE_LIMIT[precision]:
                limit = SCORE_LIMIT[precision]
                return f"the score of the detection at {centroid} differs by {apart:.3f}, at most {limit} allowed"
        return None

    def lone(self) -> list[tuple[float, str]]:
        """Return each unmatched detection's score, and one line that says where it vanished or appeared."""
        sides = ((self.expected, self.lost, "vanished"), (self.found, self.gained, "appeared"))
        return [
            (score, f"detection at {_shown(side.centroid_xy[index])} of score {score:.3f} {what}")
            for side, indices, what in sides
            for index in indices
            for score in (float(side.score[index]),)
        ]


@dataclass(slots=True)
class Agreement:
    """Differences between two sets of detections over several frames.

    Attributes:
        frames: Number of frames compared.
        detections: Number of detections of the reference.
        moved_px: Largest distance between matched detections.
        score_apart: Largest difference of a detection's score, or of the highest score of an empty frame.
        gained: Number of detections that the reference lacks.
        lost: Number of detections that only the reference has.
        near: One line per gained or lost detection that is tolerated, being near the threshold.
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
        """Add a frame."""
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
        expected: Detections of the reference, strongest first.
        found: Detections of the other set.
        within_px: Maximum distance of a pair.
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
    """Return how two sets differ that must be the same, in one line; None if they agree.

    Args:
        expected: Detections of the reference.
        found: Detections of the other set.
        precision: ``f32``, ``f16``, ``bf16`` or ``int8``; sets the limit on score differences.
    """
    if len(found.score) != len(expected.score):
        return f"expected {len(expected.score)} detections, found {len(found.score)}"
    return compare(expected, found, np.inf).problem(precision)


def _shown(centroid_xy: NDArray[np.float32]) -> str:
    return f"({centroid_xy[0]:.1f}, {centroid_xy[1]:.1f})"
