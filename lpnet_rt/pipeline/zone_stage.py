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
        self.zones = zones

    def drop(self, report: Report) -> Report:
        """Return the report without what does not count; the report itself where all of it does."""
        if not self.zones:
            return report
        size_hw = report.frame.size_hw
        counts = self.zones.select(report.detections, size_hw)
        weak_counts = self.zones.select(report.weak, size_hw)
        if counts.all() and weak_counts.all():
            return report
        return dataclasses.replace(
            report, detections=report.detections.rows(counts), weak=report.weak.rows(weak_counts)
        )
