"""Tracker: the detections of one source's frames to tracks.

tracker = Tracker(packaged_profile())
update = tracker.update(frame.image, detections, t_s)
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from lpnet_rt.detections import Detections
from lpnet_rt.frames import GreyImage
from lpnet_rt.tracking.association import assign, gated_pairs
from lpnet_rt.tracking.camera_motion import NO_MOTION, CameraMotion, CameraMotionEstimator, MotionEstimator
from lpnet_rt.tracking.clutter import ClutterMap
from lpnet_rt.tracking.evidence import probability
from lpnet_rt.tracking.history import STATIONARY_PX, begin, carry, note_hits, note_misses
from lpnet_rt.tracking.motion import correct, measurement_variance, predict
from lpnet_rt.tracking.profile import TrackingProfile
from lpnet_rt.tracking.settling import Settling
from lpnet_rt.tracking.table import TrackState, TrackTable, appended, new_rows
from lpnet_rt.tracking.updates import TrackEvent, TrackUpdate, make_event, tracks_of

__all__ = ["Tracker", "TrackerSettings"]

Indices = NDArray[np.intp]
# After a calibration a track needs so many times the odds of being a target, and so many times the detections.
_WARY_ODDS = 3.0
_WARY_HITS = 3


class TrackerSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one source is tracked.

    Attributes:
        false_tracks_per_hour: How many false confirmed tracks an hour to confirm at; None takes the profile's.
        hovering: Targets may stand still: what never moved is not taken for clutter.
        clutter_file: Where the clutter map is kept from run to run; None keeps none.
    """

    false_tracks_per_hour: float | None = None
    hovering: bool = False
    clutter_file: str | None = None


class Tracker:
    """Tracks of one source. Not for several threads at once."""

    def __init__(
        self,
        profile: TrackingProfile,
        settings: TrackerSettings | None = None,
        camera: MotionEstimator | None = None,
    ) -> None:
        """Begin without tracks.

        Args:
            profile: What was fitted for the model that makes the detections.
            settings: For this source.
            camera: Where the camera's motion comes from; None estimates it from the frames.
        """
        self._profile, self._life = profile, profile.lifecycle
        self._settings = settings or TrackerSettings()
        self.threshold = profile.threshold(self._settings.false_tracks_per_hour)
        self._wary_threshold = self.threshold / (self.threshold + (1.0 - self.threshold) / _WARY_ODDS)
        self._weights = profile.evidence.vector(self._settings.hovering)
        self._camera = CameraMotionEstimator() if camera is None else camera
        self._settling = Settling()
        self._clutter: ClutterMap | None = None
        self._tracks = new_rows(0)
        self._t_s: float | None = None
        self._next_id = 1
        self._epoch = 0

    @property
    def clutter(self) -> ClutterMap | None:
        """The clutter map; None before the first frame."""
        return self._clutter

    def update(self, image: GreyImage, detections: Detections, t_s: float) -> TrackUpdate:
        """Take in one frame.

        Args:
            image: (H, W) uint8 or uint16, raw counts; all of one size until :meth:`reset`.
            detections: Of this frame, weak ones included (:func:`lpnet_rt.tracking.detect_with_weak`), in any order.
            t_s: When it was captured, in seconds of any clock that only goes forward.

        Raises:
            ValueError: The time is not after the last frame's, or the image's size has changed.
        """
        dt_s = self._step(image, t_s)
        camera = self._camera_motion(image, detections)
        clutter = self._clutter_for(image)
        if dt_s > 0.0:
            predict(self._tracks, dt_s, camera, self._profile.motion)
            carry(self._tracks, camera, dt_s)
            clutter.advance(camera, dt_s)
        taken = np.full(len(detections), -1, np.intp)
        events: list[TrackEvent] = []
        if self._settling.calibrating:
            self._tracks["state"][self._tracks["confirmed"]] = TrackState.COASTING
        else:
            steady = self._settling.steady(image, dt_s)
            self._extend(detections, taken, t_s, dt_s)
            if steady:
                events += self._start(detections, taken, t_s)
            self._judge(clutter, dt_s)
            events += self._confirm(image, t_s, steady)
        kept, ended = self._end(image.shape, t_s)
        return self._update(camera, taken, kept, tuple(events + ended), t_s)

    def calibrating(self, active: bool) -> None:
        """Say that the camera's shutter calibration begins or has ended.

        Until it has ended, tracks coast and detections are left out. After that, tracks are extended, but none starts
        or is confirmed before five frames in a row agree with each other.
        """
        self._settling.set_calibrating(active)
        if active:
            self._camera.reset()

    def reset(self) -> tuple[TrackEvent, ...]:
        """Begin a new epoch, as after a source was lost: all tracks end, the clutter map stays, no id comes back.

        Returns:
            The ends of all tracks.
        """
        t_s = 0.0 if self._t_s is None else self._t_s
        ended = tuple(make_event("ended", row, t_s) for row in self._tracks)
        self._tracks = new_rows(0)
        self._camera.reset()
        self._settling = Settling()
        self._t_s = None
        self._epoch += 1
        return ended

    def table(self) -> TrackTable:
        """A copy of the track table as the last frame left it; for fitting and for tests."""
        return self._tracks.copy()

    def save_clutter(self) -> None:
        """Write the clutter map to the settings' file; nothing where there is none.

        Raises:
            SinkError: It cannot be written.
        """
        if self._clutter is not None and self._settings.clutter_file is not None:
            self._clutter.save(Path(self._settings.clutter_file))

    def _step(self, image: GreyImage, t_s: float) -> float:
        """Seconds since the last frame; 0 on the first of an epoch."""
        last_s = self._t_s
        if not math.isfinite(t_s) or (last_s is not None and t_s <= last_s):
            wanted = "a finite time" if last_s is None else f"a time after the last frame's, {last_s}"
            raise ValueError(f"t_s: expected {wanted}, found {t_s}; call reset() where a source begins again")
        if last_s is not None and self._clutter is not None and self._clutter.size_hw != image.shape:
            before = self._clutter.size_hw
            raise ValueError(f"image: expected the size of the frames before, {before}, found {image.shape}")
        self._t_s = t_s
        return 0.0 if last_s is None else t_s - last_s

    def _camera_motion(self, image: GreyImage, detections: Detections) -> CameraMotion:
        if self._settling.calibrating:
            return NO_MOTION
        return self._camera.update(image, detections.centroid_xy)

    def _clutter_for(self, image: GreyImage) -> ClutterMap:
        height, width = image.shape
        if self._clutter is None:
            file = None if self._settings.clutter_file is None else Path(self._settings.clutter_file)
            known = file is not None and file.exists()
            self._clutter = ClutterMap.load(file, (height, width)) if file and known else ClutterMap((height, width))
        elif self._clutter.size_hw != (height, width):  # a source that came back with another size
            self._clutter = ClutterMap((height, width))
        return self._clutter

    def _extend(self, detections: Detections, taken: Indices, t_s: float, dt_s: float) -> None:
        """Give tracks their detections: strong ones first, and weak ones to those that got none."""
        tracks, life, motion = self._tracks, self._life, self._profile.motion
        free = np.ones(len(tracks), np.bool_)
        if len(tracks) and len(detections):
            xy = detections.centroid_xy.astype(np.float64)
            variance = measurement_variance(detections.box_xyxy, motion)
            strong = detections.score >= life.start_score
            for tier in (strong, ~strong):
                rows, columns = free.nonzero()[0], tier.nonzero()[0]
                if len(rows) and len(columns):
                    pairs = gated_pairs(
                        (tracks["xy"][rows], tracks["var_p"][rows]),
                        (xy[columns], variance[columns]),
                        life.gate,
                        (life.gate_floor_px, life.gate_limit_px),
                    )
                    row, column = assign(pairs, len(rows), len(columns))
                    taken[columns[column]] = rows[row]
                    free[rows[row]] = False
            found = (taken >= 0).nonzero()[0]
            surprise = correct(tracks, taken[found], xy[found], variance[found])
            note_hits(tracks, taken[found], detections, found, surprise, t_s)
        if free.any():
            note_misses(tracks, free.nonzero()[0], dt_s)

    def _start(self, detections: Detections, taken: Indices, t_s: float) -> list[TrackEvent]:
        """Start a track from each strong detection that no track has taken and that is not close to one."""
        free = np.flatnonzero((taken < 0) & (detections.score >= self._life.start_score))
        if not len(free):
            return []
        free = free[np.argsort(-detections.score[free], kind="stable")]
        free = free[_clear(detections.box_xyxy, free, np.flatnonzero(taken >= 0), self._life.clearance_px)]
        started = new_rows(len(free))
        started["id"] = np.arange(self._next_id, self._next_id + len(free))
        self._next_id += len(free)
        begin(started, detections, free, t_s)
        started["xy"] = started["first_xy"]
        started["var_p"] = measurement_variance(detections.box_xyxy[free], self._profile.motion)
        started["var_v"] = self._profile.motion.start_speed_px_s**2
        taken[free] = len(self._tracks) + np.arange(len(free))
        self._tracks = appended(self._tracks, started)
        return [make_event("started", row, t_s) for row in started]

    def _judge(self, clutter: ClutterMap, dt_s: float) -> None:
        """Learn what stands still, and weigh every track's past."""
        tracks = self._tracks
        if not len(tracks):
            return
        still = (tracks["misses"] == 0) & (tracks["reach_px"] < STATIONARY_PX)
        tracks["clutter_s"] = clutter.observe(tracks["xy"], still, dt_s)
        tracks["probability"] = probability(tracks, self._weights, self._profile.evidence.intercept)

    def _confirm(self, image: GreyImage, t_s: float, steady: bool) -> list[TrackEvent]:
        """Confirm what is likely enough, where the picture is steady; give every confirmed track its state."""
        tracks = self._tracks
        seen = tracks["misses"] == 0
        wary = self._settling.wary
        enough = self._life.min_hits * (_WARY_HITS if wary else 1)
        likely = tracks["probability"] >= (self._wary_threshold if wary else self.threshold)
        sure = seen & likely & (tracks["hits"] >= enough) & steady
        confirmed = np.flatnonzero(sure & ~tracks["confirmed"])
        tracks["confirmed"] |= sure
        ever = tracks["confirmed"]
        tracks["state"][ever] = np.where(seen[ever], TrackState.CONFIRMED, TrackState.COASTING)
        return [make_event("confirmed", tracks[row], t_s, image) for row in confirmed]

    def _end(self, size_hw: tuple[int, ...], t_s: float) -> tuple[NDArray[np.bool_], list[TrackEvent]]:
        """End what has not been seen for too long, or has left the frame; which rows are kept, and the ends."""
        tracks, life = self._tracks, self._life
        missed = tracks["misses"] > 0
        if not missed.any():
            return ~missed, []
        limit_s = np.where(tracks["confirmed"], life.coast_s, life.tentative_gap_s)
        xy = tracks["xy"]
        outside = ((xy < -0.5) | (xy > (size_hw[1] - 0.5, size_hw[0] - 0.5))).any(axis=1)
        over = missed & ((tracks["unseen_s"] > limit_s) | outside)
        return ~over, [make_event("ended", row, t_s) for row in tracks[over]]

    def _update(
        self,
        camera: CameraMotion,
        taken: Indices,
        kept: NDArray[np.bool_],
        events: tuple[TrackEvent, ...],
        t_s: float,
    ) -> TrackUpdate:
        track_id, state = np.zeros(len(taken), np.int64), np.full(len(taken), -1, np.int8)
        has = taken >= 0
        track_id[has], state[has] = self._tracks["id"][taken[has]], self._tracks["state"][taken[has]]
        if not kept.all():
            self._tracks = self._tracks[kept]
        return TrackUpdate(t_s, self._epoch, track_id, state, tracks_of(self._tracks, t_s), camera, events)


def _clear(boxes: NDArray[np.int32], free: Indices, taken: Indices, clearance_px: float) -> NDArray[np.bool_]:
    """Which free detections are far enough from every taken one and from every free one before them."""
    low, high = boxes[free, :2] - clearance_px, boxes[free, 2:] + clearance_px
    others = boxes[np.concatenate((taken, free))]
    before, behind = low[:, None] < others[None, :, 2:], high[:, None] > others[None, :, :2]
    meets: NDArray[np.bool_] = np.asarray((before & behind).all(axis=-1))
    meets[:, len(taken) :] = np.tril(meets[:, len(taken) :], -1)
    return np.asarray(~meets.any(axis=1))
