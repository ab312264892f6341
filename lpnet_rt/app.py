"""The main job: from sources through the detector into every requested output.

The job runs in a separate thread. The main thread only waits for it, so that signals are handled whatever the job waits
for: a file that does not open, an engine, a disk.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import logging
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from lpnet_rt.clock import SYSTEM_CLOCK, Clock
from lpnet_rt.detector import Detector
from lpnet_rt.errors import SettingsError, SinkError, reason
from lpnet_rt.live_settings import Recordings, Running, WhatCounts, warn_of_strange_zones
from lpnet_rt.models.false_alarms import is_hourly
from lpnet_rt.outputs import open_peers
from lpnet_rt.pipeline import Pipeline, Session
from lpnet_rt.pipeline.angle_stage import angle_stages, warn_of_strange_cameras
from lpnet_rt.pipeline.guard import PictureGuard
from lpnet_rt.pipeline.health import Health, Watched
from lpnet_rt.pipeline.picture_watch import PictureWatch
from lpnet_rt.pipeline.track_stage import TrackStage
from lpnet_rt.pipeline.zone_stage import ZoneStage
from lpnet_rt.reloading import Reloader
from lpnet_rt.reports import Report
from lpnet_rt.settings import Settings, SourceSettings, per_hour
from lpnet_rt.sinks.base import SinkRunner
from lpnet_rt.sinks.opening import Outputs, open_outputs
from lpnet_rt.sinks.progress import ProgressBars, ProgressLog, Tally
from lpnet_rt.sinks.publisher import Publisher
from lpnet_rt.sources import ReconnectingSource, Source, open_source
from lpnet_rt.sources.packets import packet_ring
from lpnet_rt.sources.states import StateLog
from lpnet_rt.supervising import Supervisor, signals
from lpnet_rt.tracking import WEAK_SCORE, Tracker, TrackerSettings, packaged_profile
from lpnet_rt.web.reserving import Reserved, reserve
from lpnet_rt.zones import Zones

if TYPE_CHECKING:
    from lpnet_rt.web.opening import WebPage

__all__ = ["run"]

_logger = logging.getLogger(__name__)

_T = TypeVar("_T")

_WAIT_S = 0.05
_FILE_HIGH_WATER = 1_000
_MIN_HIGH_WATER = 64
_DEFAULT_RATE_HZ = 30.0
# Time for a stopped job: nothing has to be finished while it opens things; later, outputs are closed.
_OPENING_PATIENCE_S = 0.5
_CLOSING_PATIENCE_S = 5.0


def run(
    settings: Settings,
    clock: Clock = SYSTEM_CLOCK,
    reread: Callable[[], Settings] | None = None,
    config: str | None = None,
) -> int:
    """Run the main job; call it in the main thread, which receives signals.

    Args:
        settings: Settings of the run.
        clock: Clock of the run.
        reread: Reads the configuration again, at SIGHUP; None: SIGHUP ends the process, as it does by default.
        config: The configuration file that the settings came from, in which the page saves zones, or None.

    Returns:
        The exit code: 0, or 128 plus the number of the signal that ended the run.

    Raises:
        LpnetError: A stage failed; every output is closed and complete up to then. An output that was given up raises
            SinkError at the end.
        BrokenPipeError: The reader of standard output has gone.
    """
    job = _Job(settings, clock, reread, config)
    supervisor = Supervisor(clock, "INSECURE; " if settings.service.insecure else "")
    caught: list[int] = []
    with signals(caught, job.stop, None if reread is None else supervisor.ask_reload):
        thread = threading.Thread(target=job.work, name="lpnet-run", daemon=True)
        thread.start()
        stopped_ns: int | None = None
        while thread.is_alive():
            thread.join(_WAIT_S)
            job.print_notices()
            supervisor.step(job.health, job.reload)
            if caught and stopped_ns is None:
                stopped_ns = clock.monotonic_ns()
                supervisor.stop()
            patience_s = _CLOSING_PATIENCE_S if job.is_running else _OPENING_PATIENCE_S
            if stopped_ns is not None and clock.monotonic_ns() - stopped_ns > patience_s * 1e9:
                return 128 + caught[0]  # abandon the job, which is stuck in a call
        job.print_notices()
    supervisor.stop()
    if job.error is not None:
        raise job.error
    return 128 + caught[0] if caught else 0


class _Job:
    """The work of the thread, and its interface for the main thread.

    Attributes:
        is_running: True once outputs are open and must be finished on a stop.
        error: The error that ended the job, or None.
        health: Judges the run; None until it is ready.
        reload: Re-reads the settings; None until it is ready, or without a configuration.
    """

    def __init__(
        self, settings: Settings, clock: Clock, reread: Callable[[], Settings] | None, config: str | None
    ) -> None:
        self.is_running = False
        self.error: BaseException | None = None
        self.health: Health | None = None
        self.reload: Callable[[], None] | None = None
        self._settings, self._clock, self._reread, self._config = settings, clock, reread, config
        self._page: WebPage | None = None
        self._stopped = threading.Event()
        self._pipeline: Pipeline | None = None
        self._runners: list[SinkRunner] = []
        self._noticed: set[str] = set()

    def stop(self) -> None:
        """Ask the job to end."""
        self._stopped.set()
        if self._pipeline is not None:
            self._pipeline.stop()

    def work(self) -> None:
        """Run the job; store its error."""
        try:
            self._work()
        except BaseException as error:  # raised again in the main thread
            self.error = error

    def print_notices(self) -> None:
        """Log once for every output that was given up."""
        for runner in self._runners:
            failure = runner.failure
            if failure is not None and runner.name not in self._noticed:
                self._noticed.add(runner.name)
                _logger.warning("%s; continuing without it", failure)

    def _work(self) -> None:
        reserved = reserve(self._settings.web, self._clock)
        # Load the detector while the source opens: both mostly wait for the disk and for libraries.
        wanted = self._settings.detector
        # A rate per hour needs the sources' frame rate; until they are open, the card's threshold stands in.
        waits = wanted.false_alarms is not None and is_hourly(wanted.false_alarms)
        first = msgspec.structs.replace(wanted, false_alarms=None) if waits else wanted
        loading = _in_thread(lambda: Detector.load(first, self._clock))
        with contextlib.ExitStack() as stack:
            if reserved is not None:
                stack.callback(reserved.close)
            events = self._settings.events
            logs = [StateLog(packet_ring(events, self._clock)) for _ in self._settings.sources]
            sources = _open_sources(self._settings.sources, logs, stack, self._clock)
            logged = list(zip(sources, logs, strict=True))
            stack.callback(_warn_of_lost, logged)
            detector = loading.result()
            if waits:
                rates_hz = [source.rate_hz for source in sources]
                detector.take_rate(wanted, None if None in rates_hz else max(rate or 0.0 for rate in rates_hz))
            if self._stopped.is_set():
                return
            publish = self._settings.publish
            publisher = Publisher(publish, _high_water(sources)) if publish.enabled else None
            if publisher is not None:
                stack.callback(publisher.close)
            peers = open_peers(self._settings, [source.name for source in sources], self._clock)
            stack.callback(peers.close)
            warn_of_strange_zones(self._settings, sources)
            warn_of_strange_cameras(self._settings.camera, [source.name for source in sources])
            tracking = _stages_of_tracks(self._settings, logged, detector, self._clock)
            self._page = self._open_page(reserved, logged, detector, tracking)
            opened = open_outputs(self._settings, logged, detector, publisher, self._clock, peers=peers)
            if self._page is not None:
                stack.callback(self._page.close)
                self._page.add_outputs([outputs.runners for outputs in opened])
                kept = opened[0].events
                if kept is not None and events.folder is not None:
                    self._page.keep_events(events.folder, kept.hub, self._clock)
            self._runners = [runner for outputs in opened for runner in outputs.runners]
            self.is_running = True
            self._drive(logged, tracking, detector, opened)
        self._raise_failures()

    def _open_page(
        self,
        reserved: Reserved | None,
        logged: Sequence[tuple[Source, StateLog]],
        detector: Detector,
        tracking: _Tracking,
    ) -> WebPage | None:
        """Start the web page, if there is one; only then its libraries are imported."""
        if reserved is None:
            return None
        from lpnet_rt.web.opening import Run, open_page

        zone_stages = {source.name: stage for (source, _), stage in zip(logged, tracking.zone_stages, strict=True)}
        shown = Run(logged, detector, zone_stages, self._config)
        return open_page(reserved, shown, self._settings.web, self._clock)

    def _drive(
        self,
        logged: Sequence[tuple[Source, StateLog]],
        tracking: _Tracking,
        detector: Detector,
        opened: Sequence[Outputs],
    ) -> None:
        """Run the pipeline, which closes the outputs, and print the summary, even after an error."""
        tallies = [Tally(source.name, source.frame_count, self._clock) for source, _ in logged]
        sessions = []
        for number, (source, _) in enumerate(logged):
            stages = [
                *tracking.stages[number],
                *angle_stages(self._settings.camera, source.name),
                tallies[number].count,
            ]
            stamper = opened[number].stamper
            stages += [] if stamper is None else [stamper.number]
            max_frames = self._settings.sources[number].frames
            sessions.append(Session(source, opened[number].runners, stages, max_frames))
        pipeline = self._pipeline = Pipeline(sessions, detector, self._clock)
        service = self._settings.service
        watched = [
            Watched(log, tally, functools.partial(pipeline.is_open, number))
            for number, ((_, log), tally) in enumerate(zip(logged, tallies, strict=True))
        ]
        self.health = Health(lambda: pipeline.turned_ns, watched, service.unhealthy_after_s, self._clock)
        if self._reread is not None:
            zones, runners, clock = tracking.zone_stages, self._runners, self._clock
            running = Running(self._settings, logged, detector, zones, opened, sessions, pipeline, runners, clock)
            parts = (WhatCounts(running), Recordings(running))
            self.reload = Reloader(self._settings, self._reread, parts, pipeline.call).reload
        if self._page is not None:
            self._page.watch(pipeline.queues)
        quiet = self._settings.output.quiet
        bars: ProgressBars | ProgressLog = ProgressBars(tallies, enabled=not quiet and service.log_format == "text")
        if service.log_format == "json" and not quiet:
            bars = ProgressLog(tallies, service.status_s)
        try:
            self._wait_for_subscribers(opened)
            if self._stopped.is_set():
                pipeline.stop()
            for tally in tallies:
                tally.start()
            pipeline.run()
        finally:
            bars.close()
            tracking.close()
            if not quiet and service.log_format == "text":
                self._summarise(detector, tallies)

    def _wait_for_subscribers(self, opened: Sequence[Outputs]) -> None:
        """Wait until every source has a subscriber, up to ``wait_subscriber_s`` in total."""
        deadline_ns = self._clock.monotonic_ns() + round(self._settings.publish.wait_subscriber_s * 1e9)
        for published in (outputs.published for outputs in opened):
            if published is not None:
                left_s = max((deadline_ns - self._clock.monotonic_ns()) / 1e9, 0.0)
                published.wait_for_subscriber(left_s, self._stopped.is_set)

    def _summarise(self, detector: Detector, tallies: Sequence[Tally]) -> None:
        """Print the summary; to standard error if JSON Lines go to standard output."""
        engine = detector.choice.engine
        where = sys.stderr if self._settings.output.jsonl == "-" else sys.stdout
        for tally in tallies:
            tally.print_summary(f"{engine.name} {engine.precision}", where)
        for runner in self._runners:
            if runner.missed and runner.name != "window":
                frames = "1 frame" if runner.missed == 1 else f"{runner.missed} frames"
                print(f"{runner.name}: {frames} left out; the output was slower than the source", file=where)

    def _raise_failures(self) -> None:
        failed = [runner.name for runner in self._runners if runner.failure is not None]
        if failed:
            raise SinkError(f"{', '.join(failed)}: given up during the run; what was written before is there")
        if any(runner.wants_stop for runner in self._runners if runner.name == "jsonl"):
            raise BrokenPipeError


@dataclass(frozen=True, slots=True)
class _Tracking:
    """The stages of every source up to its tracks, those with zones, and the trackers whose state must be saved."""

    stages: list[list[Callable[[Report], Report]]]
    zone_stages: list[ZoneStage]
    trackers: list[TrackStage]

    def close(self) -> None:
        """Save the trackers' state; log failures."""
        for tracker in self.trackers:
            try:
                tracker.close()
            except SinkError as error:
                _logger.warning("%s", error)


def _stages_of_tracks(
    settings: Settings, logged: Sequence[tuple[Source, StateLog]], detector: Detector, clock: Clock
) -> _Tracking:
    """Create the stages that check pictures, apply zones and track detections.

    Raises:
        SettingsError: The saved state of a source cannot be used.
    """
    stages: list[list[Callable[[Report], Report]]] = []
    zone_stages, trackers = [], []
    track = settings.track
    profile = packaged_profile(detector.card.name) if track.enabled else None
    if track.state_folder is not None:
        try:
            Path(track.state_folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"track.state_folder: {track.state_folder}: cannot be made: {reason(error)}") from error
    for (source, log), source_settings in zip(logged, settings.sources, strict=True):
        guard = PictureGuard(source, log, source_settings.frozen_after_s, clock)
        negative_peak = detector.negative_peak if detector.polarity == "hot" else None
        stages.append([guard.check, PictureWatch(source.name, log, negative_peak).check])
        zone_stages.append(ZoneStage(Zones(settings.zone, source.name)))
        stages[-1].append(zone_stages[-1].drop)
        if profile is None:
            continue
        folder = track.state_folder
        wanted = TrackerSettings(
            false_tracks_per_hour=None if track.false_tracks is None else per_hour(track.false_tracks),
            hovering=track.hovering,
            clutter_file=None if folder is None else str(Path(folder) / f"{source.name}-clutter.npz"),
        )
        trackers.append(TrackStage(Tracker(profile, wanted), guard, clock, track.min_state))
        stages[-1].append(trackers[-1].track)
        detector.weak_threshold = WEAK_SCORE
    if trackers and any(source.live for source, _ in logged):
        # A live source has no time for it when the first tracks compete for a detection.
        _in_thread(lambda: importlib.import_module("scipy.optimize"))
    return _Tracking(stages, zone_stages, trackers)


def _warn_of_lost(logged: Sequence[tuple[Source, StateLog]]) -> None:
    """Say which sources were not there when the run ended."""
    for source, log in logged:
        state = log.state
        if state is not None and state.state in ("connecting", "lost", "frozen"):
            text = "%s: the run ended while it was %s: %s"
            _logger.warning(text, source.name, state.state, state.reason, extra={"source": source.name})


def _high_water(sources: Sequence[Source]) -> int:
    """Return the messages to queue for a slow subscriber: two seconds' worth if all sources are live."""
    if not all(source.live for source in sources):
        return _FILE_HIGH_WATER  # a file's frames come as fast as they are processed
    return max(_MIN_HIGH_WATER, round(2 * sum((source.rate_hz or _DEFAULT_RATE_HZ) + 1 for source in sources)))


def _open_sources(
    wanted: Sequence[SourceSettings], logs: Sequence[StateLog], stack: contextlib.ExitStack, clock: Clock
) -> list[Source]:
    """Open all sources in parallel; the stack closes them, and their states go into the logs.

    Raises:
        SourceError: One cannot be opened.
        SettingsError: Two have the same name.
    """
    opening = [
        _in_thread(functools.partial(open_source, settings, clock, log.add, log.packets))
        for settings, log in zip(wanted, logs, strict=True)
    ]
    sources: list[Source] = []
    for future, log in zip(opening, logs, strict=True):
        source = future.result()
        stack.callback(source.close)
        if isinstance(source, ReconnectingSource):
            log.read_counts = functools.partial(getattr, source, "counts")
        if source.name in {other.name for other in sources}:
            raise SettingsError(
                f"source.name: expected a name of its own for each source, found {source.name} twice; "
                "give every source one with --name"
            )
        sources.append(source)
    return sources


def _in_thread(work: Callable[[], _T]) -> Future[_T]:
    """Run a function in a thread; its result or exception is in the future."""
    future: Future[_T] = Future()

    def do() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # raised by future.result()
            future.set_exception(error)

    threading.Thread(target=do, name="lpnet-load", daemon=True).start()
    return future
