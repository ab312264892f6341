"""Targets colder than their surroundings: scored as warm ones of the negated frame.

A network that is trained on warm targets finds cold ones in the negative, ``255 - image`` or ``65535 - image``. The
negative of a frame has the negated standardised input, so this holds for every engine and every input rule. Both
polarities cost two passes; a pixel then has the higher of its two scores.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from lpnet_rt.detections import CandidatePixels
from lpnet_rt.engines.scorer import HostScorer, Scored
from lpnet_rt.errors import SettingsError
from lpnet_rt.frames import GreyImage
from lpnet_rt.settings import Polarity

__all__ = ["PolarityScorer", "negative", "with_polarity"]


def negative(image: GreyImage) -> GreyImage:
    """Return the negative of a frame, (H, W) of the same dtype: the largest count of the dtype minus each count."""
    return cv2.bitwise_not(image)  # type: ignore[return-value]


def with_polarity(scorer: HostScorer, polarity: Polarity) -> HostScorer | PolarityScorer:
    """Return a scorer for targets of a polarity; for ``hot``, the given one.

    Raises:
        SettingsError: There is no such polarity.
    """
    if polarity not in get_args(Polarity):
        raise SettingsError(f"polarity: expected one of {', '.join(get_args(Polarity))}, found {polarity!r}")
    return scorer if polarity == "hot" else PolarityScorer(scorer, both=polarity == "both")


class PolarityScorer:
    """Scores the negatives of frames, or frames and their negatives; its methods are those of :class:`HostScorer`."""

    def __init__(self, scorer: HostScorer, both: bool) -> None:
        """Use another scorer.

        Args:
            scorer: Scores frames for warm targets.
            both: Score the frames, too; False: the negatives only.
        """
        self._scorer, self._both = scorer, both

    @property
    def max_batch(self) -> int:
        """Number of frames that should be passed at once; each takes two places in a batch for both polarities."""
        return max(1, self._scorer.max_batch // 2) if self._both else self._scorer.max_batch

    def find(self, frames: Sequence[GreyImage], min_score: float) -> list[CandidatePixels]:
        """See :meth:`HostScorer.find`."""
        found = {index: scored.candidates for index, scored in self.score_each(frames, min_score)}
        return [found[index] for index in range(len(frames))]

    def score_each(self, frames: Sequence[GreyImage], min_score: float) -> Iterator[tuple[int, Scored]]:
        """See :meth:`HostScorer.score_each`."""
        if not self._both:
            for index, scored in self._scorer.score_each([negative(image) for image in frames], min_score):
                yield index, dataclasses.replace(scored, candidates=_cold(scored.candidates))
            return
        # Side by side, so that a device takes both in one batch and a host finishes each frame before the next.
        pairs = [picture for image in frames for picture in (image, negative(image))]
        waiting: dict[int, Scored] = {}
        for place, scored in self._scorer.score_each(pairs, min_score):
            other = waiting.pop(place ^ 1, None)
            if other is None:
                waiting[place] = scored
            else:
                yield place // 2, _merged(*((scored, other) if place % 2 == 0 else (other, scored)))

    def score_map(self, image: GreyImage) -> NDArray[np.float32]:
        """See :meth:`HostScorer.score_map`."""
        cold = self._scorer.score_map(negative(image))
        return np.maximum(self._scorer.score_map(image), cold) if self._both else cold

    def stop(self) -> None:
        """See :meth:`HostScorer.stop`."""
        self._scorer.stop()

    def forget(self) -> None:
        """See :meth:`HostScorer.forget`."""
        self._scorer.forget()


def _cold(candidates: CandidatePixels) -> CandidatePixels:
    return dataclasses.replace(candidates, is_cold=np.ones(len(candidates.rows), np.bool_))


def _merged(hot: Scored, cold: Scored) -> Scored:
    """Merge the two results of a frame; times of preparing and of scoring are sums."""
    scores = None if hot.scores is None or cold.scores is None else np.maximum(hot.scores, cold.scores)
    prepared_ns = hot.prepared_ns + cold.prepared_ns - cold.began_ns
    candidates = _union(hot.candidates, cold.candidates)
    return Scored(candidates, scores, hot.began_ns, prepared_ns, max(hot.scored_ns, cold.scored_ns))


def _union(hot: CandidatePixels, cold: CandidatePixels) -> CandidatePixels:
    """Return the pixels that are candidates in either polarity, with their higher score, row by row."""
    if not (hot.finite and cold.finite):
        return CandidatePixels.failed(hot.size_hw)
    width = hot.size_hw[1]
    places = [part.rows * width + part.columns for part in (hot, cold)]
    place, index = np.unique(np.concatenate(places), return_inverse=True)
    by_polarity = np.zeros((2, len(place)), np.float32)
    by_polarity[0, index[: len(places[0])]] = hot.scores
    by_polarity[1, index[len(places[0]) :]] = cold.scores
    rows, columns = np.divmod(place, width)
    is_cold = by_polarity[1] > by_polarity[0]
    return CandidatePixels(rows, columns, by_polarity.max(axis=0), hot.size_hw, is_cold=is_cold)
