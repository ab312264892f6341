"""Confirmed tracks against truth: coverage, false tracks, changes of identity, time to confirm.

Defined in docs/metrics.md, section 'Tracks'.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from lpnet_rt.training.evaluation.field_metrics import ratio
from lpnet_rt.training.tracks.replay import TrackPath
from lpnet_rt.training.tracks.truth import ClipTruth, inside_boxes

__all__ = ["ClipJudgement", "TrackMeasures", "judge_clip", "summarise"]

_TRUE_SHARE = 0.5
_IGNORED_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class ClipJudgement:
    """Counts of one clip; the measures are sums of these.

    Attributes:
        settled_frames: Labelled frames, the first ten of each run left out.
        covered_frames: Those with a confirmed track in a box.
        false_tracks: Numbers of the confirmed tracks that are false.
        true_tracks: Numbers of those that are true.
        identity_switches: How often a target's track became another.
        frames_to_confirm: For each target ever covered: frames from its first box to the first confirmed track.
        frames: Frames of the clip.
    """

    settled_frames: int
    covered_frames: int
    false_tracks: tuple[int, ...]
    true_tracks: tuple[int, ...]
    identity_switches: int
    frames_to_confirm: tuple[int, ...]
    frames: int


def judge_clip(path: TrackPath, truth: ClipTruth) -> ClipJudgement:
    """Count one clip.

    Args:
        path: Its confirmed tracks.
        truth: Its boxes.
    """
    settled = set(truth.settled_frames())
    covered = 0
    holder: dict[int, int] = {}
    first_box: dict[int, int] = {}
    to_confirm: dict[int, int] = {}
    switches = 0
    for frame in sorted(truth.boxes):
        if frame >= path.frames:
            break
        part = path.at(frame)
        inside = inside_boxes(path.xy[part], truth.boxes_at(frame))
        covered += frame in settled and bool(inside.any())
        for column, target in enumerate(truth.target_ids[frame]):
            first_box.setdefault(int(target), frame)
            ids = path.track_id[part][inside[:, column]]
            if not len(ids):
                continue
            to_confirm.setdefault(int(target), frame - first_box[int(target)])
            before = holder.get(int(target))
            if before is not None and before not in ids:
                switches += 1
            if before not in ids:
                gap = path.xy[part][inside[:, column]] - truth.centres_at(frame)[column]
                holder[int(target)] = int(ids[np.hypot(gap[:, 0], gap[:, 1]).argmin()])
    true, false = _sorted_out(path, truth)
    settled_count = sum(frame < path.frames for frame in settled)
    return ClipJudgement(settled_count, covered, false, true, switches, tuple(to_confirm.values()), path.frames)


def _sorted_out(path: TrackPath, truth: ClipTruth) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Numbers of the tracks that are true and of those that are false; some are neither."""
    true: list[int] = []
    false: list[int] = []
    detected = ~path.coasting
    labelled, inside = np.zeros(len(path.frame), np.bool_), np.zeros(len(path.frame), np.bool_)
    ignored = np.zeros(len(path.frame), np.bool_)
    for frame in np.unique(path.frame):
        part = path.at(int(frame))
        boxes = truth.boxes_at(int(frame))
        labelled[part] = len(boxes) > 0
        inside[part] = inside_boxes(path.xy[part], boxes).any(axis=1)
        ignored[part] = truth.is_ignored(int(frame), path.xy[part])
    for track in np.unique(path.track_id):
        mine = (path.track_id == track) & detected
        if not mine.any() or ignored[mine].mean() >= _IGNORED_SHARE:
            continue
        mine &= ~ignored
        # Boxes end while targets are still there: frames without any box speak only where there are no others.
        if (mine & labelled).any():
            mine &= labelled
        (true if inside[mine].mean() >= _TRUE_SHARE else false).append(int(track))
    return tuple(true), tuple(false)


@dataclass(frozen=True, slots=True)
class TrackMeasures:
    """Measures over a set of clips; see docs/metrics.md.

    Attributes:
        clips: Clips judged.
        minutes: Their length at the given frame rate.
        coverage: Covered / settled labelled frames.
        false_tracks: False confirmed tracks.
        false_per_minute: False confirmed tracks a minute.
        false_per_hour: And an hour.
        switches_per_clip: Changes of identity / clips.
        median_frames_to_confirm: Over the targets that were ever covered.
        targets_confirmed: How many those are.
    """

    clips: int
    minutes: float
    coverage: float | None
    false_tracks: int
    false_per_minute: float | None
    false_per_hour: float | None
    switches_per_clip: float | None
    median_frames_to_confirm: float | None
    targets_confirmed: int


def summarise(judgements: Iterable[ClipJudgement], frame_rate: float = 30.0) -> TrackMeasures:
    """Add clips up.

    Args:
        judgements: One a clip.
        frame_rate: Frames a second.
    """
    clips = list(judgements)
    minutes = sum(clip.frames for clip in clips) / frame_rate / 60.0
    false = sum(len(clip.false_tracks) for clip in clips)
    per_minute = ratio(false, minutes)
    waits = [wait for clip in clips for wait in clip.frames_to_confirm]
    return TrackMeasures(
        clips=len(clips),
        minutes=minutes,
        coverage=ratio(sum(c.covered_frames for c in clips), sum(c.settled_frames for c in clips)),
        false_tracks=false,
        false_per_minute=per_minute,
        false_per_hour=None if per_minute is None else 60.0 * per_minute,
        switches_per_clip=ratio(sum(c.identity_switches for c in clips), len(clips)),
        median_frames_to_confirm=float(np.median(waits)) if waits else None,
        targets_confirmed=len(waits),
    )
