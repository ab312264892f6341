"""Alarms on a recording without targets: how often, at which threshold, and where.

Every detection there is a false one. Detections at one place in consecutive seconds are one alarm: a lamp that is
detected in thirty frames is one event, not thirty, when it comes to how much a recording shows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

from lpnet_rt.detections import joined
from lpnet_rt.models.false_alarms import just_above
from lpnet_rt.reports import Report
from lpnet_rt.settings.zones import ZoneSettings
from lpnet_rt.zones import Zones

__all__ = [
    "FLOOR",
    "RULE_OF_THREE",
    "AlarmLog",
    "Alarms",
    "Finding",
    "RateInterval",
    "alarm_zones",
    "find_threshold",
    "lowest_threshold",
    "poisson_interval",
]

FLOOR = 0.3
"""Lowest threshold that is proposed, however quiet a recording is."""

RULE_OF_THREE = 3.0
"""So many events must be expected at a rate, or not even a silent recording shows it with a confidence of 95 %."""

_S_PER_HOUR = 3600.0
Unit = Literal["h", "frame"]

_LINK_PX, _LINK_S = 10.0, 2.0
_CONFIDENCE = 0.95
_MIN_ALARMS = 5
# Clusters of alarms that are worth a zone.
_CLUSTER_RADIUS_PX = 8
_MIN_CLUSTER, _MIN_SHARE = 5, 0.05
_MAX_ZONES, _MAX_ZONE_SHARE = 8, 0.05
_MARGIN_PX = 4
_MEAN_FRAMES = 200


@dataclass(frozen=True, slots=True)
class RateInterval:
    """A rate of events, with a 95 % confidence interval.

    Attributes:
        events: How many there were.
        rate: Per unit.
        low: Lower end of the interval; 0 without events.
        high: Upper end; without events, one-sided.
        unit: ``h`` or ``frame``.
    """

    events: int
    rate: float
    low: float
    high: float
    unit: Unit

    def __str__(self) -> str:
        if not self.events:
            return f"none, so under {_short(self.high)}/{self.unit} (95 %)"
        rate, low, high = (_short(value) for value in (self.rate, self.low, self.high))
        return f"{self.events}, {rate}/{self.unit} (95 %: {low} to {high})"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def poisson_interval(events: int, exposure: float, unit: Unit = "h", weight: float = 1.0) -> RateInterval:
    """Return the exact Poisson interval of a rate (Garwood 1936).

    Args:
        events: Independent events.
        exposure: Hours, or frames.
        unit: Of the exposure.
        weight: Counts per event; the interval is scaled by it.
    """
    tail = (1 - _CONFIDENCE) / 2
    if events == 0:
        return RateInterval(0, 0.0, 0.0, float(gammaincinv(1, _CONFIDENCE)) / exposure, unit)
    low, high = gammaincinv(events, tail), gammaincinv(events + 1, 1 - tail)
    scale = weight / exposure
    return RateInterval(round(events * weight), events * scale, float(low) * scale, float(high) * scale, unit)


@dataclass(frozen=True, slots=True, eq=False)
class Alarms:
    """Detections of a recording, in order of time.

    Attributes:
        score: (N,) float64.
        xy: (N, 2) float64, centroids, pixels of the frame.
        box_xyxy: (N, 4) int32, pixel indices; x2 and y2 are exclusive.
        t_s: (N,) float64, seconds from the first frame.
    """

    score: NDArray[np.float64]
    xy: NDArray[np.float64]
    box_xyxy: NDArray[np.int32]
    t_s: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.score)

    def rows(self, which: NDArray[np.bool_]) -> Alarms:
        """Return some of them."""
        return Alarms(self.score[which], self.xy[which], self.box_xyxy[which], self.t_s[which])

    def at_least(self, threshold: float) -> Alarms:
        """Return those that reach a threshold, as the detector counts."""
        return self.rows(self.score.astype(np.float32) >= np.float32(threshold))

    def episodes(self) -> NDArray[np.int64]:
        """Return (N,) the number of the alarm that each belongs to: within 10 px and 2 s of its last detection."""
        number = np.zeros(len(self), np.int64)
        open_alarms: list[tuple[int, float, float, float]] = []
        count = 0
        for row, ((x, y), t_s) in enumerate(zip(self.xy.tolist(), self.t_s.tolist(), strict=True)):
            open_alarms = [alarm for alarm in open_alarms if t_s - alarm[3] <= _LINK_S]
            near = [alarm for alarm in open_alarms if math.hypot(x - alarm[1], y - alarm[2]) <= _LINK_PX]
            if near:
                own = min(near, key=lambda alarm: math.hypot(x - alarm[1], y - alarm[2]))
                open_alarms.remove(own)
                number[row] = own[0]
            else:
                number[row], count = count, count + 1
            open_alarms.append((int(number[row]), x, y, t_s))
        return number


class AlarmLog:
    """A stage of a session that keeps what is detected, and the mean frame.

    Attributes:
        frames: Frames that were judged.
        failed: Frames that were not.
        confirmed: Tracks that were confirmed.
        is_tracked: Whether there was tracking; images are not tracked.
        size_hw: Height and width of the first frame, or None before it; places in frames of other sizes are scaled.
        duration_s: From the first frame to the end of the last.
    """

    def __init__(self, rate_hz: float) -> None:
        """Start without a frame.

        Args:
            rate_hz: Frames per second: how long the last frame lasts, and the times of images.
        """
        self.frames = self.failed = self.confirmed = 0
        self.is_tracked = False
        self.size_hw: tuple[int, int] | None = None
        self._period_s = 1 / rate_hz
        self._first_s: float | None = None
        self._last_s = 0.0
        self._parts: list[Alarms] = []
        self._sum: NDArray[np.float64] | None = None
        self._summed, self._stride = 0, 1

    @property
    def duration_s(self) -> float:
        """See the class."""
        return self._last_s - (self._first_s or 0.0) + self._period_s if self.frames else 0.0

    def add(self, report: Report) -> Report:
        """Take a report, with its weak detections, and return it."""
        frame = report.frame
        if report.error is not None:
            self.failed += 1
            return report
        self.size_hw = self.size_hw or frame.size_hw
        t_s = self._time_s(report)
        found = joined(report.detections, report.weak)
        if len(found):
            scale = np.array(self.size_hw[::-1]) / frame.size_hw[::-1]
            boxes = (found.box_xyxy * np.tile(scale, 2)).astype(np.int32)
            part = found.score.astype(np.float64), found.centroid_xy * scale, boxes
            # Images are scenes of their own, however close their numbers are.
            shown_s = t_s if frame.file is None else frame.index * 2 * _LINK_S
            self._parts.append(Alarms(*part, np.full(len(found), shown_s)))
        self.is_tracked |= report.tracks is not None
        events = () if report.tracks is None else report.tracks.events
        self.confirmed += sum(event.kind == "confirmed" for event in events)
        if self.frames % self._stride == 0 and frame.size_hw == self.size_hw:
            self._add_to_mean(frame.image.astype(np.float64))
        self.frames += 1
        return report

    def alarms(self) -> Alarms:
        """Return everything that was detected, in order of time."""
        if not self._parts:
            return Alarms(np.zeros(0), np.zeros((0, 2)), np.zeros((0, 4), np.int32), np.zeros(0))
        columns = ([getattr(part, name) for part in self._parts] for name in ("score", "xy", "box_xyxy", "t_s"))
        return Alarms(*(np.concatenate(column) for column in columns))

    def mean_frame(self) -> NDArray[np.float32]:
        """Return the mean of frames all over the recording, (H, W), counts; zeros before the first."""
        total = np.zeros(self.size_hw or (1, 1)) if self._sum is None else self._sum / self._summed
        return total.astype(np.float32)

    def _add_to_mean(self, image: NDArray[np.float64]) -> None:
        self._sum = image if self._sum is None else self._sum + image
        self._summed += 1
        if self._summed % _MEAN_FRAMES == 0:
            self._stride *= 2

    def _time_s(self, report: Report) -> float:
        """Return the time from the first frame; images have none, and take that of the frame rate."""
        frame = report.frame
        at_s = frame.index * self._period_s if frame.file is not None else frame.t_read_ns / 1e9
        if frame.file is None and frame.pts_s is not None:
            at_s = frame.pts_s
        self._first_s = at_s if self._first_s is None else self._first_s
        self._last_s = max(self._last_s, at_s)
        return at_s - self._first_s


def lowest_threshold(alarms: Alarms, allowed: float) -> float | None:
    """Return the lowest threshold, to six digits, that leaves at most so many detections; at least ``FLOOR``.

    Args:
        alarms: All detections.
        allowed: Number of detections that may be left.

    Returns:
        The threshold; None where too many have the highest score, 1.
    """
    falling = np.sort(alarms.score)[::-1]
    place = int(allowed)
    if place >= len(falling):
        return FLOOR
    threshold = just_above(float(falling[place]))
    return None if threshold is None else max(threshold, FLOOR)


def alarm_zones(alarms: Alarms, size_hw: tuple[int, int]) -> list[ZoneSettings]:
    """Propose ignore zones where alarms cluster, the largest cluster first.

    A cluster is a connected region of discs of 8 pixels around detections. It needs five detections and a twentieth of
    all; a zone that would cover over a twentieth of the frame is left out.

    Args:
        alarms: Those that should fall silent.
        size_hw: Height and width of the frame, pixels.
    """
    height, width = size_hw
    mask = np.zeros(size_hw, np.uint8)
    columns, rows = np.clip(alarms.xy.round().astype(int), 0, (width - 1, height - 1)).T
    mask[rows, columns] = 1
    side = 2 * _CLUSTER_RADIUS_PX + 1
    mask = np.asarray(cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))), np.uint8)
    labels = cv2.connectedComponents(mask)[1][rows, columns]
    numbers, counts = np.unique(labels, return_counts=True)
    zones: list[ZoneSettings] = []
    for number, count in sorted(zip(numbers, counts, strict=True), key=lambda pair: -pair[1]):
        boxes = alarms.box_xyxy[labels == number]
        left, top = np.maximum(boxes[:, :2].min(axis=0) - _MARGIN_PX, 0).tolist()
        right, bottom = np.minimum(boxes[:, 2:].max(axis=0) - 1 + _MARGIN_PX, (width - 1, height - 1)).tolist()
        is_large = (right - left) * (bottom - top) > _MAX_ZONE_SHARE * height * width
        if count >= max(_MIN_CLUSTER, _MIN_SHARE * len(alarms)) and not is_large and len(zones) < _MAX_ZONES:
            points = ((left, top), (right, top), (right, bottom), (left, bottom))
            zones.append(ZoneSettings(points=points, name=f"alarms {len(zones) + 1}"))
    return zones


@dataclass(frozen=True, slots=True)
class Finding:
    """What a recording shows.

    Attributes:
        threshold: To be used.
        is_shown: Whether the recording is long enough to show the asked rate.
        left: Detections that the threshold leaves; the interval is that of the alarms, with as many detections each.
        alarms_left: Alarms that it leaves.
        shown: Detections at this threshold or the model's, whichever is lower: those that zones are proposed for.
        zones: Proposed.
        with_zones: The threshold with these zones.
    """

    threshold: float
    is_shown: bool
    left: RateInterval
    alarms_left: RateInterval
    shown: Alarms
    zones: list[ZoneSettings]
    with_zones: float


def find_threshold(log: AlarmLog, allowed: float, model_threshold: float, unit: Unit = "h") -> Finding:
    """Find the threshold that leaves an allowed number of detections in what was watched.

    Where the recording is too short to show the rate, the threshold leaves none. One under the model's needs one
    that is long enough, and five separate alarms that are left.

    Args:
        log: Of at least one frame.
        allowed: Detections that the asked rate allows in the recording.
        model_threshold: The threshold of the model's card.
        unit: Of the rates in the finding.
    """
    size_hw = log.size_hw or (1, 1)
    exposure = log.frames if unit == "frame" else log.duration_s / _S_PER_HOUR
    every = log.alarms()
    is_shown = allowed >= RULE_OF_THREE

    def threshold_of(alarms: Alarms) -> float:
        lowest = lowest_threshold(alarms, allowed if is_shown else 0.0) or 1.0
        # What was quiet here need not be so tomorrow: a lower threshold than the model's wants evidence.
        is_known = is_shown and len(set(alarms.at_least(lowest).episodes().tolist())) >= _MIN_ALARMS
        return lowest if is_known else max(lowest, model_threshold)

    threshold = threshold_of(every)
    left = every.at_least(threshold)
    alarms = len(set(left.episodes().tolist()))
    shown = every.at_least(min(threshold, model_threshold))
    zones = alarm_zones(shown, size_hw) if len(shown) else []
    return Finding(
        threshold=threshold,
        is_shown=is_shown,
        left=poisson_interval(alarms, exposure, unit, len(left) / alarms if alarms else 1.0),
        alarms_left=poisson_interval(alarms, exposure, unit),
        shown=shown,
        zones=zones,
        with_zones=threshold_of(_outside(every, zones, size_hw)),
    )


def _outside(alarms: Alarms, zones: Sequence[ZoneSettings], size_hw: tuple[int, int]) -> Alarms:
    """Return the alarms that zones leave."""
    if not zones or not len(alarms):
        return alarms
    counting = Zones([*zones], "").counting(size_hw)
    columns, rows = np.clip(alarms.xy.round().astype(int), 0, (size_hw[1] - 1, size_hw[0] - 1)).T
    return alarms.rows(counting[rows, columns])
