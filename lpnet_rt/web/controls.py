"""What viewers may change: the threshold and the zones. Changes act from the next frame on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from lpnet_rt.detector import Detector
from lpnet_rt.errors import SettingsError
from lpnet_rt.models.false_alarms import DEFAULT_RATE_HZ
from lpnet_rt.pipeline.zone_stage import ZoneStage
from lpnet_rt.settings.zones import ZoneSettings, refuse_points
from lpnet_rt.web.zone_file import save_zones
from lpnet_rt.zones import Zones

__all__ = ["Controls"]

_logger = logging.getLogger(__name__)

_MAX_ZONES = 64


class Controls:
    """The running detector and the zones of every source; thread-safe.

    Attributes:
        can_edit: Whether viewers may change anything.
        config: The configuration file that zones are saved in, or None.
        version: Rises with every change.
    """

    def __init__(
        self,
        detector: Detector,
        stages: Mapping[str, ZoneStage],
        can_edit: bool,
        config: str | None,
        rate_hz: float | None,
    ) -> None:
        """Use what runs.

        Args:
            detector: Of the run.
            stages: The stages that apply zones, by source.
            can_edit: Whether viewers may change anything.
            config: The configuration file of the run, or None.
            rate_hz: Highest frame rate of the sources, for false alarms per hour, or None.
        """
        self.can_edit = can_edit
        self.config = None if config is None else Path(config)
        self.version = 0
        self._detector, self._stages = detector, stages
        self._rate_hz = rate_hz or DEFAULT_RATE_HZ
        self._lock = threading.Lock()

    @property
    def threshold(self) -> float:
        """Lowest peak score of a detection, 0 to 1."""
        return self._detector.threshold

    @property
    def floor(self) -> float:
        """Lowest score of which anything is known."""
        weak = self._detector.weak_threshold
        return self.threshold if weak is None else min(weak, self.threshold)

    def rates(self) -> list[tuple[float, float]]:
        """Return thresholds and their false detections per hour, by the model's card; none if it has none."""
        scores = self._detector.card.scores
        rows = [] if scores is None else scores.thresholds
        return [
            (row.threshold, row.false_per_frame * self._rate_hz * 3600) for row in rows if row.threshold is not None
        ]

    def set_threshold(self, threshold: float) -> None:
        """Use another threshold, from the next frame on.

        Args:
            threshold: Over 0, at most 1.

        Raises:
            SettingsError: It is out of range.
        """
        if not 0 < threshold <= 1:
            raise SettingsError(f"threshold: expected a number over 0 and at most 1, found {threshold:g}")
        with self._lock:
            self._detector.threshold = threshold
            self.version += 1
        _logger.info("web: threshold %.4g", threshold)

    def zones(self, source: str) -> tuple[ZoneSettings, ...]:
        """Return the zones of a source, those of every source included."""
        stage = self._stages.get(source)
        return () if stage is None else stage.zones.zones

    def set_zones(self, source: str, zones: Sequence[ZoneSettings]) -> bool:
        """Use other zones for a source, and save them if there is a configuration file.

        Zones of every source stay as they are.

        Args:
            source: Name of the source.
            zones: All of its own zones; their ``source`` is set.

        Returns:
            Whether they were saved.

        Raises:
            SettingsError: A zone is invalid, there are over 64, or there is no such source.
            SinkError: They are in use, but the file cannot be written.
        """
        stage = self._stages.get(source)
        if stage is None:
            raise SettingsError(f"zones: expected the name of a source of this run, found {source[:64]!r}")
        if len(zones) > _MAX_ZONES:
            raise SettingsError(f"zones: expected at most {_MAX_ZONES}, found {len(zones)}")
        own = [msgspec.structs.replace(zone, source=source) for zone in zones]
        for number, zone in enumerate(own, start=1):
            refuse_points(zone, f"zone {number} ({zone.name})")
        with self._lock:
            shared = [zone for zone in stage.zones.zones if zone.source is None]
            stage.zones = Zones([*shared, *own], source)
            self.version += 1
            if self.config is not None:
                save_zones(self.config, source, own)
        _logger.info("web: %s: zones: %d%s", source, len(own), "" if self.config is None else ", saved")
        return self.config is not None
