"""The stage of a session that says where detections and tracks are as seen from the camera."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from lpnet_rt.camera_geometry import CameraGeometry, Points
from lpnet_rt.detections import Detections
from lpnet_rt.reports import Report
from lpnet_rt.settings.camera import CameraSettings, camera_of

__all__ = ["AngleStage", "angle_stages", "centroid_variance", "warn_of_strange_cameras"]

_logger = logging.getLogger(__name__)

# Fitted to the centroids of the demo scene; docs/angles.md has the fit.
_FLOOR_PX, _PER_SIZE_AND_SNR = 0.1, 0.25
_UNKNOWN_PX = 0.5
_MIN_SNR = 1.0


class AngleStage:
    """Adds directions to reports; it stands behind the tracker.

    The camera is taken to stand still: shaking moves all directions alike. Velocities are those of the tracker, which
    takes the camera's motion out.
    """

    def __init__(self, camera: CameraSettings, source: str) -> None:
        """Use the camera of a source; its geometry is made for the first frame's size.

        Args:
            camera: Lens and orientation.
            source: Name of the source, for messages.
        """
        self._camera, self._source = camera, source
        self._geometry: CameraGeometry | None = None

    def add(self, report: Report) -> Report:
        """Return the report with its directions."""
        geometry = self._geometry
        if geometry is None or geometry.lens.size_hw != report.frame.size_hw:
            geometry = self._geometry = CameraGeometry(self._camera, report.frame.size_hw)
            if not geometry.is_whole:
                _logger.warning(
                    "%s: camera: the distortion (k1 to k3) has no inverse at the corners of the picture; what lies "
                    "there has no direction; measure the lens with points near the corners",
                    self._source,
                )
        points = _points(report)
        return report if not len(points.xy) else dataclasses.replace(report, directions=geometry.directions(points))


def angle_stages(cameras: tuple[CameraSettings, ...], source: str) -> list[Callable[[Report], Report]]:
    """The stage of a source that has a camera in the settings, or none."""
    camera = camera_of(cameras, source)
    return [] if camera is None else [AngleStage(camera, source).add]


def warn_of_strange_cameras(cameras: tuple[CameraSettings, ...], sources: Sequence[str]) -> None:
    """Say which cameras belong to no source of this run: a name may be misspelt."""
    for camera in cameras:
        if camera.source is not None and camera.source not in sources:
            _logger.warning("camera: its source %s is not in this run (%s)", camera.source, ", ".join(sources))


def centroid_variance(detections: Detections) -> NDArray[np.float64]:
    """(D,) variance of each centroid on either axis, px^2: it grows with a target's size, and with noise.

    A matched filter places a target to about its size over its SNR; the floor is the grid of pixels and the shape of
    what the network takes for the target.
    """
    area, snr = detections.area_px.astype(np.float64), detections.snr.astype(np.float64)
    variance: NDArray[np.float64] = _FLOOR_PX**2 + (_PER_SIZE_AND_SNR / np.maximum(snr, _MIN_SNR)) ** 2 * area
    return variance


def _points(report: Report) -> Points:
    """Detections, then tracks, then the events' first and last places."""
    detections, update = report.detections, report.tracks
    if update is None:
        none = np.zeros(len(detections))
        xy = detections.centroid_xy.astype(np.float64)
        return Points(xy, centroid_variance(detections), np.zeros((len(xy), 2)), none)
    tracks = update.tracks
    firsts, lasts = [event.first_xy for event in update.events], [event.last_xy for event in update.events]
    ends = np.array([*firsts, *lasts], np.float64).reshape(-1, 2)
    count, total = len(detections), len(detections) + len(tracks) + len(ends)
    velocity, velocity_variance = np.zeros((total, 2)), np.zeros(total)
    of_tracks = slice(count, count + len(tracks))
    velocity[of_tracks] = tracks.velocity_xy
    velocity_variance[of_tracks] = tracks.covariance[:, 2, 2]
    variance = np.full(total, _UNKNOWN_PX**2)
    variance[:count], variance[of_tracks] = centroid_variance(detections), tracks.covariance[:, 0, 0]
    return Points(np.concatenate((detections.centroid_xy, tracks.xy, ends)), variance, velocity, velocity_variance)
