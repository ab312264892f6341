"""``lpnet-rt calibrate``: a threshold for an allowed rate of false alarms, from a recording without targets."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import get_args

import cv2
import msgspec

from lpnet_rt.alarms import RULE_OF_THREE, AlarmLog, Finding, Unit, find_threshold, poisson_interval
from lpnet_rt.clock import SYSTEM_CLOCK
from lpnet_rt.detector import Detector
from lpnet_rt.errors import LostError, SettingsError, SourceError, TruncatedError
from lpnet_rt.files import refuse_existing, write_whole
from lpnet_rt.models.false_alarms import DEFAULT_RATE_HZ, false_per_frame, is_hourly
from lpnet_rt.pipeline import Pipeline, Session
from lpnet_rt.pipeline.guard import PictureGuard
from lpnet_rt.pipeline.picture_watch import PictureWatch
from lpnet_rt.pipeline.track_stage import TrackStage
from lpnet_rt.pipeline.zone_stage import ZoneStage
from lpnet_rt.reports import Report
from lpnet_rt.settings import DetectorSettings, Polarity, Settings, load_settings, per_hour, require_source, seconds_of
from lpnet_rt.settings.zones import zone_tables
from lpnet_rt.sources import Source, open_source
from lpnet_rt.sources.states import StateLog
from lpnet_rt.text import one_line, redact
from lpnet_rt.tracking import WEAK_SCORE, Tracker, TrackerSettings, packaged_profile
from lpnet_rt.view.alarm_map import alarm_map
from lpnet_rt.zones import Zones

__all__ = ["add_arguments", "run"]

_logger = logging.getLogger(__name__)

_BODY_THRESHOLD = 0.5
_S_PER_HOUR = 3600.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    parser.add_argument("--source", metavar="X", help="a recording without targets, or a live source: as in run")
    parser.add_argument("--false-alarms", required=True, metavar="RATE", help="allowed: 1/h, or 1/1000 (frames)")
    parser.add_argument("--out", required=True, type=Path, metavar="TOML", help="configuration file to write")
    parser.add_argument("--map", type=Path, metavar="PNG", help="picture of where alarms lie (default: as --out)")
    parser.add_argument("--time", metavar="TIME", help="stop after this time, such as 10m; needed for a live source")
    parser.add_argument("--zones", action="store_true", help="use the proposed zones; else they are comments")
    parser.add_argument("--config", metavar="FILE", help="TOML file with the settings that there are")
    parser.add_argument("--model", dest="detector.model", metavar="M", help="as in run")
    parser.add_argument("--engine", dest="detector.engine", metavar="E", help="as in run")
    parser.add_argument("--polarity", dest="detector.polarity", choices=get_args(Polarity), help="as in run")
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")


def run(args: argparse.Namespace) -> int:
    """Watch the source, and write what it shows.

    Raises:
        LpnetError: A flag or the configuration is wrong, the source or the model cannot be used, or a file exists.
    """
    picture = args.map or args.out.with_suffix(".png")
    false_per_frame(args.false_alarms)
    seconds = None if args.time is None else _seconds(args.time)
    for path, flag, suffix in ((args.out, "--out", ".toml"), (picture, "--map", ".png")):
        if path.suffix.lower() != suffix:
            raise SettingsError(f"{flag}: expected a file that ends in {suffix}, found {path}")
        refuse_existing(path, "calibrate", args.overwrite)
    settings = _settings(args)
    detector = Detector.load(msgspec.structs.replace(settings.detector, threshold=_BODY_THRESHOLD, false_alarms=None))
    source_settings = msgspec.structs.replace(settings.sources[0], reconnect="never")
    with closing(open_source(source_settings)) as source:
        if source.live and seconds is None and source_settings.frames is None:
            raise SettingsError("calibrate: expected --time for a live source, found none; take --time 10m or more")
        log = _watch(source, detector, settings, seconds)
    if not log.frames or log.size_hw is None:
        raise SourceError(f"{redact(source_settings.spec)}: expected frames that can be judged, found none")
    allowed = _allowed(args.false_alarms, log)
    unit: Unit = "h" if is_hourly(args.false_alarms) else "frame"
    finding = find_threshold(log, allowed, detector.card.threshold, unit)
    lines = [f"source: {source.name}", *_summary(log, args, finding, allowed)]
    write_whole(args.out, _toml(lines, args, settings, finding).encode(), "calibrate", overwrite=args.overwrite)
    used = finding.with_zones if args.zones else finding.threshold
    caption = f"{source.name}: {len(finding.shown)} detections in {_time(log.duration_s)}; threshold {used:.6g}"
    drawn = alarm_map(log.mean_frame(), finding.shown.xy, finding.zones, caption)
    write_whole(picture, cv2.imencode(".png", drawn)[1].tobytes(), "calibrate", overwrite=args.overwrite)
    print("\n".join([*lines, f"written: {args.out}, {picture}"]))
    return 0


def _seconds(time: str) -> float:
    if time[:-1].isascii() and time[:-1].isdigit() and time[-1] in "smhd" and len(time) <= 7:
        return seconds_of(time)
    raise SettingsError(f"--time: expected a number with s, m, h or d, such as 10m, found {time!r}")


def _settings(args: argparse.Namespace) -> Settings:
    names = ("detector.model", "detector.engine", "detector.polarity")
    settings = load_settings(args.config, {"source.spec": args.source, **{name: vars(args)[name] for name in names}})
    require_source(settings)
    if len(settings.sources) > 1:
        raise SettingsError(f"calibrate: expected one source, found {len(settings.sources)}; name one with --source")
    return settings


def _watch(source: Source, detector: Detector, settings: Settings, seconds: float | None) -> AlarmLog:
    """Run the source through the detector, its zones and a tracker, as a run would."""
    detector.weak_threshold = WEAK_SCORE
    if source.rate_hz is None and not source.live:
        _logger.info("%s: the frame rate is unknown, taking %g frames/s", source.name, DEFAULT_RATE_HZ)
    log = AlarmLog(source.rate_hz or DEFAULT_RATE_HZ)
    guard = PictureGuard(source, StateLog(), settings.sources[0].frozen_after_s, SYSTEM_CLOCK)
    track = settings.track
    wanted = TrackerSettings(
        false_tracks_per_hour=None if track.false_tracks is None else per_hour(track.false_tracks),
        hovering=track.hovering,
    )
    tracker = TrackStage(Tracker(packaged_profile(), wanted), guard, SYSTEM_CLOCK)
    watch = PictureWatch(source.name, StateLog(), detector.negative_peak if detector.polarity == "hot" else None)
    zones = ZoneStage(Zones(settings.zone, source.name))
    stages: list[Callable[[Report], Report]] = [guard.check, watch.check, zones.drop, tracker.track, log.add]

    def end_in_time(report: Report) -> Report:
        if seconds is not None and log.duration_s >= seconds:
            pipeline.stop()
        return report

    pipeline = Pipeline([Session(source, [], [*stages, end_in_time], settings.sources[0].frames)], detector)
    try:
        pipeline.run()
    except (LostError, TruncatedError) as error:
        if not log.frames:
            raise
        _logger.warning("%s; going on with what was watched", error)
    return log


def _time(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds < 120 else f"{seconds / 60:,.1f} minutes"


def _allowed(rate: str, log: AlarmLog) -> float:
    """Return how many detections the rate allows in what was watched."""
    hours = log.duration_s / _S_PER_HOUR
    return per_hour(rate) * hours if is_hourly(rate) else false_per_frame(rate) * log.frames


def _summary(log: AlarmLog, args: argparse.Namespace, finding: Finding, allowed: float) -> list[str]:
    """Say what was found, in lines."""
    hours = log.duration_s / _S_PER_HOUR
    failed = f" ({log.failed} more could not be judged)" if log.failed else ""
    lines = [f"watched: {_time(log.duration_s)}, {log.frames:,} frames{failed}"]
    lines.append(f"asked: at most {args.false_alarms} false detections, which are {allowed:.3g} in this recording")
    if not finding.is_shown:
        needed = f"{60 * hours * RULE_OF_THREE / allowed:,.0f} minutes"
        if not is_hourly(args.false_alarms):
            needed = f"{log.frames * RULE_OF_THREE / allowed:,.0f} frames"
        lines.append(
            f"too short: it takes {needed} without a false detection to show that rate (95 %); "
            "the threshold is one that leaves none here, and not under the model's"
        )
    lines.append(f"threshold: {finding.threshold:.6g}")
    lines.append(f"false detections left: {finding.left}; separate alarms: {finding.alarms_left}")
    if log.is_tracked:
        lines.append(f"confirmed tracks, at any threshold: {poisson_interval(log.confirmed, hours)}")
    if log.confirmed:
        lines.append("tracks that were confirmed may be targets: look at the picture, in which what moves draws lines")
    if finding.zones:
        count = "1 proposed zone" if len(finding.zones) == 1 else f"{len(finding.zones)} proposed zones"
        use = "used" if args.zones else "not used: remove the comment signs, or give --zones"
        lines.append(f"{count} where alarms cluster; the threshold would be {finding.with_zones:.6g} ({use})")
    return lines


def _toml(lines: Sequence[str], args: argparse.Namespace, settings: Settings, finding: Finding) -> str:
    """Write the configuration: comments, the detector, the zones that there are, and the proposed ones."""
    detector = settings.detector
    values: dict[str, object] = {"model": detector.model, "polarity": detector.polarity}
    values = {key: value for key, value in values.items() if value != getattr(DetectorSettings(), key)}
    values["threshold"] = finding.with_zones if args.zones else finding.threshold
    head = [f"# {one_line(line)}" for line in ("Made by lpnet-rt calibrate; give the source with --source.", *lines)]
    table = ["[detector]", *(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items())]
    kept = zone_tables(settings.zone).splitlines()
    proposed = zone_tables(finding.zones).splitlines()
    if finding.zones and not args.zones:
        proposed = [
            "# Proposed: look at the picture first; nothing is detected in an ignore zone.",
            f"# With these zones: threshold = {finding.with_zones:.6g}",
            *(f"# {line}".rstrip() for line in proposed),
        ]
    return "\n".join([*head, "", *table, "", *kept, *([""] if kept else []), *proposed]).rstrip() + "\n"
