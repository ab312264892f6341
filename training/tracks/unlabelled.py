"""Real targets that have no box: confident tracks that move, outside of all boxes.

What a detector is trained to call background must not hold targets that nobody drew a box around; what it already
finds with confidence is not to be taken for truth either. So these places count neither way in training.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lpnet_rt.files import write_whole
from lpnet_rt.tracking import TrackingProfile
from lpnet_rt.training.tracks.recording import Recording
from lpnet_rt.training.tracks.replay import replay_tables
from lpnet_rt.training.tracks.truth import ClipTruth, inside_boxes

__all__ = ["UnlabelledRule", "UnlabelledTrack", "find_unlabelled", "write_unlabelled"]


@dataclass(frozen=True, slots=True)
class UnlabelledRule:
    """Which tracks are taken for targets without a box.

    Attributes:
        min_hits: It was detected on at least so many frames.
        min_score: Mean of its scores, frames without a detection counted as 0.
        min_reach_px: It moved at least so far against the background.
        max_inside: At most this share of its detections lies in boxes.
    """

    min_hits: int = 10
    min_score: float = 0.4
    min_reach_px: float = 8.0
    max_inside: float = 0.1


@dataclass(frozen=True, slots=True)
class UnlabelledTrack:
    """Where such a target was.

    Attributes:
        clip: Name of the clip.
        places: Frame number, x and y in pixels, for each detection.
        mean_score: Mean score of the track when it ended.
        reach_px: How far it moved against the background.
    """

    clip: str
    places: list[tuple[int, float, float]]
    mean_score: float
    reach_px: float


def find_unlabelled(
    clips: Iterable[tuple[Recording, ClipTruth]], profile: TrackingProfile, rule: UnlabelledRule | None = None
) -> Iterator[UnlabelledTrack]:
    """Yield the tracks of targets that have no box; places that are listed already are left out.

    Args:
        clips: Recordings with their truth.
        profile: The tracker's.
        rule: Which tracks are taken.
    """
    rule = rule or UnlabelledRule()
    for recording, truth in clips:
        places: dict[int, list[tuple[int, float, float]]] = defaultdict(list)
        inside: dict[int, int] = defaultdict(int)
        last: dict[int, np.void] = {}
        for frame, table in enumerate(replay_tables(recording, profile)):
            xy = table["last_xy"]
            in_box = inside_boxes(xy, truth.boxes_at(frame)).any(axis=1) | truth.is_ignored(frame, xy)
            for row, (x, y), within in zip(table, xy, in_box, strict=True):
                number = int(row["id"])
                last[number] = row.copy()
                if row["misses"] == 0:
                    places[number].append((frame, float(x), float(y)))
                    inside[number] += bool(within)
        for number, row in last.items():
            score, reach_px = float(row["score_sum"] / row["frames"]), float(row["reach_px"])
            sure = score >= rule.min_score and reach_px >= rule.min_reach_px and row["hits"] >= rule.min_hits
            if sure and inside[number] <= rule.max_inside * len(places[number]):
                yield UnlabelledTrack(recording.name, places[number], score, reach_px)


def write_unlabelled(tracks: Iterable[UnlabelledTrack], path: Path) -> int:
    """Write ``clip,frame,x,y,why``, one line for each place, and return how many.

    Raises:
        SinkError: It cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("clip", "frame", "x", "y", "why"))
    count = 0
    for track in tracks:
        for frame, x, y in track.places:
            writer.writerow((track.clip, frame, f"{x:.1f}", f"{y:.1f}", "moving track without a box"))
            count += 1
    write_whole(path, text.getvalue().encode(), "list of places")
    return count
