"""The settings that can change while a run goes on: thresholds, zones, JSON Lines and saved pictures."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from lpnet_rt.clock import Clock
from lpnet_rt.detector import Detector
from lpnet_rt.errors import SettingsError
from lpnet_rt.pipeline import Pipeline, Session
from lpnet_rt.pipeline.zone_stage import ZoneStage
from lpnet_rt.reloading import Change
from lpnet_rt.settings import EventSettings, Settings
from lpnet_rt.sinks.base import SinkRunner
from lpnet_rt.sinks.opening import Outputs, open_outputs
from lpnet_rt.sources import Source
from lpnet_rt.sources.states import StateLog
from lpnet_rt.zones import Zones

__all__ = ["Recordings", "Running", "WhatCounts", "warn_of_strange_zones"]

_logger = logging.getLogger(__name__)

_LINES = frozenset({"output.jsonl"})
_PICTURES = frozenset({"output.save", "output.segment", "output.keep_age", "output.keep_size"})


@dataclass(frozen=True, slots=True)
class Running:
    """The parts of a run that settings act on; lists have one item per source, in order.

    Attributes:
        settings: With which the run began.
        logged: Sources and their states.
        detector: For all sources.
        zone_stages: The stages that drop what lies in zones.
        outputs: The open outputs.
        sessions: The sessions.
        pipeline: The pipeline of these sessions.
        runners: All outputs that there ever were, for the report at the end.
        clock: Clock of the run.
    """

    settings: Settings
    logged: Sequence[tuple[Source, StateLog]]
    detector: Detector
    zone_stages: Sequence[ZoneStage]
    outputs: Sequence[Outputs]
    sessions: Sequence[Session]
    pipeline: Pipeline
    runners: list[SinkRunner]
    clock: Clock


class WhatCounts:
    """Threshold, rate of false alarms, and zones."""

    keys = frozenset({"detector.threshold", "detector.false_alarms", "zone"})

    def __init__(self, running: Running) -> None:
        """Change them in a run."""
        self._running = running

    def prepare(self, settings: Settings) -> Change:
        """See :class:`lpnet_rt.reloading.Reloadable`; tracks go on, and a new threshold acts on the next frame."""
        running = self._running
        rates_hz = [source.rate_hz for source, _ in running.logged]
        rate_hz = None if None in rates_hz else max(rate or 0.0 for rate in rates_hz)
        threshold = running.detector.threshold_for(settings.detector, rate_hz)
        if threshold != running.detector.threshold and running.settings.output.masks is not None:
            raise SettingsError("detector.threshold: masks of one folder share one threshold; restart to change it")
        zones = [Zones(settings.zone, source.name) for source, _ in running.logged]
        warn_of_strange_zones(settings, [source for source, _ in running.logged])

        def change() -> None:
            running.detector.threshold = threshold
            for own, stage, outputs in zip(zones, running.zone_stages, running.outputs, strict=True):
                stage.zones = own
                outputs.redraw(threshold, own)

        return change


class Recordings:
    """JSON Lines and saved pictures: files that are opened or closed."""

    keys = _LINES | _PICTURES

    def __init__(self, running: Running) -> None:
        """Change them in a run."""
        self._running = running
        self._output = running.settings.output

    def prepare(self, settings: Settings) -> Change:
        """See :class:`lpnet_rt.reloading.Reloadable`; the old files get every frame up to the change."""
        running, output, before = self._running, settings.output, self._output
        has_lines, has_pictures = output.jsonl != before.jsonl, _pictures(output) != _pictures(before)
        if has_lines and "-" in (output.jsonl, before.jsonl):
            raise SettingsError("output.jsonl: standard output is opened and closed only at a start; restart")
        wanted = msgspec.structs.replace(
            output,
            show=False,
            masks=None,
            jsonl=output.jsonl if has_lines else None,
            save=output.save if has_pictures else None,
        )
        stampers = [outputs.stamper for outputs in running.outputs]
        settings = msgspec.structs.replace(settings, output=wanted, events=EventSettings())
        opened = open_outputs(settings, running.logged, running.detector, None, running.clock, stampers)
        names = ("jsonl",) * has_lines + ("save",) * has_pictures

        def change() -> None:
            self._output = output
            for number, (outputs, new) in enumerate(zip(running.outputs, opened, strict=True)):
                old = outputs.take_over(new, names)
                running.runners.extend(new.runners)
                if running.pipeline.is_open(number):
                    running.sessions[number].exchange(old, new.runners)
                else:
                    for runner in new.runners:
                        runner.try_close("end")

        return change


def _pictures(output: object) -> tuple[object, ...]:
    return tuple(getattr(output, key.partition(".")[2]) for key in sorted(_PICTURES))


def warn_of_strange_zones(settings: Settings, sources: Sequence[Source]) -> None:
    """Say which zones belong to no source of this run: a name may be misspelt."""
    names = [source.name for source in sources]
    for zone in settings.zone:
        if zone.source is not None and zone.source not in names:
            _logger.warning("zone %s: its source %s is not in this run (%s)", zone.name, zone.source, ", ".join(names))
