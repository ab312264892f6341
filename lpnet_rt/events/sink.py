"""The output that keeps a source's events."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from pathlib import Path

from lpnet_rt.clock import Clock
from lpnet_rt.errors import SinkError
from lpnet_rt.events.alarm import AlarmRule
from lpnet_rt.events.archive import MAX_CLIPS, EventArchive
from lpnet_rt.events.clips import ClipWriter
from lpnet_rt.events.following import EventFollower, FollowedTrack, Origin
from lpnet_rt.events.footage import Footage, FrameFootage, PacketFootage
from lpnet_rt.events.hub import EventNotice
from lpnet_rt.events.record import CLIP_FILE, EventRecord, EventState
from lpnet_rt.reports import Report
from lpnet_rt.settings import AlarmSettings, EventSettings
from lpnet_rt.sources.packets import RING_SPARE_S, PacketRing

__all__ = ["EventSink"]

_logger = logging.getLogger(__name__)

_SAVE_NS = 1_000_000_000
_PRUNE_NS = 10_000_000_000
# A live source without frames for so long, or for ``after_s``, has ended its events.
_MIN_SILENCE_S = 4.0
_SILENCE_SPARE_S = 1.0
# Pictures encoded in one call: one that comes and one that waits, so that the queue never fills.
_ENCODED_AT_ONCE = 2
_ENCODING_S = 1.0
# At the end as many as an output has time for before it is given up (lpnet_rt.sinks.runner).
_ENCODED_AT_END = 10_000
_ENCODING_AT_END_S = 2.0
_ENCODING_IN_HASTE_S = 0.1


@dataclass(slots=True, eq=False)
class _Recording:
    """An event that is being written.

    Attributes:
        latest_s: Time in the stream of the latest frame of its connection, seconds.
        jumps: How often the stream's time had jumped back before it.
    """

    followed: FollowedTrack
    folder: Path
    clip: ClipWriter | None
    no_clip: str | None
    latest_s: float
    jumps: int
    saved_ns: int
    chip_score: float


class EventSink:
    """Writes the events of one source; see :class:`lpnet_rt.sinks.base.Sink`."""

    def __init__(
        self,
        archive: EventArchive,
        origin: Origin,
        wanted: tuple[EventSettings, AlarmSettings],
        packets: PacketRing | None,
        live: bool,
        clock: Clock,
    ) -> None:
        """Begin without events.

        Args:
            archive: Shared by the sources of a run.
            origin: What the source's events have in common.
            wanted: Settings of events and of alarms.
            packets: Filled by the source's decoder; None for a source without one.
            live: Whether frames may stop coming without an end.
            clock: Clock of the run.
        """
        archive.join()
        self._archive, self._origin, self._live, self._clock = archive, origin, live, clock
        self._settings, alarm = wanted
        self._follower = EventFollower(origin.session, AlarmRule(alarm), self._settings.max_clip_s)
        self._packets = packets
        max_s = self._settings.before_s + RING_SPARE_S
        self._frames = FrameFootage(max_s, self._settings.buffer_mb * 10**6, clock)
        self._recordings: list[_Recording] = []
        self._connection: tuple[int, int] | None = None
        self._jumps, self._last_s = 0, float("-inf")
        self._written_ns = self._pruned_ns = clock.monotonic_ns()
        self._is_warned = self._is_closed = False

    def write(self, report: Report) -> None:
        """Take one report.

        Raises:
            SinkError: The disk is full, or the folder cannot be written.
        """
        frame = report.frame
        # The tracker ends its tracks when the stream's time jumps back; reports without tracks say nothing of it.
        t_s = None if report.tracks is None else report.tracks.t_s
        self._written_ns = self._clock.monotonic_ns()
        self._frames.allow(_ENCODED_AT_ONCE, _ENCODING_S)
        self._connection = frame.epoch, frame.reconnects
        if t_s is None:
            self._warn_untracked(report)
        elif self._settings.clips and not self._has_packets:
            self._frames.add(frame, t_s)
        changes = self._follower.update(report)
        if t_s is not None:
            self._note_time(t_s)
        for followed in changes.opened:
            self._begin(followed, t_s or 0.0)
        for recording in [one for one in self._recordings if one.followed in changes.alarmed]:
            self._archive.hub.publish(EventNotice("alarm", self._save(recording, "open")))
        self._advance()
        self._prune()

    def tick(self) -> None:
        """Write what has come in, end the events of a source that is lost, and delete what is too old.

        Raises:
            SinkError: The disk is full, or the folder cannot be written.
        """
        now_ns = self._clock.monotonic_ns()
        silence_s = max(self._settings.after_s, _MIN_SILENCE_S) + _SILENCE_SPARE_S
        self._frames.allow(_ENCODED_AT_ONCE, _ENCODING_S)
        if self._live and self._recordings and now_ns - self._written_ns > silence_s * 1e9:
            self._end_all("the source was lost")
        self._advance()
        self._prune()

    def close(self, outcome: str = "end") -> None:
        """Finish every event; harmless when called twice.

        Raises:
            SinkError: Something cannot be written.
        """
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self._frames.allow(_ENCODED_AT_END, _ENCODING_AT_END_S if outcome == "end" else _ENCODING_IN_HASTE_S)
            self._end_all("the source ended" if outcome == "end" else f"the run ended: {outcome}")
        finally:
            for recording in self._recordings:  # those that a full disk has left
                with contextlib.suppress(SinkError):
                    self._close_clip(recording)
            self._archive.leave()

    @property
    def _has_packets(self) -> bool:
        return self._packets is not None and self._packets.is_usable

    def _note_time(self, t_s: float) -> None:
        """Note the time of a frame in the stream, seconds, which may have started over."""
        self._jumps += t_s < self._last_s
        self._last_s = t_s
        for recording in self._recordings:
            if not self._is_gone(recording):
                recording.latest_s = t_s

    def _is_gone(self, recording: _Recording) -> bool:
        """Whether the frames that come now have no place in an event's clip."""
        return (recording.followed.connection, recording.jumps) != (self._connection, self._jumps)

    def _prune(self) -> None:
        """Delete what is too old or too much, some at a time."""
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._pruned_ns >= _PRUNE_NS and not self._archive.prune():
            self._pruned_ns = now_ns

    def _begin(self, followed: FollowedTrack, t_s: float) -> None:
        now_ns = self._clock.monotonic_ns()
        folder = self._archive.begin(followed.record(self._origin, "open", None, None))
        recording = _Recording(followed, folder, None, None, t_s, self._jumps, now_ns, -1.0)
        self._open_clip(recording)
        self._recordings.append(recording)
        self._pull(recording)
        self._archive.hub.publish(EventNotice("started", self._save(recording, "open")))

    def _open_clip(self, recording: _Recording) -> None:
        """Open the clip of a new event, or note why it has none."""
        if not self._settings.clips:
            recording.no_clip = "clips are switched off"
            return
        if not self._archive.take_clip():
            recording.no_clip = f"{MAX_CLIPS} other clips were being written"
            return
        followed = recording.followed
        assert followed.first is not None
        footage: Footage = self._frames
        if self._packets is not None and self._has_packets:
            footage = PacketFootage(self._packets)
        stretch = footage.stretch_at(followed.began_ns)
        try:
            if stretch is None:
                raise LookupError("its pictures are no longer kept in memory")
            begin_s = followed.first.t_s - self._settings.before_s
            recording.clip = ClipWriter(recording.folder / CLIP_FILE, footage, stretch, begin_s)
        except LookupError as error:
            recording.no_clip = str(error)
        finally:
            if recording.clip is None:
                self._archive.return_clip()

    def _advance(self) -> None:
        """Write what has come in, for every event; finish those that are over."""
        now_ns = self._clock.monotonic_ns()
        for recording in list(self._recordings):
            if self._pull(recording):
                self._finish(recording)
            elif now_ns - recording.saved_ns >= _SAVE_NS:
                self._save(recording, "open")

    def _pull(self, recording: _Recording) -> bool:
        """Write what has come in; return whether the event is over and its clip complete."""
        followed = recording.followed
        assert followed.last is not None
        until_s = followed.last.t_s + self._settings.after_s
        is_gone = self._is_gone(recording)
        clip = recording.clip
        if clip is not None:
            # What comes after a break, or a change of the picture size, belongs into no clip.
            clip.pull(min(until_s, recording.latest_s) if is_gone else until_s)
        if followed.ended is None:
            return False
        is_complete = is_gone or recording.latest_s >= until_s
        return clip is None or clip.note is not None or (is_complete and not self._frames.is_behind)

    def _end_all(self, why: str) -> None:
        """End every event now, with what there is."""
        self._follower.end_all(why)
        for recording in list(self._recordings):
            recording.followed.ended = recording.followed.ended or why
            self._frames.is_behind = False
            self._pull(recording)
            if recording.clip is not None and self._frames.is_behind:
                recording.clip.note = "the run ended before all of it was encoded"
            self._finish(recording)

    def _finish(self, recording: _Recording) -> None:
        self._recordings.remove(recording)
        self._close_clip(recording)
        self._archive.hub.publish(EventNotice("ended", self._save(recording, "closed")))

    def _close_clip(self, recording: _Recording) -> None:
        """Close the file, and let another clip have its turn; the record still describes it."""
        clip = recording.clip
        if clip is not None and not clip.is_closed:
            self._archive.return_clip()
            clip.close()

    def _save(self, recording: _Recording, state: EventState) -> EventRecord:
        """Write the event's record, and its chip if there is a better one."""
        followed = recording.followed
        first, last, clip = followed.first, followed.last, recording.clip
        assert first is not None
        assert last is not None
        note = None if clip is None else clip.describe(first.t_s, last.t_s)
        no_clip = recording.no_clip
        if clip is not None and note is None and state == "closed":
            no_clip = clip.note or "no picture of it was written"
        chip = followed.chip if followed.best_score > recording.chip_score else None
        recording.chip_score, recording.saved_ns = followed.best_score, self._clock.monotonic_ns()
        return self._archive.save(followed.record(self._origin, state, note, no_clip), chip)

    def _warn_untracked(self, report: Report) -> None:
        """Say once that there will be no events."""
        if self._is_warned or report.error is not None:
            return
        self._is_warned = True
        why = "single images are not tracked" if report.frame.file is not None else "the model has no tracking profile"
        _logger.warning("events: %s: there will be none: %s", self._origin.source, why)
