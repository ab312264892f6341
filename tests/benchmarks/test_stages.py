from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lpnet_rt.benchmarks.results import Spread
from lpnet_rt.benchmarks.stages import measure_stages
from lpnet_rt.clock import SYSTEM_CLOCK
from lpnet_rt.detector import Detector
from lpnet_rt.engines import Choice
from lpnet_rt.errors import EngineError
from lpnet_rt.frames import Frame
from lpnet_rt.settings import DetectorSettings


class Ticking:
    """A clock that moves by a millisecond whenever it is asked; a slow engine can move it further."""

    def __init__(self) -> None:
        self.now_ns = 0

    def monotonic_ns(self) -> int:
        self.now_ns += 1_000_000
        return self.now_ns

    def unix_us(self) -> int:
        return 0

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing should wait")


class Slow:
    """An engine that takes as many milliseconds as it is told, but the first time a second more."""

    precision = "f32"

    def __init__(self, name: str, took_ms: float, clock: Ticking, order: list[str], most: int = 64) -> None:
        self.name, self._took_ms, self._clock, self._order, self._most = name, took_ms, clock, order, most
        self._warm = False

    def score(self, batch: np.ndarray) -> np.ndarray:
        if len(batch) > self._most:
            raise EngineError(f"{self.name}: takes {self._most} frames, found {len(batch)}")
        self._order.append(self.name)
        self._clock.now_ns += round(self._took_ms * 1e6) + (0 if self._warm else 1_000_000_000)
        self._warm = True
        return np.zeros((len(batch), 1, *batch.shape[2:]), np.float32)


def frames(count: int) -> list[Frame]:
    image = np.random.default_rng(0).integers(0, 255, (64, 96)).astype(np.uint8)
    return [
        Frame(image=image.copy(), index=i, source="s", pts_s=None, t_capture_us=0, t_read_ns=0) for i in range(count)
    ]


@pytest.fixture
def made(blob_model: Path) -> tuple[list[Detector], Ticking, list[str]]:
    """Detectors with engines of 4 and 9 ms; the second takes one frame at a time."""
    card = Detector.load(DetectorSettings(model=str(blob_model), engine="onnxruntime", threads=1)).card
    clock, order = Ticking(), []
    engines = [Slow("quick", 4, clock, order), Slow("slow", 9, clock, order, most=1)]
    return [Detector(card, Choice(engine, "test"), 0.5, clock) for engine in engines], clock, order


def test_times_by_hand(made: tuple[list[Detector], Ticking, list[str]]) -> None:
    detectors, clock, _ = made
    (quick, slow), skipped = measure_stages(detectors, frames(3), 2, 1, clock)
    assert skipped == []
    assert (quick.engine, quick.size_wh, quick.batch) == ("quick f32", (96, 64), 1)
    # Every look at the clock takes a millisecond, and so every stage one more than the engine needs.
    assert quick.infer == Spread(5.0, 5.0, 5.0, 5.0, 6)
    assert slow.infer == Spread(10.0, 10.0, 10.0, 10.0, 6)
    assert quick.prepare == quick.detect == quick.encode == Spread(1.0, 1.0, 1.0, 1.0, 6)
    assert quick.overhead.p50_ms == pytest.approx(3.0)
    assert quick.fps == pytest.approx(1000 / 8)


def test_the_first_round_does_not_count_and_engines_take_turns(
    made: tuple[list[Detector], Ticking, list[str]],
) -> None:
    detectors, clock, order = made
    rows, _ = measure_stages(detectors, frames(2), 2, 1, clock)
    assert max(row.infer.max_ms for row in rows) < 20  # the first call took a second more
    assert order == ["quick", "quick", "slow", "slow"] * 3


def test_batches_share_their_time_and_who_cannot_is_named(made: tuple[list[Detector], Ticking, list[str]]) -> None:
    detectors, clock, _ = made
    (quick,), skipped = measure_stages(detectors, frames(9), 1, 4, clock)
    assert quick.batch == 4
    assert quick.infer == Spread(1.25, 1.25, 1.25, 1.25, 8)  # the ninth frame fills no batch
    assert skipped == ["slow f32, batch 4: slow: takes 1 frames, found 4"]


def test_a_failure_on_single_frames_is_raised(made: tuple[list[Detector], Ticking, list[str]]) -> None:
    detectors, clock, order = made
    broken = Detector(detectors[0].card, Choice(Slow("broken", 1, clock, order, most=0), "test"), 0.5, clock)
    with pytest.raises(EngineError, match="broken: takes 0 frames"):
        measure_stages([broken], frames(1), 1, 1, clock)


def test_real_engines_agree_with_the_detector(blob_model: Path) -> None:
    detector = Detector.load(DetectorSettings(model=str(blob_model), engine="onnxruntime", threads=1))
    (row,), _ = measure_stages([detector], frames(4), 1, 1, SYSTEM_CLOCK)
    assert row.engine == "onnxruntime f32"
    assert 0 < row.infer.p50_ms <= row.infer.p95_ms <= row.infer.p99_ms <= row.infer.max_ms
    assert row.infer.count == 4


def test_percentiles_by_hand() -> None:
    spread = Spread.of([float(value) for value in range(1, 102)])
    assert spread == Spread(51.0, 96.0, 100.0, 101.0, 101)
    with pytest.raises(ValueError, match="expected at least one"):
        Spread.of([])
