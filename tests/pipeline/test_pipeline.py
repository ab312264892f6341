from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from lpnet_rt.detector import Detector
from lpnet_rt.engines import Choice, Engine
from lpnet_rt.errors import EngineError, SinkError, TruncatedError
from lpnet_rt.frames import Frame
from lpnet_rt.models import ModelCard
from lpnet_rt.pipeline import Pipeline, Session
from lpnet_rt.reports import Report
from lpnet_rt.settings import DetectorSettings, SourceSettings
from lpnet_rt.sinks.runner import DirectSink
from lpnet_rt.sources import Source, open_source
from lpnet_rt.sources.demo import DemoScene, DemoSource

WAIT_S = 20.0  # an upper bound for what should be quick; nothing waits this long unless it is broken


class Frames:
    """A source of small frames, live or not, that can break and can be held."""

    name, rate_hz, frame_count, files = "frames", None, None, ()

    def __init__(self, count: int, live: bool = False, error: BaseException | None = None) -> None:
        self.live = live
        self.delivered = 0
        self.ended = threading.Event()
        self._count, self._error = count, error

    def __iter__(self) -> Iterator[Frame]:
        try:
            for index in range(self._count):
                self.delivered += 1
                yield make_frame(index)
            if self._error is not None:
                raise self._error
        finally:
            self.ended.set()

    def close(self) -> None:
        self.ended.set()


class Recorder:
    """A sink that keeps reports, and does something at each."""

    def __init__(self, at_each: Callable[[Report], None] = lambda report: None) -> None:
        self.reports: list[Report] = []
        self._at_each = at_each

    def write(self, report: Report) -> None:
        self.reports.append(report)
        self._at_each(report)

    def tick(self) -> None:
        pass

    def close(self, outcome: str = "end") -> None:
        self.outcome = outcome

    @property
    def indices(self) -> list[int]:
        return [report.frame.index for report in self.reports]


def run(source: Source, detector: Detector, *sinks: Recorder, frames: int | None = None) -> list[DirectSink]:
    runners = [DirectSink(sink, f"sink {number}") for number, sink in enumerate(sinks)]
    Pipeline([Session(source, runners, max_frames=frames)], detector).run()
    return runners


def make_frame(index: int) -> Frame:
    image = np.random.default_rng(index).normal(90, 3, (64, 64)).astype(np.uint8)
    return Frame(image=image, index=index, source="frames", pts_s=None, t_capture_us=1, t_read_ns=1)


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector.load(DetectorSettings(engine="onnxruntime", threads=1))


def test_every_frame_reaches_the_sinks_in_order_and_as_it_was(detector: Detector) -> None:
    scene = DemoScene(seed=3, size_hw=(96, 128))
    source = DemoSource(SourceSettings(frames=12), scene=scene)
    first, second = Recorder(), Recorder()
    run(source, detector, first, second)
    assert first.indices == list(range(12))
    assert [id(report) for report in second.reports] == [id(report) for report in first.reports]
    for report in first.reports:
        np.testing.assert_array_equal(report.frame.image, scene.frame(report.frame.index))
        assert report.frame.dropped == 0
        assert report.error is None
        assert report.score_map.shape == (96, 128)
        stages = report.latency
        parts = stages.queue_ms + stages.prepare_ms + stages.infer_ms + stages.detect_ms
        assert stages.total_ms == pytest.approx(parts, abs=1e-6)


def test_score_maps_of_earlier_frames_stay_as_they_were(detector: Detector) -> None:
    sink = Recorder()
    run(Frames(4), detector, sink)
    for report in sink.reports:
        np.testing.assert_array_equal(report.score_map, detector.score_map(report.frame.image))


def test_a_truncated_source_is_finished_first_then_raised(detector: Detector) -> None:
    sink = Recorder()
    with pytest.raises(TruncatedError, match="cut off"):
        run(Frames(7, error=TruncatedError("cut off")), detector, sink)
    assert sink.indices == list(range(7))


def test_a_fault_of_ours_in_the_source_is_not_swallowed(detector: Detector) -> None:
    with pytest.raises(ZeroDivisionError):
        run(Frames(1, error=ZeroDivisionError()), detector, Recorder())


def test_an_empty_source_ends_at_once(detector: Detector) -> None:
    sink = Recorder()
    run(Frames(0), detector, sink)
    assert sink.reports == []


def test_a_sink_that_fails_is_closed_and_the_others_go_on(detector: Detector) -> None:
    def fail(report: Report) -> None:
        if report.frame.index == 3:
            raise SinkError("disk full")

    broken, after = Recorder(fail), Recorder()
    runners = run(Frames(7), detector, broken, after)
    assert broken.indices == [0, 1, 2, 3]
    assert broken.outcome == "error: disk full"
    assert after.indices == list(range(7))
    assert [runner.failure for runner in runners] == ["disk full", None]


def test_a_fault_of_ours_in_a_sink_is_a_failure_of_that_sink_too(detector: Detector) -> None:
    def fail(report: Report) -> None:
        raise ZeroDivisionError("division by zero")

    after = Recorder()
    runners = run(Frames(3), detector, Recorder(fail), after)
    assert runners[0].failure == "sink 0: ZeroDivisionError: division by zero"
    assert after.indices == [0, 1, 2]


def test_the_run_ends_when_its_last_sink_has_failed(detector: Detector) -> None:
    def fail(report: Report) -> None:
        raise SinkError("disk full")

    source = Frames(1_000_000)
    run(source, detector, Recorder(fail), Recorder(fail))
    assert source.ended.wait(WAIT_S), "the source is still being read"
    assert source.delivered < 20
    assert not {"lpnet-source", "lpnet-detector"} & {thread.name for thread in threading.enumerate()}


def test_a_sink_that_has_to_be_waited_for_holds_a_file_and_not_the_other_sinks_ticks(detector: Detector) -> None:
    class Slow(DirectSink):
        refusals = 0

        def offer(self, report: Report) -> bool:
            if report.frame.index == 1 and self.refusals < 3:
                self.refusals += 1
                return False
            return super().offer(report)

    class Ticking(Recorder):
        ticks = 0

        def tick(self) -> None:
            self.ticks += 1

    slow, ticking = Recorder(), Ticking()
    Pipeline([Session(Frames(4), [Slow(slow, "slow"), DirectSink(ticking, "ticking")])], detector).run()
    assert slow.indices == ticking.indices == [0, 1, 2, 3]
    assert ticking.ticks >= 3


def test_the_limit_counts_frames_that_were_handled(detector: Detector) -> None:
    sink = Recorder()
    run(Frames(1_000_000), detector, sink, frames=5)
    assert sink.indices == [0, 1, 2, 3, 4]


def test_a_damaged_frame_is_a_failed_one(detector: Detector) -> None:
    class Damaged(Frames):
        def __iter__(self) -> Iterator[Frame]:
            yield dataclasses.replace(make_frame(0), damage="a slice is missing")
            yield make_frame(1)

    sink = Recorder()
    run(Damaged(2), detector, sink)
    assert [report.error for report in sink.reports] == ["frame 0: damaged: a slice is missing", None]


def test_an_engine_that_fails_stops_everything(detector: Detector) -> None:
    class Failing:
        name, precision = "failing", "f32"

        def score(self, batch: np.ndarray) -> np.ndarray:
            raise EngineError("out of memory")

    source, sink = Frames(1_000_000), Recorder()
    card: ModelCard = detector.card
    broken = Detector(card, type(detector.choice)(Failing(), "test"), 0.5)
    with pytest.raises(EngineError, match="out of memory"):
        run(source, broken, sink)
    assert sink.reports == []
    assert source.ended.wait(WAIT_S)


def test_a_live_source_with_a_slow_sink_drops_the_oldest_and_counts(detector: Detector) -> None:
    source = Frames(60, live=True)
    # The first report is held until the source has delivered everything: the queues are as full as they get.
    sink = Recorder(lambda report: None if source.ended.wait(WAIT_S) else pytest.fail("the source waited for the sink"))
    run(source, detector, sink)
    indices, dropped = sink.indices, [report.frame.dropped for report in sink.reports]
    assert indices == sorted(set(indices))
    assert len(indices) < 20
    assert indices[-1] == 59, "the newest frame was dropped"
    assert dropped == sorted(dropped)
    assert len(indices) + dropped[-1] == 60


def test_drops_of_the_source_and_of_the_queue_are_added_up(detector: Detector) -> None:
    class Lossy(Frames):
        def __iter__(self) -> Iterator[Frame]:
            yield Frame(
                image=make_frame(9).image, index=9, source="s", pts_s=None, t_capture_us=1, t_read_ns=1, dropped=9
            )

    sink = Recorder()
    run(Lossy(1), detector, sink)
    assert [report.frame.dropped for report in sink.reports] == [9]


def test_stop_ends_the_run_from_another_thread(detector: Detector) -> None:
    source, seen = Frames(1_000_000), threading.Event()
    sink = Recorder(lambda report: seen.set())
    pipeline = Pipeline([Session(source, [DirectSink(sink, "sink")])], detector)
    thread = threading.Thread(target=pipeline.run)
    thread.start()
    assert seen.wait(WAIT_S)
    pipeline.stop()
    thread.join(WAIT_S)
    assert not thread.is_alive()
    assert sink.indices == list(range(len(sink.reports)))
    assert source.ended.wait(WAIT_S)


def test_stop_before_the_run_writes_nothing(detector: Detector) -> None:
    sink = Recorder()
    pipeline = Pipeline([Session(Frames(1_000_000), [DirectSink(sink, "sink")])], detector)
    pipeline.stop()
    pipeline.run()
    assert sink.reports == []


def test_sinks_tick_while_nothing_comes_and_can_end_the_run(detector: Detector) -> None:
    class Silent(Frames):
        def __iter__(self) -> Iterator[Frame]:
            self.ended.wait(WAIT_S)
            yield from ()

    class Watched(Recorder):
        ticks = 0

        def tick(self) -> None:
            self.ticks += 1

        @property
        def wants_stop(self) -> bool:
            return self.ticks == 3

    source, sink = Silent(0, live=True), Watched()
    run(source, detector, sink)
    assert sink.ticks == 3
    source.close()


def write_clip(path: Path, size_hw: tuple[int, int], count: int) -> None:
    scene = DemoScene(seed=5, size_hw=size_hw)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=30)
        stream.height, stream.width, stream.pix_fmt = *size_hw, "gray"
        for index in range(count):
            image = scene.frame(index)
            grey = image if image.dtype == np.uint8 else (image >> 6).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, "gray")))
        container.mux(stream.encode(None))


def session(source: Source, sink: Recorder, **options: object) -> Session:
    return Session(source, [DirectSink(sink, "sink")], **options)  # type: ignore[arg-type]


def test_two_files_in_one_process_give_what_each_gives_alone(detector: Detector, tmp_path: Path) -> None:
    sizes_hw = {"small.mkv": (64, 96), "large.mkv": (96, 128)}
    paths = [tmp_path / name for name in sizes_hw]
    for path in paths:
        write_clip(path, sizes_hw[path.name], 9)
    alone = {}
    for path in paths:
        sink = Recorder()
        run(open_source(SourceSettings(spec=str(path))), detector, sink)
        alone[path] = sink.reports
    sinks = [Recorder(), Recorder()]
    sessions = [
        session(open_source(SourceSettings(spec=str(path))), sink) for path, sink in zip(paths, sinks, strict=True)
    ]
    Pipeline(sessions, detector).run()
    for path, sink in zip(paths, sinks, strict=True):
        assert sink.indices == list(range(9))
        assert {report.frame.source for report in sink.reports} == {path.stem}
        assert sink.outcome == "end"
        for together, single in zip(sink.reports, alone[path], strict=True):
            np.testing.assert_array_equal(together.frame.image, single.frame.image)
            np.testing.assert_array_equal(together.score_map, single.score_map)


def test_a_source_that_fails_ends_alone_and_its_error_is_raised_at_the_end(detector: Detector) -> None:
    broken, whole = Recorder(), Recorder()
    source = Frames(2, error=TruncatedError("cut off"))
    with pytest.raises(TruncatedError, match="cut off"):
        Pipeline([session(source, broken), session(Frames(40), whole)], detector).run()
    assert (broken.indices, broken.outcome) == ([0, 1], "error: cut off")
    assert (whole.indices, whole.outcome) == (list(range(40)), "end")


def test_a_full_output_of_one_source_does_not_hold_another(detector: Detector) -> None:
    class Full(DirectSink):
        def offer(self, report: Report) -> bool:
            return whole.indices == list(range(30)) and super().offer(report)

    held, whole = Recorder(), Recorder()
    sessions = [Session(Frames(5), [Full(held, "full")]), session(Frames(30), whole)]
    Pipeline(sessions, detector).run()
    assert held.indices == list(range(5))


def test_a_source_that_floods_leaves_the_others_their_turn(detector: Detector) -> None:
    flood, quiet = Recorder(), Recorder()
    flooding = Frames(1_000_000, live=True)
    sessions = [session(flooding, flood), session(Frames(20), quiet, max_frames=20)]
    pipeline = Pipeline(sessions, detector)
    quiet._at_each = lambda report: pipeline.stop() if report.frame.index == 19 else None
    pipeline.run()
    assert quiet.indices == list(range(20))
    assert 15 <= len(flood.reports) <= 25, "the sources did not take turns"


def test_an_engine_that_fails_ends_every_session(detector: Detector) -> None:
    class Failing:
        name, precision = "failing", "f32"

        def score(self, batch: np.ndarray) -> np.ndarray:
            raise EngineError("out of memory")

    broken = Detector(detector.card, type(detector.choice)(Failing(), "test"), 0.5)
    sinks = [Recorder(), Recorder()]
    with pytest.raises(EngineError, match="out of memory"):
        Pipeline([session(Frames(9), sink) for sink in sinks], broken).run()
    assert [sink.outcome for sink in sinks] == ["error: out of memory"] * 2


def test_reports_go_through_the_stages_of_their_session(detector: Detector) -> None:
    sink = Recorder()
    seen: list[int] = []

    def mark(report: Report) -> Report:
        seen.append(report.frame.index)
        return dataclasses.replace(report, error="marked")

    Pipeline([session(Frames(3), sink, stages=[mark])], detector).run()
    assert seen == [0, 1, 2]
    assert [report.error for report in sink.reports] == ["marked"] * 3


class Unsteady:
    """An engine of ours that throws on every n-th call."""

    precision = "f32"

    def __init__(self, engine: Engine, every: int) -> None:
        self.name, self._engine, self._every, self._calls = engine.name, engine, every, 0

    def score(self, batch: np.ndarray) -> np.ndarray:
        self._calls += 1
        if self._calls % self._every == 0:
            raise EngineError("the device was lost")
        return self._engine.score(batch)


def unsteady(detector: Detector, every: int) -> Detector:
    choice = type(detector.choice)

    def reopen(_: Choice) -> Choice:
        return choice(Unsteady(detector.choice.engine, every), "test")

    return Detector(detector.card, reopen(detector.choice), detector.threshold, reopen=reopen)


def test_an_engine_that_fails_is_opened_again_and_costs_the_frames_it_had(detector: Detector, caplog) -> None:
    sink = Recorder()
    Pipeline([session(Frames(35), sink)], unsteady(detector, every=10)).run()
    failed = [report.frame.index for report in sink.reports if report.error is not None]
    assert failed == [9, 19, 29]
    assert sink.reports[9].error == "frame 9: the engine failed: the device was lost"
    assert sink.indices == list(range(35))
    assert caplog.messages == ["the device was lost; opening the engine again"] * 3


def test_an_engine_that_keeps_failing_ends_the_run_with_its_error(detector: Detector) -> None:
    sink = Recorder()
    with pytest.raises(EngineError, match="the device was lost"):
        Pipeline([session(Frames(1_000), sink)], unsteady(detector, every=10)).run()
    assert sink.indices == list(range(39))
    assert sink.outcome == "error: the device was lost"


def test_failures_that_lie_far_apart_are_forgotten(detector: Detector) -> None:
    class Slow:
        now_ns = 0

        def monotonic_ns(self) -> int:
            self.now_ns += 1_000_000_000
            return self.now_ns

        def unix_us(self) -> int:
            return self.now_ns // 1000

        def sleep(self, seconds: float) -> None: ...

    sink = Recorder()
    Pipeline([session(Frames(400), sink)], unsteady(detector, every=40), Slow()).run()
    assert sink.indices == list(range(400))
    assert sum(report.error is not None for report in sink.reports) == 10


def test_outputs_are_exchanged_between_two_reports_and_nothing_is_lost(detector: Detector) -> None:
    kept, new = Recorder(), Recorder()
    pipelines: list[Pipeline] = []

    def exchange(report: Report) -> None:
        if report.frame.index == 5:
            pipelines[0].call(lambda: session.exchange([runners[1]], [DirectSink(new, "new")]))

    old = Recorder(exchange)
    runners = [DirectSink(kept, "kept"), DirectSink(old, "old")]
    session = Session(Frames(20), runners)
    pipelines.append(Pipeline([session], detector))
    assert pipelines[0].is_open(0)
    pipelines[0].run()
    assert not pipelines[0].is_open(0)
    assert pipelines[0].turned_ns > 0
    assert kept.indices == old.indices + new.indices == list(range(20))
    assert (old.outcome, new.outcome, kept.outcome) == ("end", "end", "end")
    assert old.indices[-1] >= 5
