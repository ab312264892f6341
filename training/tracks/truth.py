"""Truth of a clip: its boxes as targets with numbers, and the places that count neither way."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from lpnet_rt.training.data.clips import read_clip_labels
from lpnet_rt.training.data.frames import Boxes
from lpnet_rt.training.evaluation.components import IGNORED_RADIUS_PX

__all__ = ["BOX_MARGIN_PX", "ClipTruth", "inside_boxes", "load_truth"]

BOX_MARGIN_PX = 4.0
_LINK_GAP_FRAMES = 15
_NOWHERE: Boxes = np.zeros((0, 4))
_NO_POINTS = np.zeros((0, 2))


@dataclass(frozen=True, slots=True, eq=False)
class ClipTruth:
    """Truth of one clip.

    Attributes:
        boxes: By frame number: (N, 4) x, y, width, height, px, top-left corner first.
        target_ids: By frame number: (N,) the number of each box's target in this clip.
        ignored: By frame number: (M, 2) places near which nothing counts.
    """

    boxes: dict[int, Boxes]
    target_ids: dict[int, NDArray[np.int64]]
    ignored: dict[int, NDArray[np.float64]]

    def boxes_at(self, frame: int) -> Boxes:
        """(N, 4); empty where the frame has none."""
        return self.boxes.get(frame, _NOWHERE)

    def centres_at(self, frame: int) -> NDArray[np.float64]:
        """(N, 2) centres of the boxes, px; the centre of the first pixel is (0, 0)."""
        boxes = self.boxes_at(frame)
        return boxes[:, :2] + boxes[:, 2:] / 2 - 0.5

    def is_ignored(self, frame: int, xy: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(N,) whether each point lies within 10 px of a place that counts neither way."""
        places = self.ignored.get(frame, _NO_POINTS)
        gap = xy[:, None] - places[None]
        distance_px = np.hypot(gap[..., 0], gap[..., 1])
        return np.asarray((distance_px <= IGNORED_RADIUS_PX).any(axis=1))

    def settled_frames(self, skip: int = 10) -> list[int]:
        """Labelled frames, without the first ``skip`` of each run of consecutive ones."""
        kept, run = [], 0
        for frame in sorted(self.boxes):
            run = run + 1 if frame - 1 in self.boxes else 1
            if run > skip:
                kept.append(frame)
        return kept


def inside_boxes(xy: NDArray[np.float64], boxes: Boxes, margin_px: float = BOX_MARGIN_PX) -> NDArray[np.bool_]:
    """(P, N) whether each point lies in each box grown by a margin, borders included."""
    low, high = boxes[:, :2] - margin_px, boxes[:, :2] + boxes[:, 2:] + margin_px
    inside = (xy[:, None] >= low[None]) & (xy[:, None] <= high[None])
    return np.asarray(inside.all(axis=-1))


def load_truth(root: Path, clip: str) -> ClipTruth:
    """Read one clip's truth.

    Args:
        root: Folder with ``boxes/*.csv``, and perhaps ``unlabelled.csv``.
        clip: Name.

    Raises:
        DataError: A file is missing or malformed.
    """
    labels = read_clip_labels(root, clip)
    return ClipTruth(labels.boxes_xywh, _numbered(labels.boxes_xywh), labels.ignored_xy)


def _numbered(boxes: dict[int, Boxes]) -> dict[int, NDArray[np.int64]]:
    """Number the targets: boxes are one target's when they follow each other within half a second and their size."""
    numbers: dict[int, NDArray[np.int64]] = {}
    live: dict[int, tuple[int, NDArray[np.float64]]] = {}  # number: last frame and box
    count = 0
    for frame in sorted(boxes):
        now = boxes[frame]
        live = {number: seen for number, seen in live.items() if frame - seen[0] <= _LINK_GAP_FRAMES}
        ids = np.zeros(len(now), np.int64)
        if live:
            known = list(live)
            before = np.array([live[number][1] for number in known])
            gap = np.abs((now[:, None, :2] + now[:, None, 2:] / 2) - (before[None, :, :2] + before[None, :, 2:] / 2))
            # Boxes are drawn by hand and frames are left out: a target may be its own size, and 20 px, away.
            near = (gap <= (now[:, None, 2:] + before[None, :, 2:]) / 2 + 20.0).all(axis=-1)
            cost = np.where(near, gap.sum(axis=-1), 1e6)
            for row, column in zip(*linear_sum_assignment(cost), strict=True):
                if near[row, column]:
                    ids[row] = known[column]
        for row in np.flatnonzero(ids == 0):
            count += 1
            ids[row] = count
        for number, box in zip(ids, now, strict=True):
            live[int(number)] = (frame, box)
        numbers[frame] = ids
    return numbers
