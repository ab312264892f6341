"""Detector: images to Detections; the Python API.

from lpnet_rt.detector import Detector

detector = Detector.load()
for detection in detector.detect(image).centroid_xy: ...
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lpnet_rt.clock import SYSTEM_CLOCK, Clock
from lpnet_rt.detections import Detections, HotPixels, detect_hot, hot_pixels, least_score
from lpnet_rt.engines import Choice, DeviceEngine, Engine, choose_engine
from lpnet_rt.engines.base import StoppableEngine
from lpnet_rt.engines.tiled import UNTILED_PX, TiledEngine, seen_px
from lpnet_rt.errors import EngineError
from lpnet_rt.frames import Frame, GreyImage, ModelInput, to_grey
from lpnet_rt.inputs import prepare, restore
from lpnet_rt.models import ModelCard, find_model
from lpnet_rt.reports import Latency, Report
from lpnet_rt.settings import DetectorSettings

__all__ = ["LEAST_SIDE_PX", "Detector"]

# Less is no picture of a target and its surroundings; padding of a frame without a pixel would never end.
LEAST_SIDE_PX = 8
_NOT_FINITE = "expected finite scores, found NaN or infinity"


class Detector:
    """A model in an engine, with its threshold; threads may share one, and take turns in the engine."""

    def __init__(self, card: ModelCard, choice: Choice, threshold: float, clock: Clock = SYSTEM_CLOCK) -> None:
        self.card = card
        self.choice = choice
        self.threshold = threshold
        self._clock = clock
        self._turn = threading.Lock()
        # LPNet-RT's frames stay at native resolution; those of the paper's network become small squares.
        is_ours = card.network == "LPNetRT"
        self._engine: Engine = TiledEngine(choice.engine, seen_px(card.config)) if is_ours else choice.engine

    @classmethod
    def load(cls, settings: DetectorSettings | None = None, clock: Clock = SYSTEM_CLOCK) -> Detector:
        """Load a model into the engine that the settings ask for.

        Args:
            settings: None takes the packaged model, the fastest engine and the model card's threshold.
            clock: Source of the times in reports.

        Raises:
            ModelError: The model is missing, damaged or unreadable.
            EngineError: The engine is missing or fails.
        """
        settings = settings or DetectorSettings()
        model = find_model(settings.model)
        threshold = model.card.threshold if settings.threshold is None else settings.threshold
        return cls(model.card, choose_engine(model, settings), threshold, clock)

    def detect(self, image: GreyImage) -> Detections:
        """Find targets in one image.

        Args:
            image: (H, W) or (H, W, 3 or 4) BGR(A), uint8 or uint16, raw counts; at least 8 pixels high and wide. It is
                not changed, and may be read-only or a part of another.

        Returns:
            Detections in pixels of the image.

        Raises:
            TypeError: It is no numpy array.
            ValueError: The image has another shape or dtype, or is too small.
            EngineError: The engine failed, or its scores are not finite.
        """
        return self.detect_batch([image])[0]

    def detect_batch(self, images: Sequence[GreyImage]) -> list[Detections]:
        """Find targets in several images, of any sizes; in batches where the engine has a device of its own.

        Args:
            images: Each as :meth:`detect` takes it.

        Returns:
            Detections of each, in their order, in pixels of each image.

        Raises:
            TypeError: One is no numpy array.
            ValueError: One has another shape or dtype, or is too small.
            EngineError: The engine failed, or its scores are not finite.
        """
        greys = [_grey(image) for image in images]
        found: list[HotPixels | None] = [None] * len(greys)
        engine = self.choice.engine
        if isinstance(engine, DeviceEngine):
            for places in _alike(greys):
                with self._turn:
                    hots = engine.find([greys[place] for place in places], least_score(self.threshold))
                for place, hot in zip(places, hots, strict=True):
                    found[place] = hot
        detections = []
        for grey, on_device in zip(greys, found, strict=True):
            hot = self._hot(self._scores(self._prepared(grey), grey.shape)) if on_device is None else on_device
            if not hot.finite:
                raise EngineError(f"{engine.name}: {_NOT_FINITE}")
            detections.append(detect_hot(hot, grey, self.threshold))
        return detections

    def score_map(self, image: GreyImage) -> NDArray[np.float32]:
        """Score every pixel of one grey image.

        Args:
            image: (H, W) uint8 or uint16, raw counts.

        Returns:
            (H, W) float32 in 0..1, of the caller's own.

        Raises:
            TypeError: It is no numpy array.
            ValueError: The image has another shape or dtype, or is too small.
            EngineError: The engine failed.
        """
        grey = _grey(image)
        return self._scores(self._prepared(grey), grey.shape)

    def stop(self) -> None:
        """Make the engine give up what it is at soon, from another thread or a signal handler.

        Whoever waits for the result gets an EngineError; where nothing runs, or the engine cannot be stopped, nothing
        happens. The detector can be used again.
        """
        engine = self.choice.engine
        if isinstance(engine, StoppableEngine):
            engine.stop()

    @property
    def most_frames(self) -> int:
        """Frames that are worth giving :meth:`reports` at once; 1 where the engine has no device of its own."""
        engine = self.choice.engine
        return engine.most_frames if isinstance(engine, DeviceEngine) else 1

    def report(self, frame: Frame) -> Report:
        """Do a frame and note where the time went; never changes the frame.

        A score that is not a finite number makes the frame a failed one: the report says so and holds no detections.
        """
        return self.reports([frame])[0]

    def reports(self, frames: Sequence[Frame]) -> list[Report]:
        """Do frames of any sizes and sources, in batches where the engine has a device of its own.

        Returns:
            One for each frame, in their order. A frame whose scores are not finite numbers is a failed one; the
            others of its batch are not.

        Raises:
            EngineError: The engine failed.
        """
        engine = self.choice.engine
        done: dict[int, Report] = {}
        for place, frame in enumerate(frames):
            if frame.damage is not None:
                done[place] = self._failed(frame, f"damaged: {frame.damage}")
            elif min(frame.size_hw) < LEAST_SIDE_PX:
                done[place] = self._failed(frame, _too_small(frame.size_hw))
            elif not isinstance(engine, DeviceEngine) or frame.image.size > UNTILED_PX:
                done[place] = self._report(frame)
        if not isinstance(engine, DeviceEngine):
            return [done[place] for place in range(len(frames))]
        left = [place for place in range(len(frames)) if place not in done]
        for group in _alike([frames[place].image for place in left]):
            places = [left[index] for index in group]
            began = self._clock.monotonic_ns()
            with self._turn:
                found = engine.find([frames[place].image for place in places], least_score(self.threshold))
            inferred = self._clock.monotonic_ns()
            for place, hot in zip(places, found, strict=True):
                done[place] = self._finish(frames[place], hot, (began, began, inferred), hot.score_map())
        return [done[place] for place in range(len(frames))]

    def _failed(self, frame: Frame, problem: str) -> Report:
        """A frame that is not judged: what a damaged picture shows is not what the camera saw."""
        now = self._clock.monotonic_ns()
        waited_ms = (now - frame.t_read_ns) / 1e6
        return Report(
            frame=frame,
            detections=Detections.empty(),
            latency=Latency(queue_ms=waited_ms, prepare_ms=0.0, infer_ms=0.0, detect_ms=0.0, total_ms=waited_ms),
            score_map=np.zeros(frame.size_hw, np.float32),
            error=f"frame {frame.index}: {problem}",
        )

    def _report(self, frame: Frame) -> Report:
        """One frame through an engine that takes model inputs."""
        began = self._clock.monotonic_ns()
        batch = self._prepared(frame.image)
        prepared = self._clock.monotonic_ns()
        scores = self._scores(batch, frame.size_hw)
        inferred = self._clock.monotonic_ns()
        return self._finish(frame, self._hot(scores), (began, prepared, inferred), scores)

    def _scores(self, batch: ModelInput, size_hw: tuple[int, int]) -> NDArray[np.float32]:
        """(H, W) scores; copied before the next thread's turn, whose scores may lie in the same place."""
        with self._turn:
            return restore(self._engine.score(batch), size_hw, self.card.input).copy()

    def _prepared(self, image: GreyImage) -> ModelInput:
        """A frame as the model's input.

        Raises:
            EngineError: The model file takes another size alone.
        """
        batch = prepare(image, self.card.input)
        wrong = self.card.built.wrong_size(batch.shape)
        if wrong is not None:
            raise EngineError(f"{self.card.name}: {wrong}")
        return batch

    def _hot(self, scores: NDArray[np.float32]) -> HotPixels:
        if not _is_finite(scores):
            return HotPixels.failed((scores.shape[0], scores.shape[1]))
        return hot_pixels(scores, self.threshold)

    def _finish(
        self, frame: Frame, hot: HotPixels, times_ns: tuple[int, int, int], scores: NDArray[np.float32]
    ) -> Report:
        """Hot pixels to the report; times: begun, prepared, scored."""
        began, prepared, inferred = times_ns
        detections, error = Detections.empty(), None
        if hot.finite:
            detections = detect_hot(hot, frame.image, self.threshold)
        else:
            error = f"frame {frame.index}: {_NOT_FINITE}"
        done = self._clock.monotonic_ns()
        latency = Latency(
            queue_ms=(began - frame.t_read_ns) / 1e6,
            prepare_ms=(prepared - began) / 1e6,
            infer_ms=(inferred - prepared) / 1e6,
            detect_ms=(done - inferred) / 1e6,
            total_ms=(done - frame.t_read_ns) / 1e6,
        )
        return Report(frame=frame, detections=detections, latency=latency, score_map=scores, error=error)


def _grey(image: object) -> GreyImage:
    """An image as the network takes it: grey, contiguous and large enough.

    Raises:
        TypeError: It is no numpy array.
        ValueError: It has another shape or dtype, or is too small.
    """
    if not isinstance(image, np.ndarray):
        hint = "read a file with cv2.imread(path, cv2.IMREAD_UNCHANGED), which returns None where it cannot"
        raise TypeError(f"image: expected a numpy array, found {type(image).__name__}; {hint}")
    if image.ndim >= 2 and min(image.shape[:2]) < LEAST_SIDE_PX:
        raise ValueError(f"image: {_too_small(image.shape)}")
    return to_grey(np.ascontiguousarray(image))


def _too_small(shape: tuple[int, ...]) -> str:
    return f"expected at least {LEAST_SIDE_PX}x{LEAST_SIDE_PX} pixels, found {shape[1]}x{shape[0]} (width x height)"


def _alike(images: Sequence[GreyImage]) -> list[list[int]]:
    """Places of images of one size and depth, for those that are not tiled."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for place, image in enumerate(images):
        if image.size <= UNTILED_PX:
            groups.setdefault((image.shape, image.dtype), []).append(place)
    return list(groups.values())


def _is_finite(scores: NDArray[np.float32]) -> bool:
    """Whether every score is a finite number: NaN would be both the highest and the lowest."""
    return bool(np.isfinite(scores.max()) and np.isfinite(scores.min()))
