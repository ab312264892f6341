"""From reports to events: follows every track of one source, and opens an event when one is confirmed."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from lpnet_rt import __version__
from lpnet_rt.events.alarm import AlarmRule, Moment, Motion
from lpnet_rt.events.record import ClipNote, EventRecord, EventState, Place, TrackRow, event_id
from lpnet_rt.frames import Frame, GreyImage
from lpnet_rt.reports import Report
from lpnet_rt.tracking import TrackState, TrackUpdate
from lpnet_rt.tracking.updates import cut_chip

__all__ = ["Changes", "EventFollower", "FollowedTrack", "Origin"]

# Rows kept of a track before it is confirmed, beside its first.
_MAX_TENTATIVE_ROWS = 900
_ALARM_BEFORE = "its track was an alarm before"


@dataclass(frozen=True, slots=True)
class Origin:
    """What all events of one source have in common.

    Attributes:
        source: Name of the source.
        session: Of the run.
        model: Name of the model.
        engine: Name and precision of the engine.
    """

    source: str
    session: str
    model: str
    engine: str


@dataclass(slots=True, eq=False)
class FollowedTrack:
    """A track that is, or may become, an event.

    Attributes:
        track: Number of the track.
        part: 1, or more if the track was too long for one event.
        connection: Epoch and reconnections of its frames.
        began_ns: Monotonic time at which its first frame became available, nanoseconds.
        size_hw: Height and width of the frames, pixels.
        rows: One for each frame.
        first: First detection, once there is one.
        last: Last detection, likewise.
        hits: Number of detections.
        counted: Detections of the track as the tracker counts them, earlier parts included.
        probability: Highest so far, 0..1.
        best_score: Highest so far, 0..1.
        moved_px: Farthest from the track's first place so far, pixels.
        chip: (64, 64) raw counts around the detection with the highest score.
        name: Identifier of the event; None while the track is not confirmed.
        was_alarm: Whether an earlier part was an alarm.
        alarm_t_us: Unix time of the frame that made it an alarm, microseconds, or None.
        no_alarm: Why it is none, or None.
        ended: Why it ended, or None.
    """

    track: int
    part: int
    connection: tuple[int, int]
    began_ns: int
    size_hw: tuple[int, int]
    rows: list[TrackRow] = field(default_factory=list)
    first: TrackRow | None = None
    last: TrackRow | None = None
    hits: int = 0
    counted: int = 0
    probability: float = 0.0
    best_score: float = 0.0
    moved_px: float = 0.0
    chip: GreyImage | None = None
    name: str | None = None
    was_alarm: bool = False
    alarm_t_us: int | None = None
    no_alarm: str | None = None
    ended: str | None = None

    def add(self, row: TrackRow, is_detected: bool, frame: Frame) -> None:
        """Take in one frame."""
        if self.name is None and len(self.rows) > _MAX_TENTATIVE_ROWS:
            del self.rows[1]
        if not is_detected:
            if self.first is not None:
                self.rows.append(row)
            return
        self.rows.append(row)
        self.first, self.last = self.first or row, row
        self.hits += 1
        score = row.score or 0.0
        if self.chip is None or score > self.best_score:
            self.best_score, self.chip = score, cut_chip(frame.image, row.x, row.y)

    def record(self, origin: Origin, state: EventState, clip: ClipNote | None, no_clip: str | None) -> EventRecord:
        """Return what ``event.json`` says; only of a confirmed track."""
        first, last = self.first, self.last
        assert self.name is not None
        assert first is not None
        assert last is not None
        return EventRecord(
            id=self.name,
            source=origin.source,
            session=origin.session,
            track=self.track,
            part=self.part,
            state=state,
            ended=self.ended,
            first=_place(first),
            last=_place(last),
            duration_s=round(last.t_s - first.t_s, 3),
            probability=round(self.probability, 4),
            best_score=round(self.best_score, 4),
            hits=self.hits,
            moved_px=round(self.moved_px, 2),
            width=self.size_hw[1],
            height=self.size_hw[0],
            alarm=self.alarm_t_us is not None,
            alarm_t_us=self.alarm_t_us,
            no_alarm=self.no_alarm,
            model=origin.model,
            engine=origin.engine,
            software=f"lpnet-rt {__version__}",
            chip=None,
            view=None,
            clip=clip,
            no_clip=no_clip,
            rows=tuple(row for row in self.rows if row.t_s <= last.t_s),
        )


@dataclass(slots=True)
class Changes:
    """What one report changed; each list in order of the tracks.

    Attributes:
        opened: New events.
        alarmed: Events that became alarms.
        ended: Events whose track has ended, or was too long.
    """

    opened: list[FollowedTrack] = field(default_factory=list)
    alarmed: list[FollowedTrack] = field(default_factory=list)
    ended: list[FollowedTrack] = field(default_factory=list)


class EventFollower:
    """Follows the tracks of one source; used from one thread.

    Only the columns of the tracks count, so reports may be missing.
    """

    def __init__(self, session: str, rule: AlarmRule, max_s: float) -> None:
        """Begin without tracks.

        Args:
            session: Of the run: 16 hexadecimal digits.
            rule: Decides about alarms.
            max_s: Longest event, seconds.
        """
        self._session, self._rule, self._max_s = session, rule, max_s
        self._tracks: dict[int, FollowedTrack] = {}
        self._connection: tuple[int, int] | None = None

    def update(self, report: Report) -> Changes:
        """Take in one report; one without tracks changes nothing."""
        update, frame, changes = report.tracks, report.frame, Changes()
        if update is None:
            return changes
        connection = frame.epoch, frame.reconnects
        if self._connection is not None and connection != self._connection:
            reconnected = connection[1] != self._connection[1]
            changes.ended = self.end_all(
                "the source came back" if reconnected else "the pictures changed in size or depth"
            )
        self._connection = connection
        alive = update.tracks.id.tolist()
        for number in self._tracks.keys() - set(alive):
            self._end(self._tracks.pop(number), "the track ended", changes)
        places = _places(report, update)
        for index, number in enumerate(alive):
            self._follow(number, index, places.get(number), report, changes)
        return changes

    def end_all(self, why: str) -> list[FollowedTrack]:
        """End every track.

        Args:
            why: In one line.

        Returns:
            Those that are events.
        """
        changes = Changes()
        for followed in self._tracks.values():
            self._end(followed, why, changes)
        self._tracks.clear()
        return changes.ended

    def _follow(
        self, number: int, index: int, place: tuple[float, float, float] | None, report: Report, changes: Changes
    ) -> None:
        """Take in one track of a report; ``place`` is that of its detection and its score."""
        update, frame = report.tracks, report.frame
        assert update is not None
        tracks = update.tracks
        x, y, score = (*tracks.xy[index].tolist(), None) if place is None else place
        row = TrackRow(frame.t_capture_us, round(update.t_s, 6), round(x, 2), round(y, 2), _rounded(score))
        followed = self._tracks.get(number) or FollowedTrack(
            number, 1, (frame.epoch, frame.reconnects), frame.t_read_ns, frame.size_hw
        )
        hits = int(tracks.hits[index])
        # Detections of a tentative track may be left out of the report; the tracker counts them all the same.
        is_detected = place is not None or hits > followed.counted
        followed.counted = hits
        if followed.name is not None and is_detected and row.t_s - _first_s(followed) > self._max_s:
            followed = self._next_part(followed, frame, changes)
        self._tracks[number] = followed
        followed.add(row, is_detected, frame)
        followed.probability = max(followed.probability, min(float(tracks.probability[index]), 1.0))
        followed.moved_px = float(tracks.reach_px[index])
        if not is_detected or tracks.state[index] == TrackState.TENTATIVE:
            return
        if followed.name is None:
            assert followed.first is not None
            followed.name = event_id(followed.first.t_us, self._session, number, followed.part)
            changes.opened.append(followed)
        self._alarm(followed, row, changes)

    def _next_part(self, followed: FollowedTrack, frame: Frame, changes: Changes) -> FollowedTrack:
        """End an event that is too long; return what its track goes on as."""
        self._end(followed, f"it was longer than {self._max_s:g} s and goes on as part {followed.part + 1}", changes)
        return FollowedTrack(
            followed.track,
            followed.part + 1,
            followed.connection,
            frame.t_read_ns,
            frame.size_hw,
            counted=followed.counted,
            was_alarm=followed.was_alarm or followed.alarm_t_us is not None,
        )

    def _alarm(self, followed: FollowedTrack, row: TrackRow, changes: Changes) -> None:
        if followed.alarm_t_us is not None:
            return
        if followed.was_alarm:
            followed.no_alarm = _ALARM_BEFORE
            return
        moment = Moment(row.t_us, row.t_s, followed.connection)
        followed.no_alarm = self._rule.decide(Motion(followed.moved_px), moment)
        if followed.no_alarm is None:
            followed.alarm_t_us = row.t_us
            changes.alarmed.append(followed)

    def _end(self, followed: FollowedTrack, why: str, changes: Changes) -> None:
        if followed.name is not None:
            followed.ended = why
            changes.ended.append(followed)


def _places(report: Report, update: TrackUpdate) -> dict[int, tuple[float, float, float]]:
    """Return x, y and score of the detection of each track that has one."""
    found, weak = report.detections, report.weak
    table = np.column_stack(
        (np.concatenate((found.centroid_xy, weak.centroid_xy)), np.concatenate((found.score, weak.score)))
    ).astype(float)
    numbers = update.detection_track_id.tolist()
    return {number: (x, y, score) for number, (x, y, score) in zip(numbers, table.tolist(), strict=True) if number}


def _place(row: TrackRow) -> Place:
    return Place(t_us=row.t_us, t_s=row.t_s, x=row.x, y=row.y)


def _first_s(followed: FollowedTrack) -> float:
    return followed.rows[0].t_s if followed.first is None else followed.first.t_s


def _rounded(score: float | None) -> float | None:
    return None if score is None else round(score, 4)
