"""A tracker's tables, frame by frame, with the truth beside them: what the evidence model is fitted to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lpnet_rt.tracking import TrackingProfile
from lpnet_rt.tracking.evidence import FEATURES, features
from lpnet_rt.training.tracks.recording import Recording
from lpnet_rt.training.tracks.replay import replay_tables
from lpnet_rt.training.tracks.truth import ClipTruth, inside_boxes

__all__ = ["IGNORED", "TrackSamples", "collect_samples"]

IGNORED = -1
_TRUE_SHARE = 0.5
_SURE_SCORE = 0.4
_SURE_REACH_PX = 8.0
_ROW = np.dtype(
    [
        ("clip", np.int32),
        ("frame", np.int32),
        ("id", np.int64),
        ("hit", np.bool_),
        ("hits", np.int32),
        ("inside", np.bool_),
        ("labelled", np.bool_),
        ("settled", np.bool_),
        ("ignored", np.bool_),
        ("mean_score", np.float64),
        ("reach_px", np.float64),
    ]
)


@dataclass(frozen=True, slots=True, eq=False)
class TrackSamples:
    """One row for each track and frame, track by track, each in order of time.

    Attributes:
        columns: (R, F) of :data:`lpnet_rt.tracking.evidence.FEATURES`.
        rows: (R,) clip, frame, whether the track was detected, where it was.
        track: (R,) which track, from 0.
        target: (T,) for each track: 1 a target's, 0 not, ``IGNORED`` not known.
        clips: Names.
        settled_frames: Labelled frames that coverage counts.
        minutes: Length of all clips.
    """

    columns: NDArray[np.float64]
    rows: NDArray[np.void]
    track: NDArray[np.intp]
    target: NDArray[np.int64]
    clips: tuple[str, ...]
    settled_frames: int
    minutes: float

    def usable(self, min_hits: int) -> NDArray[np.bool_]:
        """(R,) the rows on which a track could be confirmed and of which the truth is known."""
        known = (self.target[self.track] != IGNORED) & ~self.rows["ignored"]
        return np.asarray(known & self.rows["hit"] & (self.rows["hits"] >= min_hits))


def collect_samples(
    clips: Iterable[tuple[Recording, ClipTruth]], profile: TrackingProfile, frame_rate: float = 30.0
) -> TrackSamples:
    """Track every clip and note every track's features on every frame.

    A track is a target's when at least half of its detections on labelled frames lie in a box. Boxes of these clips are
    not complete: a track that is not in a box but moves and scores well is left out, as is every track of a clip
    without any box.

    Args:
        clips: Recordings with their truth.
        profile: Its evidence only decides how long a track coasts.
        frame_rate: Frames a second.
    """
    columns, parts, names = [], [], []
    settled_frames = frames = 0
    for clip, (recording, truth) in enumerate(clips):
        settled = set(truth.settled_frames())
        for frame, table in enumerate(replay_tables(recording, profile)):
            part = np.zeros(len(table), _ROW)
            boxes = truth.boxes_at(frame)
            part["clip"], part["frame"], part["id"] = clip, frame, table["id"]
            part["hit"], part["hits"] = table["misses"] == 0, table["hits"]
            part["inside"] = inside_boxes(table["xy"], boxes).any(axis=1)
            part["labelled"], part["settled"] = len(boxes) > 0, frame in settled
            part["ignored"] = truth.is_ignored(frame, table["xy"])
            part["mean_score"], part["reach_px"] = table["score_sum"] / table["frames"], table["reach_px"]
            parts.append(part)
            columns.append(features(table))
        names.append(recording.name)
        frames += len(recording)
        settled_frames += sum(frame < len(recording) for frame in settled)
    rows = np.concatenate([np.zeros(0, _ROW), *parts])
    order = np.lexsort((rows["frame"], rows["id"], rows["clip"]))
    rows = rows[order]
    fresh = (np.diff(rows["clip"], prepend=-1) != 0) | (np.diff(rows["id"], prepend=-1) != 0)
    track = np.cumsum(fresh) - 1
    return TrackSamples(
        columns=np.concatenate([np.zeros((0, len(FEATURES))), *columns])[order],
        rows=rows,
        track=track,
        target=_targets(rows, track),
        clips=tuple(names),
        settled_frames=settled_frames,
        minutes=frames / frame_rate / 60.0,
    )


def _targets(rows: NDArray[np.void], track: NDArray[np.intp]) -> NDArray[np.int64]:
    """(T,) what each track is."""
    count = int(track.max(initial=-1)) + 1

    def share(part: NDArray[np.bool_], whole: NDArray[np.bool_]) -> NDArray[np.float64]:
        total = np.bincount(track, weights=whole, minlength=count)
        return np.bincount(track, weights=part & whole, minlength=count) / np.maximum(total, 1.0)

    judged = rows["hit"] & ~rows["ignored"] & rows["labelled"]
    target = (share(rows["inside"], judged) >= _TRUE_SHARE).astype(np.int64)
    last = np.flatnonzero(np.diff(track, append=count))
    labelled_clips = np.unique(rows["clip"][rows["labelled"]])
    moving = (rows["mean_score"][last] > _SURE_SCORE) & (rows["reach_px"][last] > _SURE_REACH_PX)
    doubtful = (target == 0) & (moving | ~np.isin(rows["clip"][last], labelled_clips))
    target[doubtful | (share(rows["ignored"], rows["hit"]) >= _TRUE_SHARE)] = IGNORED
    return target
