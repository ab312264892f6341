"""The demo scene: a generated infrared sky with targets at known positions."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import cv2
import numpy as np
from numpy.typing import NDArray

from lpnet_rt.clock import SYSTEM_CLOCK, Clock
from lpnet_rt.errors import SettingsError
from lpnet_rt.frames import Frame
from lpnet_rt.settings import SourceSettings
from lpnet_rt.sources.pacing import Pacer
from lpnet_rt.sources.scenery import make_clouds, make_scenery, make_sensor
from lpnet_rt.sources.targets import make_targets

__all__ = ["DemoScene", "DemoSource", "DemoTruth"]

_DEFAULT_FRAMES = 600
_RATE_HZ = 30.0
_MIN_SIDE_PX = 64
_MAX_TARGETS = 64
_BIT_DEPTH = 14
# Separates the random numbers of the noise from those of the targets.
_NOISE_STREAM = 1


@dataclass(frozen=True, slots=True)
class DemoTruth:
    """Columns over the N targets whose centres lie in a frame.

    Attributes:
        target: (N,) int32, number of the target, the same in every frame.
        centroid_xy: (N, 2) float32, centre, pixels; the centre of the first pixel is (0, 0).
        extent_px: (N,) float32, diameter that holds nearly all of the target's light, 2 to 12.
        peak: (N,) float32, counts that the target adds to its brightest pixel; the noise has 4.
    """

    target: NDArray[np.int32]
    centroid_xy: NDArray[np.float32]
    extent_px: NDArray[np.float32]
    peak: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.target)


class DemoScene:
    """A sky as a 14-bit thermal camera sees it: clouds, ground, noise, dead pixels, and targets.

    The seed determines everything, and frames can be rendered in any order.
    """

    def __init__(self, seed: int = 0, size_hw: tuple[int, int] = (512, 640), targets: int | None = None) -> None:
        """Generate what all frames share.

        Args:
            seed: The same seed gives the same frames.
            size_hw: Height and width in pixels, at least 64 each.
            targets: Number of targets, 0 to 64; None: 3 to 6, depending on the seed.

        Raises:
            SettingsError: The size or the number of targets is out of range.
        """
        if min(size_hw) < _MIN_SIDE_PX:
            raise SettingsError(f"demo scene: expected sides of at least {_MIN_SIDE_PX} px, found {size_hw}")
        if targets is not None and not 0 <= targets <= _MAX_TARGETS:
            raise SettingsError(f"demo scene: expected 0 to {_MAX_TARGETS} targets, found {targets}")
        rng = np.random.default_rng(seed)
        self._seed = seed
        self._size_hw = size_hw
        count = int(rng.integers(3, 7))
        self._targets = make_targets(seed, size_hw, count if targets is None else targets)
        scenery = make_scenery(rng, size_hw)
        self._clouds = make_clouds(rng, size_hw)
        self._sensor = make_sensor(rng, size_hw)
        self._sky = scenery.sky
        self._still = scenery.counts + self._sensor.fixed

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self._size_hw

    @property
    def dead_xy(self) -> NDArray[np.int32]:
        """(D, 2) int32, pixels that are stuck at a high or low value."""
        return self._sensor.dead_xy.copy()

    def frame(self, index: int) -> NDArray[np.uint16]:
        """Render a frame.

        Args:
            index: Number of the frame, from 0.

        Returns:
            (H, W) uint16, raw counts of a 14-bit camera.
        """
        width = self._size_hw[1]
        heaps, streaks = (layer.at(index, width) for layer in self._clouds)
        counts = cv2.add(heaps, streaks, dst=heaps)
        cv2.multiply(counts, self._sky, dst=counts)
        cv2.add(counts, self._still, dst=counts)
        for target in self._targets:
            blob = target.blob(index, self._size_hw)
            if blob is not None:
                rows, columns, added = blob
                cv2.add(counts[rows, columns], added, dst=counts[rows, columns])
        noise = self._sensor.noise_of(np.random.default_rng((_NOISE_STREAM, index, self._seed)))
        image = cv2.add(counts, noise, dtype=cv2.CV_16U).astype(np.uint16, copy=False)
        image[self._sensor.dead_xy[:, 1], self._sensor.dead_xy[:, 0]] = self._sensor.dead_counts
        return image

    def truth(self, index: int) -> DemoTruth:
        """Return the targets of a frame, without those whose centre has left the picture."""
        height, width = self._size_hw
        rows: list[tuple[int, float, float, float, float]] = []
        for number, target in enumerate(self._targets):
            x, y = target.centre_xy(index)
            blob = target.blob(index, self._size_hw)
            if blob is not None and -0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5:
                rows.append((number, x, y, target.extent_px, float(blob[2].max())))
        table = np.array(rows, np.float64).reshape(-1, 5)
        return DemoTruth(
            target=table[:, 0].astype(np.int32),
            centroid_xy=table[:, 1:3].astype(np.float32),
            extent_px=table[:, 3].astype(np.float32),
            peak=table[:, 4].astype(np.float32),
        )


class DemoSource:
    """Delivers the demo scene at 30 frames/s of stream time, as fast as it is read or in realtime."""

    def __init__(self, settings: SourceSettings, clock: Clock = SYSTEM_CLOCK, scene: DemoScene | None = None) -> None:
        """Make the scene.

        Args:
            settings: ``name``, ``frames`` (600 if None), ``realtime`` and ``seed`` are used.
            clock: Clock for read times, and for waits in realtime.
            scene: Scene to use instead of the seed's.
        """
        self._scene = scene or DemoScene(settings.seed)
        self._name = settings.name or "demo"
        self._frames = settings.frames or _DEFAULT_FRAMES
        self._limited = settings.frames is not None
        self._clock = clock
        self._closed = Event()
        self._pacer = Pacer(clock, _RATE_HZ) if settings.realtime else None

    @property
    def scene(self) -> DemoScene:
        """The scene, which has the ground truth."""
        return self._scene

    @property
    def name(self) -> str:
        """Name for message topics."""
        return self._name

    @property
    def live(self) -> bool:
        """True in realtime: a late reader misses frames."""
        return self._pacer is not None

    @property
    def frame_count(self) -> int:
        """Number of frames."""
        return self._frames

    @property
    def rate_hz(self) -> float:
        """30 frames per second."""
        return _RATE_HZ

    @property
    def files(self) -> tuple[Path, ...]:
        """Empty: nothing is read from files."""
        return ()

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames of the scene in order; in realtime, readers miss some and enforce the limit."""
        for index in itertools.count() if self.live and self._limited else range(self._frames):
            image = self._scene.frame(index)
            pts_s = index / _RATE_HZ
            due_ns = self._pacer.wait(pts_s, self._closed) if self._pacer else self._clock.monotonic_ns()
            if self._closed.is_set():
                return
            late_us = (self._clock.monotonic_ns() - due_ns) // 1000
            yield Frame(
                image=image,
                index=index,
                source=self._name,
                pts_s=pts_s,
                t_capture_us=self._clock.unix_us() - late_us,
                t_read_ns=due_ns,
                bit_depth=_BIT_DEPTH,
            )

    def close(self) -> None:
        """End the iteration before its next frame."""
        self._closed.set()
