"""Notice pictures that the detector is not made for: false colours, and black-hot ones.

A picture whose channels differ is no picture of temperatures. A black-hot picture cannot be told from a white-hot one
for certain. It is noticed where two things agree: the top of the picture is brighter than its bottom, as a cold sky is
in black-hot, and the negative frame holds targets while the frame itself holds none. Pictures are sampled, and the
negative is scored in a thread of its own.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
from collections import deque
from collections.abc import Callable
from functools import partial

import numpy as np

from lpnet_rt.errors import LpnetError
from lpnet_rt.frames import Frame, GreyImage
from lpnet_rt.reports import Report
from lpnet_rt.sources.states import PictureNote, StateLog

__all__ = ["PictureWatch"]

_logger = logging.getLogger(__name__)

# Grey clips have 0; of OpenCV's 22 palettes, 20 have more, and the other two get brighter from cold to warm.
_COLOURED = 0.1
_COLOURED_SAMPLES = 3
# Chosen on 60 clips, as they are and inverted; see docs/run.md.
_FOUND_SCORE = 0.5
_NEGATIVE_SCORE = 0.7
_NEGATIVE_VOTES = 4
_VOTES_RATIO = 3
_WINDOW = 30
_EARLY_S, _LATER_S = 1.0, 60.0
_NO_RATE_FRAMES = 30
_STEP_PX = 4

_LINES: dict[PictureNote, str] = {
    "black-hot": "the picture looks black-hot (warm is dark): try --polarity cold; nothing was changed",
    "false-colour": "the picture is coloured: switch the camera to grey, white-hot; colours are no temperatures",
}


def _in_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="lpnet-watch", daemon=True).start()


class PictureWatch:
    """A stage of a session: samples its pictures, and logs once what looks wrong; reports pass unchanged."""

    def __init__(
        self,
        source: str,
        log: StateLog,
        negative_peak: Callable[[GreyImage], float] | None,
        start: Callable[[Callable[[], None]], None] = _in_thread,
    ) -> None:
        """Start without a picture.

        Args:
            source: Name of the source.
            log: Takes the notes.
            negative_peak: Returns the highest score of a frame's negative, from any thread; None: pictures are not
                checked for black-hot.
            start: Starts work in the background.
        """
        self._source, self._log, self._negative_peak = source, log, negative_peak
        self._start = start
        self._coloured = 0
        # True: the negative holds a target and the frame holds none; False: the frame holds one; None: neither.
        self._votes: deque[bool | None] = deque(maxlen=_WINDOW)
        self._peaks: queue.SimpleQueue[float] = queue.SimpleQueue()
        self._is_scoring = False
        self._sampled = 0
        self._sampled_s = -math.inf

    def check(self, report: Report) -> Report:
        """Sample the picture of a report if it is time, and return the report."""
        frame = report.frame
        if frame.damage is not None:
            return report
        if frame.colour is not None:
            self._coloured = self._coloured + 1 if frame.colour >= _COLOURED else 0
            if self._coloured >= (_COLOURED_SAMPLES if frame.file is None else 1):
                self._note("false-colour")
        self._collect()
        if self._negative_peak is None or "black-hot" in self._log.notes or report.error is not None:
            return report
        t_s = _time_s(frame)
        interval_s = _EARLY_S if self._sampled < _WINDOW else _LATER_S
        if not self._is_scoring and abs(t_s - self._sampled_s) >= interval_s:  # times restart with a connection
            self._sampled_s = t_s
            self._sampled += 1
            self._sample(report)
        return report

    def _sample(self, report: Report) -> None:
        image = report.frame.image
        if report.score_map.max() >= _FOUND_SCORE:
            self._votes.append(False)
        elif not _is_brighter_above(image):
            self._votes.append(None)
        else:
            self._is_scoring = True
            self._start(partial(self._score, image))

    def _score(self, image: GreyImage) -> None:
        """Score the negative, in the background."""
        peak = 0.0
        try:
            if self._negative_peak is not None:
                peak = self._negative_peak(image)
        except LpnetError:
            pass  # the run itself meets the same failure, and reports it
        finally:
            self._peaks.put(peak)

    def _collect(self) -> None:
        """Take the result of the thread, and judge."""
        try:
            peak = self._peaks.get_nowait()
        except queue.Empty:
            return
        self._is_scoring = False
        self._votes.append(True if peak >= _NEGATIVE_SCORE else None)
        against, found = self._votes.count(True), self._votes.count(False)
        if against >= _NEGATIVE_VOTES and against >= _VOTES_RATIO * found:
            self._note("black-hot")

    def _note(self, note: PictureNote) -> None:
        if note not in self._log.notes:
            self._log.notes = (*self._log.notes, note)
            _logger.warning("%s: %s", self._source, _LINES[note], extra={"source": self._source})


def _is_brighter_above(image: GreyImage) -> bool:
    """Return whether the upper third of a frame is brighter than the lower third."""
    third = image.shape[0] // 3
    upper, lower = image[:third:_STEP_PX, ::_STEP_PX], image[-third::_STEP_PX, ::_STEP_PX]
    return bool(np.mean(upper) > np.mean(lower))


def _time_s(frame: Frame) -> float:
    """Return the time of a frame in its stream; images without times count as one every thirtieth of a second."""
    return frame.index / _NO_RATE_FRAMES if frame.pts_s is None else frame.pts_s
