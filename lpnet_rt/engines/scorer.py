"""From frames to candidate pixels, for every engine.

Code above this module does not know the kind of engine. On the host, a frame is prepared, scored (in tiles if it is
large), and its scores restored to the frame's size; an engine with its own device does all of this there.
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
    """One scored frame, with times in nanoseconds of the scorer's monotonic clock.

    Attributes:
        candidates: The candidate pixels.
        scores: (H, W) float32 in 0..1, every pixel's score; None if they stayed on a device.
        began_ns: When work on it began.
        prepared_ns: When the model's input was ready; on a device, ``began_ns``.
        scored_ns: When its scores, or those of its batch, were ready.
    """

    candidates: CandidatePixels
    scores: NDArray[np.float32] | None
    began_ns: int
    prepared_ns: int
    scored_ns: int

    def score_map(self) -> NDArray[np.float32]:
        """Return (H, W) float32 scores; from a device, 0 wherever there is no candidate."""
        return self.candidates.score_map() if self.scores is None else self.scores


def make_scorer(engine: Engine, card: ModelCard, clock: Clock = SYSTEM_CLOCK) -> HostScorer:
    """Return the scorer for an engine.

    Args:
        engine: Engine with a loaded model.
        card: The model's card.
        clock: Source of the times.
    """
    return DeviceScorer(engine, card, clock) if isinstance(engine, DeviceEngine) else HostScorer(engine, card, clock)


class HostScorer:
    """Scores frames with an engine that takes model inputs; threads may share one and take turns.

    Frames are (H, W) uint8 or uint16, raw counts, of any sizes.
    """

    def __init__(self, engine: Engine, card: ModelCard, clock: Clock = SYSTEM_CLOCK) -> None:
        """Keep the engine; see :func:`make_scorer`."""
        self._engine, self._card, self._clock = engine, card, clock
        # Without a reach, frames of any size become small squares.
        self._reach_px = card.known_reach_px()
        self._turn = threading.Lock()

    @property
    def max_batch(self) -> int:
        """Number of frames that should be passed at once."""
        return 1

    def find(self, frames: Sequence[GreyImage], min_score: float) -> list[CandidatePixels]:
        """Return the pixels that score at least ``min_score``.

        Returns:
            One entry per frame, in the same order.

        Raises:
            EngineError: The engine failed, or the model file takes only another size.
            ModelError: The model's output differs in size from its input.
        """
        found = {index: scored.candidates for index, scored in self.score_each(frames, min_score)}
        return [found[index] for index in range(len(frames))]

    def score_each(self, frames: Sequence[GreyImage], min_score: float) -> Iterator[tuple[int, Scored]]:
        """As :meth:`find`, but yield each frame as soon as it is done, with its index in ``frames`` and its times."""
        for index, image in enumerate(frames):
            yield index, self.score_batch([image], min_score)[0]

    def score_batch(self, frames: Sequence[GreyImage], min_score: float) -> list[Scored]:
        """Score frames whose model inputs have one size as a batch; each gets the times of the batch."""
        began_ns = self._clock.monotonic_ns()
        batch = self._prepared(frames)
        prepared_ns = self._clock.monotonic_ns()
        score_maps = self._scores(batch, frames)
        scored_ns = self._clock.monotonic_ns()
        return [Scored(_candidates(found, min_score), found, began_ns, prepared_ns, scored_ns) for found in score_maps]

    def score_map(self, image: GreyImage) -> NDArray[np.float32]:
        """Return the score of every pixel, (H, W) float32 in 0..1, as a copy; raises as :meth:`find`."""
        return self._scores(self._prepared([image]), [image])[0]

    def stop(self) -> None:
        """Make a running call raise EngineError soon; harmless if nothing runs or it cannot be stopped."""
        if isinstance(self._engine, StoppableEngine):
            self._engine.stop()

    def forget(self) -> None:
        """Release what the engine keeps for each input size."""
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
        """Return (H, W) scores per frame, copied before the next thread's turn, which may reuse the memory."""
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
    """Scores frames with a DeviceEngine: frames of one size and dtype are batched; very large ones go through tiles."""

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
        for index, image in enumerate(frames):
            if image.size > UNTILED_PX:
                yield index, self.score_batch([image], min_score)[0]
            else:
                groups.setdefault((image.shape, image.dtype), []).append(index)
        for indices in groups.values():
            began_ns = self._clock.monotonic_ns()
            with self._turn:
                found = self._device.find([frames[index] for index in indices], min_score)
            scored_ns = self._clock.monotonic_ns()
            for index, candidates in zip(indices, found, strict=True):
                yield index, Scored(candidates, None, began_ns, began_ns, scored_ns)


def _candidates(scores: NDArray[np.float32], min_score: float) -> CandidatePixels:
    """Return a frame's candidate pixels; with a NaN, both the maximum and the minimum are NaN."""
    if np.isfinite(scores.max()) and np.isfinite(scores.min()):
        return candidate_pixels(scores, min_score)
    return CandidatePixels.failed((scores.shape[0], scores.shape[1]))
