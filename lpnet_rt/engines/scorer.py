"""From frames to the pixels that can be part of a detection: the one way, whatever the engine.

Nothing above this module knows which kind of engine it has. On the host a frame is prepared, scored, in tiles where it
is large, and its scores restored to its size; an engine with a device of its own does all of that there.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lpnet_rt.clock import SYSTEM_CLOCK, Clock
from lpnet_rt.detections import HotPixels, hot_pixels
from lpnet_rt.engines.base import DeviceEngine, Engine, ForgetfulEngine, StoppableEngine
from lpnet_rt.engines.tiled import UNTILED_PX, TiledEngine
from lpnet_rt.errors import EngineError, ModelError
from lpnet_rt.frames import GreyImage
from lpnet_rt.models import ModelCard
from lpnet_rt.preprocessing.frame_and_local import ModelInput
from lpnet_rt.preprocessing.rules import prepare, restore

__all__ = ["DeviceScorer", "HostScorer", "Scored", "Scorer", "make_scorer"]


@dataclass(frozen=True, slots=True)
class Scored:
    """One frame, scored, and when (nanoseconds of the scorer's monotonic clock).

    Attributes:
        hot: The pixels that score enough.
        scores: (H, W) float32 in 0..1, every pixel's score; None where they stayed on a device.
        began_ns: When its turn came.
        prepared_ns: When the model's input was ready; on a device, ``began_ns``.
        scored_ns: When its scores, or those of its batch, were there.
    """

    hot: HotPixels
    scores: NDArray[np.float32] | None
    began_ns: int
    prepared_ns: int
    scored_ns: int

    def score_map(self) -> NDArray[np.float32]:
        """(H, W) float32; from a device, 0 wherever ``hot`` has no pixel."""
        return self.hot.score_map() if self.scores is None else self.scores


class Scorer(Protocol):
    """A model in an engine; threads may share one, and take turns in the engine.

    Frames are (H, W) uint8 or uint16, raw counts, of any sizes.
    """

    @property
    def most_frames(self) -> int:
        """Frames that are worth giving it at once."""
        ...

    def find(self, frames: Sequence[GreyImage], least_score: float) -> list[HotPixels]:
        """Pick the pixels that score at least ``least_score``.

        Returns:
            One for each frame, in their order.

        Raises:
            EngineError: The engine failed, or the model file takes another size only.
        """
        ...

    def score_each(self, frames: Sequence[GreyImage], least_score: float) -> Iterator[tuple[int, Scored]]:
        """As :meth:`find`, each frame as soon as it is done, with its place in ``frames`` and its times."""
        ...

    def score_map(self, image: GreyImage) -> NDArray[np.float32]:
        """(H, W) float32 in 0..1: the score of every pixel, of the caller's own.

        Raises:
            EngineError: The engine failed, or the model file takes another size only.
        """
        ...

    def stop(self) -> None:
        """Make a running call give up soon, with EngineError; harmless where nothing runs or it cannot be stopped."""
        ...

    def forget(self) -> None:
        """Let go of what the engine keeps for sizes it has met."""
        ...


def make_scorer(engine: Engine, card: ModelCard, clock: Clock = SYSTEM_CLOCK) -> Scorer:
    """The scorer for an engine.

    Args:
        engine: With the model in it.
        card: The model's.
        clock: Source of the times.
    """
    host = HostScorer(engine, card, clock)
    return DeviceScorer(engine, host, clock) if isinstance(engine, DeviceEngine) else host


class HostScorer:
    """An engine that takes model inputs, which are made here; one frame after the other."""

    most_frames = 1

    def __init__(self, engine: Engine, card: ModelCard, clock: Clock = SYSTEM_CLOCK) -> None:
        """Keep the engine; see :func:`make_scorer`."""
        self._engine, self._card, self._clock = engine, card, clock
        # Frames of a network without a reach become small squares, whatever their size.
        reach_px = card.known_reach_px()
        tiled = None if reach_px is None else TiledEngine(engine, reach_px, grid_px=card.grid_px)
        self._scoring: Engine = tiled or engine
        self.turn = threading.Lock()

    def find(self, frames: Sequence[GreyImage], least_score: float) -> list[HotPixels]:
        """See :class:`Scorer`."""
        return [scored.hot for _, scored in self.score_each(frames, least_score)]

    def score_each(self, frames: Sequence[GreyImage], least_score: float) -> Iterator[tuple[int, Scored]]:
        """See :class:`Scorer`."""
        for place, image in enumerate(frames):
            yield place, self.score_batch([image], least_score)[0]

    def score_batch(self, frames: Sequence[GreyImage], least_score: float) -> list[Scored]:
        """Score frames whose model inputs have one size in one go; each has the times of the whole batch.

        Raises:
            EngineError: The engine failed, or the model file takes another size only.
            ModelError: What the model computes has not the size of its input.
        """
        began_ns = self._clock.monotonic_ns()
        batch = self._prepared(frames)
        prepared_ns = self._clock.monotonic_ns()
        score_maps = self._scores(batch, frames)
        scored_ns = self._clock.monotonic_ns()
        return [Scored(_hot(scores, least_score), scores, began_ns, prepared_ns, scored_ns) for scores in score_maps]

    def score_map(self, image: GreyImage) -> NDArray[np.float32]:
        """See :class:`Scorer`."""
        return self._scores(self._prepared([image]), [image])[0]

    def stop(self) -> None:
        """See :class:`Scorer`."""
        if isinstance(self._engine, StoppableEngine):
            self._engine.stop()

    def forget(self) -> None:
        """See :class:`Scorer`."""
        if isinstance(self._engine, ForgetfulEngine):
            self._engine.forget()

    def _prepared(self, frames: Sequence[GreyImage]) -> ModelInput:
        inputs = [prepare(image, self._card.input) for image in frames]
        batch = inputs[0] if len(inputs) == 1 else np.concatenate(inputs)
        wrong = self._card.built.wrong_size(batch.shape)
        if wrong is not None:
            raise EngineError(f"{self._card.name}: {wrong}")
        return batch

    def _scores(self, batch: ModelInput, frames: Sequence[GreyImage]) -> list[NDArray[np.float32]]:
        """(H, W) scores of each; copied before the next thread's turn, whose scores may lie in the same place."""
        expected = (len(batch), 1, *batch.shape[2:])
        with self.turn:
            scores = self._scoring.score(batch)
            if scores.shape != expected:
                raise ModelError(f"{self._card.name}: expected scores of {expected}, found {scores.shape}")
            parts = np.split(scores, len(frames))  # tiles of a frame stay together
            return [
                restore(part, (image.shape[0], image.shape[1]), self._card.input).copy()
                for part, image in zip(parts, frames, strict=True)
            ]


class DeviceScorer:
    """An engine with a device of its own: frames of one size and depth go there together, very large ones do not."""

    def __init__(self, engine: DeviceEngine, host: HostScorer, clock: Clock = SYSTEM_CLOCK) -> None:
        """Keep both ways into one engine.

        Args:
            engine: With the model in it.
            host: The same engine's; for frames too large to score at once, and for whole score maps.
            clock: Source of the times.
        """
        self._engine, self._host, self._clock = engine, host, clock

    @property
    def most_frames(self) -> int:
        """See :class:`Scorer`."""
        return self._engine.most_frames

    def find(self, frames: Sequence[GreyImage], least_score: float) -> list[HotPixels]:
        """See :class:`Scorer`."""
        found = dict(self.score_each(frames, least_score))
        return [found[place].hot for place in range(len(frames))]

    def score_each(self, frames: Sequence[GreyImage], least_score: float) -> Iterator[tuple[int, Scored]]:
        """See :class:`Scorer`."""
        groups: dict[tuple[object, ...], list[int]] = {}
        large = []
        for place, image in enumerate(frames):
            if image.size > UNTILED_PX:
                large.append(place)
            else:
                groups.setdefault((image.shape, image.dtype), []).append(place)
        for index, scored in self._host.score_each([frames[place] for place in large], least_score):
            yield large[index], scored
        for places in groups.values():
            began_ns = self._clock.monotonic_ns()
            with self._host.turn:
                found = self._engine.find([frames[place] for place in places], least_score)
            scored_ns = self._clock.monotonic_ns()
            for place, hot in zip(places, found, strict=True):
                yield place, Scored(hot, None, began_ns, began_ns, scored_ns)

    def score_map(self, image: GreyImage) -> NDArray[np.float32]:
        """See :class:`Scorer`."""
        return self._host.score_map(image)

    def stop(self) -> None:
        """See :class:`Scorer`."""
        self._host.stop()

    def forget(self) -> None:
        """See :class:`Scorer`."""
        self._host.forget()


def _hot(scores: NDArray[np.float32], least_score: float) -> HotPixels:
    """Of a frame; NaN would be both the highest and the lowest score."""
    if np.isfinite(scores.max()) and np.isfinite(scores.min()):
        return hot_pixels(scores, least_score)
    return HotPixels.failed((scores.shape[0], scores.shape[1]))
