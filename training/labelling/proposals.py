"""What a detector and its tracks say of a recording, and which frames a person should look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lpnet_rt.detections import Detections, candidate_score, joined
from lpnet_rt.detector import Detector
from lpnet_rt.errors import SourceError, TruncatedError
from lpnet_rt.frames import Frame
from lpnet_rt.reports import Report
from lpnet_rt.settings import SourceSettings
from lpnet_rt.sources import open_source
from lpnet_rt.tracking import WEAK_SCORE, Tracker, packaged_profile

__all__ = ["Proposal", "ProposedFrame", "choose_frames", "propose", "read_frames"]

_UNCERTAIN_MARGIN = 0.15
_GAP_UNCERTAINTY = 0.5
_OUTLINE_SCALE = 3


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """One proposed object.

    Attributes:
        box_xyxy: First column and row of its body, and one past the last.
        score: Of its detection.
        track_id: Number of its track, or None without tracks.
        outline_xy: (N, 2) corners of a polygon around the pixels of its body; the corner of the first pixel is (0, 0).
    """

    box_xyxy: tuple[int, int, int, int]
    score: float
    track_id: int | None
    outline_xy: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ProposedFrame:
    """What is proposed for one frame.

    Attributes:
        index: Number of the frame in its source.
        proposals: Objects.
        uncertainty: 0 where every score is clear, 1 where one lies on the threshold.
    """

    index: int
    proposals: tuple[Proposal, ...]
    uncertainty: float


def read_frames(settings: SourceSettings, notes: list[str]) -> Iterator[Frame]:
    """Yield the frames of a file or a folder that are not damaged; a source that breaks off is noted.

    Raises:
        SourceError: It cannot be read, is a camera or a stream, or changes its size.
    """
    with closing(open_source(settings)) as source:
        if source.live:
            raise SourceError(f"{settings.spec}: expected a video or images, found a live source; record it first")
        size_hw: tuple[int, int] | None = None
        try:
            for frame in source:
                if frame.damage is not None:
                    continue
                size_hw = size_hw or frame.size_hw
                if frame.file is None and frame.size_hw != size_hw:
                    raise SourceError(
                        f"{settings.spec}: expected one picture size, found a change in frame {frame.index}"
                    )
                yield frame
        except TruncatedError as error:
            if str(error) not in notes:
                notes.append(str(error))


def propose(detector: Detector, frames: Iterator[Frame], rate_hz: float | None) -> list[ProposedFrame]:
    """Run a detector and its tracker over a source.

    Every detection of a track that is ever confirmed is proposed, from the track's first one on, weak ones included.
    Single images have no tracks: their detections over the threshold are proposed.

    Args:
        detector: Any; its weak threshold is set.
        frames: Of one source, in order.
        rate_hz: Frames per second of images that are a sequence; None: images have nothing to do with each other.
    """
    detector.weak_threshold = min(WEAK_SCORE, detector.threshold)
    tracker = Tracker(packaged_profile())
    confirmed: set[int] = set()
    seen: list[tuple[int, list[tuple[Proposal, int]], float]] = []
    last_s: float | None = None
    for frame in frames:
        report = detector.report(frame)
        found = joined(report.detections, report.weak)
        track_ids = np.zeros(len(found), np.int64)
        time_s = _time_s(frame, rate_hz)
        if time_s is not None:
            if last_s is not None and time_s <= last_s:
                tracker.reset()
            update = tracker.update(frame.image, found, time_s)
            confirmed.update(event.track_id for event in update.events if event.kind == "confirmed")
            track_ids, last_s = update.detection_track_id, time_s
        objects = _proposals(report, found, track_ids, candidate_score(detector.weak_threshold))
        kept = [(each, int(number)) for each, number in zip(objects, track_ids, strict=True)]
        seen.append((frame.index, kept, _uncertainty(found, detector.threshold)))
    return _settled(seen, confirmed, detector.threshold)


def _settled(
    seen: Sequence[tuple[int, list[tuple[Proposal, int]], float]], confirmed: set[int], threshold: float
) -> list[ProposedFrame]:
    """Keep what tracks confirm; a frame in which a confirmed track was not seen is uncertain, too."""
    spans: dict[int, tuple[int, int]] = {}
    for place, (_, objects, _) in enumerate(seen):
        for _, number in objects:
            if number in confirmed:
                spans[number] = (spans.get(number, (place, place))[0], place)
    settled = []
    for place, (index, objects, uncertainty) in enumerate(seen):
        kept = tuple(
            one
            for one, number in objects
            if number in confirmed or (not number and one.track_id is None and one.score >= threshold)
        )
        here = {one.track_id for one in kept}
        missed = any(first < place < last and number not in here for number, (first, last) in spans.items())
        settled.append(ProposedFrame(index, kept, max(uncertainty, _GAP_UNCERTAINTY * missed)))
    return settled


def choose_frames(frames: Sequence[ProposedFrame], every: int) -> list[ProposedFrame]:
    """Every n-th frame, and between two of them the most uncertain one, if any is.

    Args:
        frames: All frames of a source, in order.
        every: n.
    """
    chosen = []
    for start in range(0, len(frames), every):
        block = frames[start : start + every]
        chosen.append(block[0])
        others = [frame for frame in block[1:] if frame.uncertainty > 0]
        if others:
            chosen.append(max(others, key=lambda frame: frame.uncertainty))
    return chosen


def _time_s(frame: Frame, rate_hz: float | None) -> float | None:
    """Time of a frame that follows on others; None for a single image."""
    if frame.file is not None:
        return None if rate_hz is None else frame.index / rate_hz
    return frame.index / (rate_hz or 30.0) if frame.pts_s is None else frame.pts_s


def _uncertainty(found: Detections, threshold: float) -> float:
    """How near the score that is nearest to the threshold lies: 1 on it, 0 from a margin on."""
    gaps = np.abs(found.score - threshold)
    return float(np.clip(1.0 - gaps / _UNCERTAIN_MARGIN, 0.0, 1.0).max(initial=0.0))


def _proposals(report: Report, found: Detections, track_ids: NDArray[np.int64], level: float) -> list[Proposal]:
    return [
        Proposal(
            box_xyxy=(int(box[0]), int(box[1]), int(box[2]), int(box[3])),
            score=float(score),
            track_id=int(number) or None,
            outline_xy=_outline(report.score_map, box, min(level, float(score))),
        )
        for box, score, number in zip(found.box_xyxy, found.score, track_ids, strict=True)
    ]


def _outline(score_map: NDArray[np.float32], box_xyxy: NDArray[np.int32], level: float) -> NDArray[np.float64]:
    """A polygon that holds the centres of a body's pixels, and of no others: a sixth of a pixel inside their edges."""
    x1, y1, x2, y2 = (int(value) for value in box_xyxy)
    body = (score_map[y1:y2, x1:x2] >= np.float32(level)).astype(np.uint8)
    large = np.kron(body, np.ones((_OUTLINE_SCALE, _OUTLINE_SCALE), np.uint8))
    contours, _ = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    corners = np.asarray(max(contours, key=len), np.float64).reshape(-1, 2)
    if len(corners) == 4:  # a fifth corner, so that an import does not take it for a box
        corners = np.vstack((corners, (corners[0] + corners[-1]) / 2))
    return np.asarray((corners + 0.5) / _OUTLINE_SCALE + (x1, y1))
