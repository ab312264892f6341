"""HOTA on points: Luiten et al., 'HOTA: A Higher Order Metric for Evaluating Multi-object Tracking', IJCV 2021."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from lpnet_rt.training.evaluation.field_metrics import ratio
from lpnet_rt.training.tracks.replay import TrackPath
from lpnet_rt.training.tracks.truth import ClipTruth

__all__ = ["ClipHota", "Hota", "clip_hota", "combine_hota"]

_LEVEL = 0.5
_EPSILON = 1e-9


@dataclass(frozen=True, slots=True)
class ClipHota:
    """Sums of one clip.

    Attributes:
        matched: Pairs of a target and a track, over all frames.
        missed: Targets without a track, over all frames.
        false: Tracks without a target, over all frames.
        association: Sum over the pairs of their association score.
    """

    matched: int
    missed: int
    false: int
    association: float


@dataclass(frozen=True, slots=True)
class Hota:
    """HOTA at one distance, and its two factors.

    Attributes:
        hota: Geometric mean of the other two.
        detection: DetA = matched / (matched + missed + false).
        association: AssA, the mean over matched pairs of the Jaccard index of their two histories.
    """

    hota: float | None
    detection: float | None
    association: float | None


def clip_hota(path: TrackPath, truth: ClipTruth, limit_px: float) -> ClipHota:
    """Count one clip: a target's centre and a track can be partners up to ``limit_px`` apart.

    As published, at one level: similarity is 1 - distance / (2 limit), not under 0, and the level one half. Places of
    tracks that count neither way are left out.

    Args:
        path: Confirmed tracks.
        truth: Boxes; their centres are the true places.
        limit_px: Largest distance.
    """
    frames = [_frame(path, truth, frame, limit_px) for frame in range(path.frames)]
    targets = 1 + max((int(ids.max(initial=0)) for ids, _, _ in frames), default=0)
    track_numbers = np.unique(path.track_id)
    index = dict(zip(track_numbers.tolist(), range(len(track_numbers)), strict=True))
    shared = np.zeros((targets, len(index)))
    target_count, track_count = np.zeros((targets, 1)), np.zeros((1, len(index)))
    numbered = [(ids, np.array([index[i] for i in tracks.tolist()], np.intp), sim) for ids, tracks, sim in frames]
    for ids, tracks, similarity in numbered:
        union = similarity.sum(axis=0)[None] + similarity.sum(axis=1)[:, None] - similarity
        shared[np.ix_(ids, tracks)] += similarity / np.maximum(union, _EPSILON) * (union > _EPSILON)
        target_count[ids] += 1
        track_count[:, tracks] += 1
    alignment = shared / np.maximum(target_count + track_count - shared, 1.0)
    pairs = np.zeros_like(shared)
    matched = missed = false = 0
    for ids, tracks, similarity in numbered:
        row, column = linear_sum_assignment(-alignment[np.ix_(ids, tracks)] * similarity)
        good = similarity[row, column] >= _LEVEL - _EPSILON
        pairs[ids[row[good]], tracks[column[good]]] += 1
        hits = int(good.sum())
        matched, missed, false = matched + hits, missed + len(ids) - hits, false + len(tracks) - hits
    jaccard = pairs / np.maximum(target_count + track_count - pairs, 1.0)
    return ClipHota(matched, missed, false, float((pairs * jaccard).sum()))


def combine_hota(clips: Iterable[ClipHota]) -> Hota:
    """HOTA over clips: counts are added up, so that each matched pair weighs the same."""
    parts = list(clips)
    matched = sum(part.matched for part in parts)
    detection = ratio(matched, matched + sum(part.missed + part.false for part in parts))
    association = ratio(sum(part.association for part in parts), matched)
    both = None if detection is None or association is None else float(np.sqrt(detection * association))
    return Hota(both, detection, association)


def _frame(
    path: TrackPath, truth: ClipTruth, frame: int, limit_px: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Numbers of the targets, numbers of the tracks, and their (targets, tracks) similarity."""
    part = path.at(frame)
    counts = ~truth.is_ignored(frame, path.xy[part])
    xy, ids = path.xy[part][counts], path.track_id[part][counts]
    centres = truth.centres_at(frame)
    gap = centres[:, None] - xy[None]
    similarity = np.maximum(0.0, 1.0 - np.hypot(gap[..., 0], gap[..., 1]) / (2.0 * limit_px))
    return truth.target_ids.get(frame, np.zeros(0, np.int64)), ids, similarity
