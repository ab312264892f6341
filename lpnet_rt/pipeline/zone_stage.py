"""The stage of a session that drops what lies where nothing counts."""

from __future__ import annotations

import dataclasses

from lpnet_rt.reports import Report
from lpnet_rt.zones import Zones

__all__ = ["ZoneStage"]


class ZoneStage:
    """Drops detections, and weak ones, in ignore zones or outside of all watch zones.

    It stands before the tracker, so that what is dropped neither begins nor extends a track.

    Attributes:
        zones: Those of this source; may be replaced between two reports.
    """

    def __init__(self, zones: Zones) -> None:
        """Use the zones of this source."""
        self._zones = zones

    @property
    def zones(self) -> Zones:
        """The zones in use; other ones may be set from any thread, and hold from the next frame."""
        return self._zones

    @zones.setter
    def zones(self, zones: Zones) -> None:
        self._zones = zones

    def drop(self, report: Report) -> Report:
        """Return the report without what does not count; the report itself where all of it does."""
        zones, size_hw = self._zones, report.frame.size_hw
        if not zones:
            return report
        counts = zones.select(report.detections, size_hw)
        weak_counts = zones.select(report.weak, size_hw)
        if counts.all() and weak_counts.all():
            return report
        return dataclasses.replace(
            report, detections=report.detections.rows(counts), weak=report.weak.rows(weak_counts)
        )
