"""Errors of angles on random synthetic cameras and targets, with and without distortion.

    python -m lpnet_rt.benchmarks.angles [--cameras 1000] [--seed 0] [--centroids]

Three tables: the arithmetic itself (everything known exactly); cameras that are known as well as by compass and level,
with the share of true directions within one and two of the stated standard errors; and calibrations from landmarks
that were marked with half a pixel of error. ``--centroids`` adds the detector's centroids in the demo scene, by which
the variance of a centroid was chosen.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from lpnet_rt.benchmarks.synthetic_cameras import Errors, angle_deg, perturbed, random_camera, seen_at, to_vectors
from lpnet_rt.camera_geometry import CameraGeometry, Directions, Points, unit_vectors
from lpnet_rt.camera_geometry.calibration import calibrate
from lpnet_rt.camera_geometry.landmarks import Landmark
from lpnet_rt.console import exit_code_of
from lpnet_rt.errors import SettingsError
from lpnet_rt.settings.camera import CameraSettings

__all__ = ["Judged", "calibrations", "directions", "main"]

_Array = NDArray[np.float64]

SIZE_HW = (512, 640)
_CENTROID_PX = 0.3
_MARKED_PX = 0.5
_SPREAD = 0.5  # two landmarks at least this share of the diagonal apart
_PERCENTILES = (50, 95, 100)
_GRID_WH = (9, 7)


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Errors over many cameras.

    Attributes:
        errors: (N,) great-circle errors, degrees, or errors in the picture, pixels.
        in_sigmas: (M, 2) errors of azimuth and elevation, in their stated standard errors.
        refused: Cameras that were refused.
    """

    errors: _Array
    in_sigmas: _Array
    refused: int = 0

    def within(self, sigmas: float) -> tuple[float, float]:
        """Shares of azimuths and elevations within a number of their standard errors."""
        azimuth, elevation = (np.abs(self.in_sigmas) <= sigmas).mean(axis=0)
        return float(azimuth), float(elevation)


def directions(count: int, rng: Generator, *, distorted: bool, errors: Errors | None) -> Judged:
    """Directions of one target for each of many random cameras.

    Args:
        count: Cameras.
        rng: Where chance comes from.
        distorted: Whether lenses distort.
        errors: How well each camera is known; None: exactly, and the centroid, too.
    """
    angles, in_sigmas = [], []
    for _ in range(count):
        stated = random_camera(rng, SIZE_HW, distorted=distorted)
        real, off_xy, noise_px = stated, (0.0, 0.0), 0.0
        if errors is None:
            stated = msgspec.structs.replace(stated, principal_point_error_px=0.0)
        else:
            real, off_xy = perturbed(stated, errors, rng)
            noise_px = _CENTROID_PX
            stated = msgspec.structs.replace(
                stated,
                azimuth_error_deg=errors.azimuth_deg,
                elevation_error_deg=errors.elevation_deg,
                roll_error_deg=errors.roll_deg,
                field_of_view_error_deg=errors.field_share * (stated.field_of_view_deg or 0.0),
                principal_point_error_px=errors.centre_px,
            )
        rays, xy = _target(real, off_xy, rng)
        found = _directions(CameraGeometry(stated, SIZE_HW), xy + rng.normal(0, noise_px, xy.shape), noise_px)
        truth = to_vectors(real, rays)
        angles.append(float(angle_deg(unit_vectors(found.azimuth_deg, found.elevation_deg), truth)[0]))
        if errors is not None:
            in_sigmas.append(_in_sigmas(found, truth)[0])
    return Judged(np.array(angles), np.array(in_sigmas).reshape(-1, 2))


def calibrations(count: int, rng: Generator, landmarks: int, *, distorted: bool) -> Judged:
    """Calibrations from landmarks at random places, judged over the whole picture, in pixels.

    Args:
        count: Cameras.
        rng: Where chance comes from.
        landmarks: Per camera.
        distorted: Whether lenses have k1.
    """
    errors, in_sigmas, refused = [], [], 0
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, side) for side in _GRID_WH)), axis=2).reshape(-1, 2)
    for _ in range(count):
        camera = _radial_camera(rng, distorted=distorted)
        geometry = CameraGeometry(camera, SIZE_HW)
        marked = _spread_pixels(landmarks, rng)
        vectors = to_vectors(camera, geometry.lens.rays(marked)[0])
        try:
            found = calibrate(
                _landmarks(marked + rng.normal(0, _MARKED_PX, marked.shape), vectors),
                SIZE_HW,
                pixel_error_px=_MARKED_PX,
                field_of_view_deg=1.2 * (camera.field_of_view_deg or 0.0),
            ).camera
        except SettingsError:
            refused += 1
            continue
        pixels = (grid + 1) / 2 * (SIZE_HW[1] - 1, SIZE_HW[0] - 1)
        truth = to_vectors(camera, geometry.lens.rays(pixels)[0])
        judged = CameraGeometry(found, SIZE_HW)
        errors.append(np.linalg.norm(judged.pixels(truth) - pixels, axis=1))
        in_sigmas.append(_in_sigmas(_directions(judged, pixels, 0.0), truth))
    return Judged(np.concatenate(errors), np.concatenate(in_sigmas), refused)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="Errors of angles on random synthetic cameras and targets.")
    parser.add_argument("--cameras", type=int, default=1000, help="how many (default: 1000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random numbers")
    parser.add_argument("--centroids", action="store_true", help="add the detector's centroids in the demo scene")
    args = parser.parse_args(arguments)
    if args.cameras < 1:
        raise SettingsError(f"--cameras: expected a whole number of at least 1, found {args.cameras}")
    console = Console(width=120)
    console.print(_direction_table(args.cameras, np.random.default_rng(args.seed)))
    console.print(_calibration_table(args.cameras, args.seed))
    if args.centroids:
        console.print(_centroid_table())
    console.print(_time_line())
    return 0


def _target(camera: CameraSettings, off_xy: tuple[float, float], rng: Generator) -> tuple[_Array, _Array]:
    """A random direction that a camera sees, x and y at z = 1, and its pixel."""
    half_x = math.tan(math.radians(camera.field_of_view_deg or 0.0) / 2) * 1.2
    while True:
        rays = rng.uniform(-1, 1, (1, 2)) * (half_x, half_x * SIZE_HW[0] / SIZE_HW[1])
        xy = seen_at(camera, rays, SIZE_HW, off_xy)
        if (xy >= 0).all() and (xy <= (SIZE_HW[1] - 1, SIZE_HW[0] - 1)).all():
            return rays, xy


def _directions(geometry: CameraGeometry, xy: _Array, noise_px: float) -> Directions:
    none = np.zeros(len(xy))
    return geometry.directions(Points(xy, np.full(len(xy), noise_px**2), np.zeros((len(xy), 2)), none))


def _in_sigmas(found: Directions, truth: _Array) -> _Array:
    """(N, 2) errors of azimuth and elevation in their standard errors."""
    azimuth = np.degrees(np.arctan2(truth[:, 0], truth[:, 1]))
    elevation = np.degrees(np.arcsin(np.clip(truth[:, 2], -1, 1)))
    off_azimuth = (found.azimuth_deg - azimuth + 180) % 360 - 180
    return np.column_stack(
        (off_azimuth / found.azimuth_error_deg, (found.elevation_deg - elevation) / found.elevation_error_deg)
    )


def _radial_camera(rng: Generator, *, distorted: bool) -> CameraSettings:
    """A random camera with no distortion but k1, whose model reaches the corners of the picture."""
    while True:
        drawn = random_camera(rng, SIZE_HW, distorted=distorted)
        camera = msgspec.structs.replace(drawn, k2=0.0, p1=0.0, p2=0.0)
        if CameraGeometry(camera, SIZE_HW).is_whole:
            return camera


def _spread_pixels(count: int, rng: Generator) -> _Array:
    """Random pixels, two of them at least half the diagonal apart."""
    while True:
        xy = rng.uniform(0.02, 0.98, (count, 2)) * (SIZE_HW[1] - 1, SIZE_HW[0] - 1)
        apart = np.linalg.norm(xy[:, None] - xy[None], axis=2).max()
        if apart >= _SPREAD * math.hypot(*SIZE_HW):
            return xy


def _landmarks(xy: _Array, vectors: _Array) -> list[Landmark]:
    azimuth = np.degrees(np.arctan2(vectors[:, 0], vectors[:, 1]))
    elevation = np.degrees(np.arcsin(np.clip(vectors[:, 2], -1, 1)))
    return [
        Landmark(str(number), (float(x), float(y)), float(a), float(e))
        for number, ((x, y), a, e) in enumerate(zip(xy, azimuth, elevation, strict=True))
    ]


def _direction_table(count: int, rng: Generator) -> Table:
    table = Table(title=f"{count:,} random cameras and targets: angle between found and true direction, degrees")
    for head in ("known", "lens", *(f"{p} %" if p < 100 else "max" for p in _PERCENTILES)):
        table.add_column(head, justify="left" if head in ("known", "lens") else "right")
    for head in ("az in 1 s", "el in 1 s", "az in 2 s", "el in 2 s"):
        table.add_column(head, justify="right")
    for errors, known in ((None, "exactly"), (Errors(), "with errors")):
        for distorted in (False, True):
            judged = directions(count, rng, distorted=distorted, errors=errors)
            digits = ".1e" if errors is None else ".3f"
            numbers = [format(value, digits) for value in np.percentile(judged.errors, _PERCENTILES)]
            shares = [] if errors is None else [f"{100 * share:.1f} %" for s in (1, 2) for share in judged.within(s)]
            table.add_row(known, "distorted" if distorted else "pinhole", *numbers, *shares)
    return table


def _calibration_table(count: int, seed: int) -> Table:
    title = f"{count:,} calibrations each, landmarks marked to {_MARKED_PX} px: error over the whole picture, pixels"
    table = Table(title=title)
    for head in (
        "landmarks",
        "lens",
        *(f"{p} %" if p < 100 else "max" for p in _PERCENTILES),
        "az in 1 s",
        "el in 1 s",
        "refused",
    ):
        table.add_column(head, justify="right")
    for landmarks, distorted in ((2, False), (3, False), (6, False), (6, True), (12, True)):
        judged = calibrations(count, np.random.default_rng(seed), landmarks, distorted=distorted)
        numbers = [f"{value:.2f}" for value in np.percentile(judged.errors, _PERCENTILES)]
        shares = [f"{100 * share:.1f} %" for share in judged.within(1)]
        table.add_row(str(landmarks), "distorted" if distorted else "pinhole", *numbers, *shares, str(judged.refused))
    return table


def _centroid_table() -> Table:
    """Centroids of the detector in 40 demo scenes, against their truth."""
    from lpnet_rt.detector import Detector
    from lpnet_rt.frames import Frame
    from lpnet_rt.pipeline.angle_stage import centroid_variance
    from lpnet_rt.settings import DetectorSettings
    from lpnet_rt.sources.demo import DemoScene

    detector = Detector.load(DetectorSettings(engine="onnxruntime"))
    off, sigma = [], []
    for seed in range(40):
        scene = DemoScene(seed, targets=12)
        for index in range(0, 400, 50):
            found = detector.report(Frame(scene.frame(index), index, "demo", None, 0, 0, bit_depth=14)).detections
            truth = scene.truth(index).centroid_xy
            for xy, variance in zip(found.centroid_xy, centroid_variance(found), strict=True):
                nearest = truth[np.argmin(((truth - xy) ** 2).sum(axis=1))] - xy
                if np.hypot(*nearest) < 4:
                    off.append(nearest)
                    sigma.append(math.sqrt(variance))
    ratio = np.abs(np.array(off)) / np.array(sigma)[:, None]
    table = Table(title=f"{len(off):,} centroids in the demo scene, pixels on either axis")
    for head in ("50 %", "95 %", "max", "stated, median", "in 1 s", "in 2 s"):
        table.add_column(head, justify="right")
    numbers = [f"{value:.2f}" for value in (*np.percentile(np.abs(off), _PERCENTILES), np.median(sigma))]
    table.add_row(*numbers, *(f"{100 * (ratio <= sigmas).mean():.1f} %" for sigmas in (1, 2)))
    return table


def _time_line() -> str:
    """Time of the directions of one frame with five detections and five tracks."""
    rng = np.random.default_rng(0)
    spent = []
    for distorted in (False, True):
        geometry = CameraGeometry(random_camera(rng, SIZE_HW, distorted=distorted), SIZE_HW)
        points = Points(rng.uniform(0, 500, (10, 2)), np.ones(10), rng.normal(size=(10, 2)), np.ones(10))
        times = []
        for _ in range(2000):
            start = time.perf_counter()
            geometry.directions(points)
            times.append(time.perf_counter() - start)
        spent.append(f"{1e6 * float(np.median(times)):.0f}")
    return f"Ten directions take {spent[0]} us, through a distorted lens {spent[1]} us (medians)."


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
