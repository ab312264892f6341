"""From frames to the pixels that can be part of a detection: the one way, whatever the engine.

Nothing above this module knows which kind of engine it has. On the host a frame is prepared, scored, in tiles where it
is large, and its scores restored to its size; an engine with a device of its own does all of that there.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lpnet_rt.clock import SYSTEM_CLOCK, Clock
from lpnet_rt.detections import CandidatePixels, candidate_pixels
from lpnet_rt.engines.base import DeviceEngine, Engine, ForgetfulEngine, StoppableEngine
from lpnet_rt.engines.tiled import UNTILED_PX, score_in_tiles
from lpnet_rt.errors import EngineError, ModelError
from lpnet_rt.frames import GreyImage
from lpnet_rt.models import ModelCard
from lpnet_rt.preprocessing.frame_and_local import ModelInput
from lpnet_rt.preprocessing.rules import prepare, restore

__all__ = ["DeviceScorer", "HostScorer", "Scored", "make_scorer"]


@dataclass(frozen=True, slots=True)
class Scored:
    """One frame, scored, and when (nanoseconds of the scorer's monotonic clock).

    Attributes:
        candidates: The pixels that score enough.
        scores: (H, W) float32 in 0..1, every pixel's score; None where they stayed on a device.
        began_ns: When its turn came.
        prepared_ns: When the model's input was ready; on a device, ``began_ns``.
        scored_ns: When its scores, or those of its batch, were there.
    """

    candidates: CandidatePixels
    scores: NDArray[np.float32] | None
    began_ns: int
    prepared_ns: int
    scored_ns: int

    def score_map(self) -> NDArray[np.float32]:
        """(H, W) float32; from a device, 0 wherever there is no candidate."""
        return self.candidates.score_map() if self.scores is None else self.scores


def make_scorer(engine: Engine, card: ModelCard, clock: Clock = SYSTEM_CLOCK) -> HostScorer:
    """The scorer for an engine.

    Args:
        engine: With the model in it.
        card: The model's.
        clock: Source of the times.
    """
    return DeviceScorer(engine, card, clock) if isinstance(engine, DeviceEngine) else HostScorer(engine, card, clock)


class HostScorer:
    """A model in an engine that takes model inputs, which are made here; threads may share one, and take turns.

    Frames are (H, W) uint8 or uint16, raw counts, of any sizes.
    """

    def __init__(self, engine: Engine, card: ModelCard, clock: Clock = SYSTEM_CLOCK) -> None:
        """Keep the engine; see :func:`make_scorer`."""
        self._engine, self._card, self._clock = engine, card, clock
        # Frames of a network without a reach become small squares, whatever their size.
        self._reach_px = card.known_reach_px()
        self._turn = threading.Lock()

    @property
    def max_batch(self) -> int:
        """Frames that are worth giving it at once."""
        return 1

    def find(self, frames: Sequence[GreyImage], min_score: float) -> list[CandidatePixels]:
        """Pick the pixels that score at least ``min_score``.

        Returns:
            One for each frame, in their order.

        Raises:
            EngineError: The engine failed, or the model file takes another size only.
            ModelError: What the model computes has not the size of its input.
        """
        found = {place: scored.candidates for place, scored in self.score_each(frames, min_score)}
        return [found[place] for place in range(len(frames))]

    def score_each(self, frames: Sequence[GreyImage], min_score: float) -> Iterator[tuple[int, Scored]]:
        """As :meth:`find`, each frame as soon as it is done, with its place in ``frames`` and its times."""
        for place, image in enumerate(frames):
            yield place, self.score_batch([image], min_score)[0]

    def score_batch(self, frames: Sequence[GreyImage], min_score: float) -> list[Scored]:
        """Score frames whose model inputs have one size in one go; each has the times of the whole batch."""
        began_ns = self._clock.monotonic_ns()
        batch = self._prepared(frames)
        prepared_ns = self._clock.monotonic_ns()
        score_maps = self._scores(batch, frames)
        scored_ns = self._clock.monotonic_ns()
        return [Scored(_candidates(found, min_score), found, began_ns, prepared_ns, scored_ns) for found in score_maps]

    def score_map(self, image: GreyImage) -> NDArray[np.float32]:
        """(H, W) float32 in 0..1: the score of every pixel, of the caller's own; raises as :meth:`find`."""
        return self._scores(self._prepared([image]), [image])[0]

    def stop(self) -> None:
        """Make a running call give up soon, with EngineError; harmless where nothing runs or it cannot be stopped."""
        if isinstance(self._engine, StoppableEngine):
            self._engine.stop()

    def forget(self) -> None:
        """Let go of what the engine keeps for sizes it has met."""
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
        with self._turn:
            if self._reach_px is None or math.prod(batch.shape[2:]) <= UNTILED_PX:
                scores = self._engine.score(batch)
            else:
                scores = score_in_tiles(self._engine.score, batch, self._reach_px, self._card.grid_px)
            if scores.shape != expected:
                raise ModelError(f"{self._card.name}: expected scores of {expected}, found {scores.shape}")
            parts = np.split(scores, len(frames))  # tiles of a frame stay together
            return [
                restore(part, (image.shape[0], image.shape[1]), self._card.input).copy()
                for part, image in zip(parts, frames, strict=True)
            ]


class DeviceScorer(HostScorer):
    """An engine with a device of its own: frames of one size and depth go there together, very large ones do not."""

    def __init__(self, engine: DeviceEngine, card: ModelCard, clock: Clock = SYSTEM_CLOCK) -> None:
        """Keep the engine; see :func:`make_scorer`."""
        super().__init__(engine, card, clock)
        self._device = engine

    @property
    def max_batch(self) -> int:
        """See :class:`HostScorer`."""
        return self._device.max_batch

    def score_each(self, frames: Sequence[GreyImage], min_score: float) -> Iterator[tuple[int, Scored]]:
        """See :class:`HostScorer`."""
        groups: dict[tuple[object, ...], list[int]] = {}
        for place, image in enumerate(frames):
            if image.size > UNTILED_PX:
                yield place, self.score_batch([image], min_score)[0]
            else:
                groups.setdefault((image.shape, image.dtype), []).append(place)
        for places in groups.values():
            began_ns = self._clock.monotonic_ns()
            with self._turn:
                found = self._device.find([frames[place] for place in places], min_score)
            scored_ns = self._clock.monotonic_ns()
            for place, candidates in zip(places, found, strict=True):
                yield place, Scored(candidates, None, began_ns, began_ns, scored_ns)


def _candidates(scores: NDArray[np.float32], min_score: float) -> CandidatePixels:
    """Of a frame; NaN would be both the highest and the lowest score."""
    if np.isfinite(scores.max()) and np.isfinite(scores.min()):
        return candidate_pixels(scores, min_score)
    return CandidatePixels.failed((scores.shape[0], scores.shape[1]))
