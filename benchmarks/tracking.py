"""How long tracking takes: the tracker with few and with many detections, and the camera's motion.

python -m lpnet_rt.benchmarks.tracking
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator

import cv2
import numpy as np

from lpnet_rt.benchmarks.results import Spread
from lpnet_rt.clock import SYSTEM_CLOCK, Clock
from lpnet_rt.detections import Detections
from lpnet_rt.frames import GreyImage
from lpnet_rt.tracking import CameraMotionEstimator, Tracker, packaged_profile
from lpnet_rt.tracking.camera_motion import StillCamera

__all__ = ["measure_camera_motion", "measure_tracker", "run"]

_SIZE_HW = (512, 640)
_WARM_UP = 60
_FRAME_S = 1.0 / 30.0


def measure_tracker(targets: int, frames: int, clock: Clock = SYSTEM_CLOCK) -> Spread:
    """Time :meth:`lpnet_rt.tracking.Tracker.update` without the camera's motion.

    Targets move in straight lines with noise; of twenty, one is missing from each frame, and one false one is added.

    Args:
        targets: In the scene at any time.
        frames: Timed, after sixty that are not.
        clock: Tells the time.
    """
    tracker = Tracker(packaged_profile(), camera=StillCamera())
    image = np.zeros(_SIZE_HW, np.uint8)
    scene = _scene(targets)
    times_ms = []
    for frame in range(_WARM_UP + frames):
        detections = next(scene)
        began = clock.monotonic_ns()
        tracker.update(image, detections, frame * _FRAME_S)
        times_ms.append((clock.monotonic_ns() - began) / 1e6)
    return Spread.of(times_ms[_WARM_UP:])


def measure_camera_motion(
    frames: int, dtype: type[np.unsignedinteger] = np.uint8, clock: Clock = SYSTEM_CLOCK
) -> Spread:
    """Time :meth:`lpnet_rt.tracking.CameraMotionEstimator.update` on a shaken background with noise.

    Args:
        frames: Timed, after sixty that are not.
        dtype: Of the frames: uint8 or uint16.
        clock: Tells the time.
    """
    rng = np.random.default_rng(2)
    pictures = list(_shaken(rng, 40, dtype))
    estimator = CameraMotionEstimator()
    targets_xy = rng.uniform(0, 500, (20, 2))
    times_ms = []
    for frame in range(_WARM_UP + frames):
        # To and fro, so that the last picture and the first are neighbours too.
        place = frame % (2 * len(pictures) - 2)
        picture = pictures[min(place, 2 * len(pictures) - 2 - place)]
        began = clock.monotonic_ns()
        estimator.update(picture, targets_xy)
        times_ms.append((clock.monotonic_ns() - began) / 1e6)
    return Spread.of(times_ms[_WARM_UP:])


def run(frames: int, write: Callable[[str], object]) -> None:
    """Measure everything with one thread and write a table.

    Args:
        frames: Timed for each row.
        write: Takes the lines.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        rows = [(f"tracker, {targets} targets", measure_tracker(targets, frames)) for targets in (1, 20, 500)]
        rows += [
            (f"camera motion, 640x512 {dtype.__name__}", measure_camera_motion(frames, dtype))
            for dtype in (np.uint8, np.uint16)
        ]
    finally:
        cv2.setNumThreads(threads)
    write(f"{'ms':32} {'median':>8} {'p95':>8} {'p99':>8} {'max':>8}")
    for name, spread in rows:
        write(f"{name:32} {spread.p50_ms:8.3f} {spread.p95_ms:8.3f} {spread.p99_ms:8.3f} {spread.max_ms:8.3f}")


def _scene(targets: int) -> Iterator[Detections]:
    """The detections of one frame after the other."""
    rng = np.random.default_rng(1)
    height, width = _SIZE_HW
    place, velocity = rng.uniform(0, (width, height), (targets, 2)), rng.normal(0, 1.5, (targets, 2))
    while True:
        place = (place + velocity) % (width, height)
        seen = (place + rng.normal(0, 0.3, (targets, 2)))[rng.random(targets) > 0.05]
        false = rng.uniform(0, (width, height), (targets // 20, 2))
        xy = np.concatenate((seen, false)).clip(0, (width - 1, height - 1))
        count = len(xy)
        corner = xy.astype(np.int32) - 1
        yield Detections(
            centroid_xy=xy.astype(np.float32),
            box_xyxy=np.concatenate((corner, corner + 4), axis=1),
            score=rng.uniform(0.1, 1.0, count).astype(np.float32),
            area_px=np.full(count, 9, np.int32),
            peak=np.full(count, 100, np.int32),
            snr=np.full(count, 5.0, np.float32),
        )


def _shaken(rng: np.random.Generator, count: int, dtype: type[np.unsignedinteger]) -> Iterator[GreyImage]:
    height, width = _SIZE_HW
    scene = cv2.GaussianBlur(rng.normal(0, 1, (height + 80, width + 80)), (0, 0), 6)
    scene = (scene - scene.min()) / np.ptp(scene) * (200 if dtype is np.uint8 else 9000)
    for _ in range(count):
        dx, dy = rng.integers(38, 43, 2)
        yield (scene[dy : dy + height, dx : dx + width] + rng.normal(20, 2, (height, width))).clip(0).astype(dtype)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Time the tracker and the camera's motion.")
    parser.add_argument("--frames", type=int, default=600, help="frames timed for each row (600)")
    run(parser.parse_args().frames, lambda line: sys.stdout.write(f"{line}\n"))
