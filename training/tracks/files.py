"""Tracks out of files: the JSON Lines of a run, or MOT."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np

from lpnet_rt.errors import DataError, reason
from lpnet_rt.formats import read_frames
from lpnet_rt.training.tracks.replay import TrackPath

__all__ = ["read_tracks"]

_Row = tuple[int, int, float, float, bool]


def read_tracks(path: Path) -> dict[str, TrackPath]:
    """Read the confirmed tracks of a file, by the name of their clip.

    Args:
        path: JSON Lines of ``lpnet-rt run --jsonl``, where the clip is the source; or MOT (``.txt``: frame from 1,
            track, x, y, width, height, ...), where it is the file's name. Every track of a MOT file is confirmed.

    Raises:
        DataError: A line of a MOT file is malformed.
        MessageError: A line is not of the wire schema.
        SettingsError: The file cannot be read.
    """
    if path.suffix.lower() == ".txt":
        rows = _read_mot(path)
        return {path.stem: _path_of(rows, max((row[0] for row in rows), default=-1) + 1)}
    by_source: dict[str, list[_Row]] = defaultdict(list)
    frames: dict[str, int] = defaultdict(int)
    for _, message in read_frames(path):
        rows = by_source[message.source]
        frames[message.source] = max(frames[message.source], message.frame + 1)
        for found in message.detections:
            if found.track is not None and found.track.state == "confirmed":
                rows.append((message.frame, found.track.id, found.cx, found.cy, False))
        rows += [(message.frame, track.id, track.x, track.y, track.state == "coasting") for track in message.tracks]
    return {name: _path_of(rows, frames[name]) for name, rows in by_source.items()}


def _read_mot(path: Path) -> list[_Row]:
    rows: list[_Row] = []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for number, line in enumerate(csv.reader(file), 1):
                x, y, width, height = (float(value) for value in line[2:6])
                # The centre of the first pixel is (0, 0), and a box of one pixel has its centre there.
                centre = x + width / 2 - 0.5, y + height / 2 - 0.5
                if not np.isfinite(centre).all() or int(line[0]) < 1:
                    raise ValueError(f"line {number}: {','.join(line)[:80]}")
                rows.append((int(line[0]) - 1, int(line[1]), *centre, False))
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path}: expected lines of frame,track,x,y,width,height: {reason(error)}") from error
    return rows


def _path_of(rows: list[_Row], frames: int) -> TrackPath:
    columns = np.array(sorted(rows), np.float64).reshape(-1, 5)
    return TrackPath(
        frame=columns[:, 0].astype(np.int64),
        track_id=columns[:, 1].astype(np.int64),
        xy=columns[:, 2:4].copy(),
        coasting=columns[:, 4].astype(np.bool_),
        frames=frames,
    )
