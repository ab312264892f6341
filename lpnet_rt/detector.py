"""Detector: images to Detections; the Python API.

from lpnet_rt.detector import Detector

detector = Detector.load()
for detection in detector.detect(image).centroid_xy: ...
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from lpnet_rt.clock import SYSTEM_CLOCK, Clock
from lpnet_rt.detections import BODY_SCORE, CandidatePixels, Detections, candidate_score, detect_candidates
from lpnet_rt.engines import Choice, choose_engine
from lpnet_rt.engines.polarity import negative, with_polarity
from lpnet_rt.engines.scorer import Scored, make_scorer
from lpnet_rt.errors import EngineError, SettingsError
from lpnet_rt.frames import Frame, GreyImage, to_grey
from lpnet_rt.models import ModelCard, find_model
from lpnet_rt.models.false_alarms import DEFAULT_RATE_HZ, is_hourly, threshold_for
from lpnet_rt.reports import Latency, Report
from lpnet_rt.settings import DetectorSettings, Polarity
from lpnet_rt.tracking.weak import detect_with_weak

__all__ = ["MIN_SIDE_PX", "Detector"]

_logger = logging.getLogger(__name__)

# Smaller images cannot show a target with its surroundings; padding an empty frame would never end.
MIN_SIDE_PX = 8
_NOT_FINITE = "expected finite scores, found NaN or infinity"


class Detector:
    """A model in an engine, with its threshold; threads may share one and take turns.

    Attributes:
        card: The model's card.
        choice: The engine, and why it was chosen.
        threshold: Lowest peak score of a detection. May be changed from another thread while frames are processed;
            each frame is judged by one threshold.
        polarity: ``hot``, ``cold`` or ``both``: what is searched for; see :mod:`lpnet_rt.engines.polarity`.
        weak_threshold: Reports also contain detections below the threshold, down to this score; None: they do not.
    """

    def __init__(
        self,
        card: ModelCard,
        choice: Choice,
        threshold: float,
        clock: Clock = SYSTEM_CLOCK,
        reopen: Callable[[Choice], Choice] | None = None,
        polarity: Polarity = "hot",
    ) -> None:
        """Use an open engine.

        Args:
            card: The model's card.
            choice: The engine, and why it was chosen.
            threshold: Lowest peak score of a detection, 0 to 1.
            clock: Source of the times in reports.
            reopen: Reopens the engine of a choice; None if that is not possible.
            polarity: ``hot``, ``cold`` or ``both``.

        Raises:
            SettingsError: There is no such polarity.
        """
        self.weak_threshold: float | None = None
        self._reopen = reopen
        self.card = card
        self.choice = choice
        self.threshold = threshold
        self.polarity = polarity
        self._clock = clock
        self._scorer = with_polarity(make_scorer(choice.engine, card, clock), polarity)

    @classmethod
    def load(
        cls,
        settings: DetectorSettings | None = None,
        clock: Clock = SYSTEM_CLOCK,
        *,
        polarity: Polarity | None = None,
        false_alarms: str | None = None,
        rate_hz: float | None = None,
    ) -> Detector:
        """Load a model into the engine that the settings request.

        Args:
            settings: None: the packaged model, the fastest engine and the model card's threshold.
            clock: Source of the times in reports.
            polarity: In place of that of the settings.
            false_alarms: Allowed rate of false detections, such as ``1/1000`` (frames) or ``10/h``, in place of the
                threshold or the rate of the settings.
            rate_hz: Frames per second, for a rate per hour; None: 30, which is logged.

        Raises:
            SettingsError: There is no such polarity, or the model's card does not support the rate.
            ModelError: The model is missing, damaged or unreadable.
            EngineError: The engine is missing or fails.
        """
        settings = settings or DetectorSettings()
        polarity = polarity or settings.polarity
        model = find_model(settings.model)
        if false_alarms is not None:
            settings = msgspec.structs.replace(settings, threshold=None, false_alarms=false_alarms)
        threshold = _threshold(model.card, settings, rate_hz)

        def reopen(choice: Choice) -> Choice:
            engine = choice.engine
            pinned = msgspec.structs.replace(settings, engine=engine.name, precision=engine.precision)
            return choose_engine(model, pinned)

        return cls(model.card, choose_engine(model, settings), threshold, clock, reopen, polarity)

    def take_rate(self, settings: DetectorSettings, rate_hz: float | None) -> None:
        """Take the threshold for a rate of false detections, once the frame rate is known."""
        self.threshold = self.threshold_for(settings, rate_hz)

    def threshold_for(self, settings: DetectorSettings, rate_hz: float | None) -> float:
        """Return the threshold that settings ask for.

        Args:
            settings: With ``threshold``, ``false_alarms`` or neither.
            rate_hz: Frames per second, for a rate per hour; None: 30, which is logged.

        Raises:
            SettingsError: The model's card does not support the rate.
        """
        return _threshold(self.card, settings, rate_hz)

    def detect(self, image: GreyImage) -> Detections:
        """Find targets in one image.

        Args:
            image: (H, W) or (H, W, 3 or 4) BGR(A), uint8 or uint16, raw counts; at least 8 pixels high and wide. It is
                not modified, and may be read-only or a view.

        Returns:
            Detections in pixels of the image.

        Raises:
            TypeError: It is not a numpy array.
            ValueError: The image has another shape or dtype, or is too small.
            EngineError: The engine failed, or its scores are not finite.
        """
        return self.detect_batch([image])[0]

    def detect_batch(self, images: Sequence[GreyImage]) -> list[Detections]:
        """Find targets in several images of any sizes; in batches if the engine has its own device.

        Args:
            images: Images as for :meth:`detect`.

        Returns:
            Detections per image, in the same order, in pixels of the image.

        Raises:
            TypeError: One is not a numpy array.
            ValueError: One has another shape or dtype, or is too small.
            EngineError: The engine failed, or its scores are not finite.
        """
        greys = [_grey(image) for image in images]
        found = self._scorer.find(greys, candidate_score(self.threshold))
        return [self._detections(candidates, grey) for candidates, grey in zip(found, greys, strict=True)]

    def score_map(self, image: GreyImage) -> NDArray[np.float32]:
        """Score every pixel of one grey image.

        Args:
            image: (H, W) uint8 or uint16, raw counts.

        Returns:
            (H, W) float32 in 0..1, a copy.

        Raises:
            TypeError: It is not a numpy array.
            ValueError: The image has another shape or dtype, or is too small.
            EngineError: The engine failed.
        """
        return self._scorer.score_map(_grey(image))

    def negative_peak(self, image: GreyImage) -> float:
        """Return the highest score of a grey image's negative, (H, W); 0 if it is under one half, or not finite.

        Raises:
            EngineError: The engine failed.
        """
        (found,) = self._scorer.find([negative(image)], float(BODY_SCORE))
        return float(found.scores.max(initial=0.0)) if found.finite else 0.0

    def stop(self) -> None:
        """Cancel the engine's current run, from another thread or a signal handler.

        The waiting caller gets an EngineError; nothing happens if no run is active or the engine cannot be stopped.
        The detector can still be used.
        """
        self._scorer.stop()

    @property
    def can_reopen(self) -> bool:
        """Whether the engine can be reopened after a failure."""
        return self._reopen is not None

    def reopen(self) -> None:
        """Reopen the engine after a failure, at the same precision.

        Raises:
            EngineError: It cannot be opened, or fails its self-test.
        """
        if self._reopen is None:
            raise EngineError(f"{self.choice.engine.name}: cannot be opened again")
        self.choice = self._reopen(self.choice)
        self._scorer = with_polarity(make_scorer(self.choice.engine, self.card, self._clock), self.polarity)

    @property
    def max_batch(self) -> int:
        """Number of frames that should be passed to :meth:`reports` at once; 1 if the engine has no device."""
        return self._scorer.max_batch

    def report(self, frame: Frame) -> Report:
        """Process a frame and measure its latency; never modifies the frame.

        If a score is not finite, the frame fails: the report has an error and no detections.
        """
        return self.reports([frame])[0]

    def reports(self, frames: Sequence[Frame]) -> list[Report]:
        """Process frames of any sizes and sources, in batches if the engine has its own device.

        Returns:
            One report per frame, in the same order. A frame whose scores are not finite fails without affecting the
            others of its batch.

        Raises:
            EngineError: The engine failed.
        """
        done: dict[int, Report] = {}
        left = []
        for index, frame in enumerate(frames):
            if frame.damage is not None:
                done[index] = self.failed(frame, f"damaged: {frame.damage}")
            elif min(frame.size_hw) < MIN_SIDE_PX:
                done[index] = self.failed(frame, _too_small(frame.size_hw))
            else:
                left.append(index)
        free_ns = 0  # when this thread finished the previous frame
        images = [frames[index].image for index in left]
        threshold, weak = self.threshold, self.weak_threshold  # another thread may change the threshold
        lowest = threshold if weak is None else min(weak, threshold)
        for index, scored in self._scorer.score_each(images, candidate_score(lowest)):
            done[left[index]], free_ns = self._finish(frames[left[index]], scored, threshold, free_ns)
        return [done[index] for index in range(len(frames))]

    def failed(self, frame: Frame, problem: str) -> Report:
        """Report a failed frame: it is damaged or too small, or the engine failed.

        Args:
            frame: The frame.
            problem: What is wrong, in one line.
        """
        now = self._clock.monotonic_ns()
        waited_ms = (now - frame.t_read_ns) / 1e6
        return Report(
            frame=frame,
            detections=Detections.empty(),
            latency=Latency(queue_ms=waited_ms, prepare_ms=0.0, infer_ms=0.0, detect_ms=0.0, total_ms=waited_ms),
            score_map=np.zeros(frame.size_hw, np.float32),
            error=f"frame {frame.index}: {problem}",
        )

    def _finish(self, frame: Frame, scored: Scored, threshold: float, free_ns: int) -> tuple[Report, int]:
        """Return the report of a scored frame, and the time at which it was ready.

        In a batch, the frame waits until ``free_ns`` for the detections of the frames before it.
        """
        scores = scored.score_map()
        threshold = self.threshold  # it may be changed by another thread
        detections, weak, error = Detections.empty(), Detections.empty(), None
        if scored.candidates.finite and self.weak_threshold is not None:
            both = detect_with_weak(scored.candidates, frame.image, threshold, self.weak_threshold)
            count = int((both.score >= np.float32(threshold)).sum())
            detections, weak = both.rows(slice(count)), both.rows(slice(count, None))
        elif scored.candidates.finite:
            detections = detect_candidates(scored.candidates, frame.image, threshold)
        else:
            error = f"frame {frame.index}: {_NOT_FINITE}"
        done_ns = self._clock.monotonic_ns()
        waited_ns = max(free_ns - scored.scored_ns, 0)
        latency = Latency(
            queue_ms=(scored.began_ns - frame.t_read_ns + waited_ns) / 1e6,
            prepare_ms=(scored.prepared_ns - scored.began_ns) / 1e6,
            infer_ms=(scored.scored_ns - scored.prepared_ns) / 1e6,
            detect_ms=(done_ns - scored.scored_ns - waited_ns) / 1e6,
            total_ms=(done_ns - frame.t_read_ns) / 1e6,
        )
        report = Report(frame=frame, detections=detections, latency=latency, score_map=scores, error=error, weak=weak)
        return report, done_ns

    def _detections(self, candidates: CandidatePixels, image: GreyImage) -> Detections:
        if not candidates.finite:
            raise EngineError(f"{self.choice.engine.name}: {_NOT_FINITE}")
        return detect_candidates(candidates, image, self.threshold)


def _threshold(card: ModelCard, settings: DetectorSettings, rate_hz: float | None) -> float:
    """Return the threshold that the settings ask for.

    Raises:
        SettingsError: They have a threshold and a rate, or the card does not support the rate.
    """
    rate = settings.false_alarms
    if rate is None:
        return card.threshold if settings.threshold is None else settings.threshold
    if settings.threshold is not None:
        raise SettingsError("threshold and false_alarms: expected one of them, found both; leave one out")
    if rate_hz is None and is_hourly(rate):
        _logger.info("false alarms %s: the frame rate is unknown, taking %g frames/s", rate, DEFAULT_RATE_HZ)
    threshold = threshold_for(card.scores, rate, rate_hz or DEFAULT_RATE_HZ)
    measured = "" if settings.polarity == "hot" else ", which was measured on hot targets"
    _logger.info("false alarms %s: threshold %.6g, by the card of %s%s", rate, threshold, card.name, measured)
    return threshold


def _grey(image: object) -> GreyImage:
    """Return an image as the network takes it: grey, contiguous and large enough.

    Raises:
        TypeError: It is not a numpy array.
        ValueError: It has another shape or dtype, or is too small.
    """
    if not isinstance(image, np.ndarray):
        hint = "read a file with cv2.imread(path, cv2.IMREAD_UNCHANGED), which returns None where it cannot"
        raise TypeError(f"image: expected a numpy array, found {type(image).__name__}; {hint}")
    if image.ndim >= 2 and min(image.shape[:2]) < MIN_SIDE_PX:
        raise ValueError(f"image: {_too_small(image.shape)}")
    return to_grey(np.ascontiguousarray(image))


def _too_small(shape: tuple[int, ...]) -> str:
    return f"expected at least {MIN_SIDE_PX}x{MIN_SIDE_PX} pixels, found {shape[1]}x{shape[0]} (width x height)"
