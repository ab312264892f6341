"""The main job: a source through the detector into every output that was asked for."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType

from lpnet_rt.clock import SYSTEM_CLOCK, Clock
from lpnet_rt.detector import Detector
from lpnet_rt.errors import LpnetError, SinkError
from lpnet_rt.messages import FrameStamper
from lpnet_rt.overlay import Painter
from lpnet_rt.pipeline import Pipeline
from lpnet_rt.settings import Settings
from lpnet_rt.sinks.base import Sink
from lpnet_rt.sinks.jsonl import JsonlSink
from lpnet_rt.sinks.masks import MaskSink
from lpnet_rt.sinks.progress import ProgressSink
from lpnet_rt.sinks.video import VideoSink
from lpnet_rt.sinks.window import WindowSink, open_window
from lpnet_rt.sinks.zmq import ZmqSink
from lpnet_rt.sources import Source, open_source

__all__ = ["Outputs", "run"]


class Outputs:
    """Every output of one run, opened before the first frame and closed together."""

    def __init__(self, settings: Settings, source: Source, detector: Detector, clock: Clock) -> None:
        """Open what the settings ask for; what was opened is closed again if one fails.

        Raises:
            SinkError: An output cannot be opened.
        """
        self._clock = clock
        self._closed = False
        self.sinks: list[Sink] = []
        self.publisher: ZmqSink | None = None
        self.window: WindowSink | None = None
        _protect_source(settings)
        try:
            self._open(settings, source, detector)
        except BaseException:
            self.close("error: an output could not be opened")
            raise

    def _open(self, settings: Settings, source: Source, detector: Detector) -> None:
        output, clock = settings.output, self._clock
        engine = detector.choice.engine
        engine_name = f"{engine.name} {engine.precision}"
        stamper = FrameStamper(detector.card.name, clock)
        self.progress = ProgressSink(source.name, source.frame_count, clock, bar=not output.quiet)
        self.sinks.append(self.progress)
        if settings.publish.enabled:
            model = detector.card.name
            self.publisher = ZmqSink(settings.publish, source.name, model, engine_name, clock, stamper)
            self.sinks.append(self.publisher)
        if output.jsonl:
            self.sinks.append(JsonlSink(output.jsonl, stamper))
        if output.masks:
            self.sinks.append(MaskSink(output.masks, detector.threshold))
        painter = Painter(source.name, clock, detector.threshold)
        if output.save:
            self.sinks.append(VideoSink(output.save, source.rate_hz, painter))
        if output.show:
            self.window = open_window("lpnet-rt", painter, clock)
            if self.window is not None:
                self.sinks.append(self.window)

    def idle(self) -> bool:
        """Keep status and window alive. True ends the run."""
        self._tick()
        return self.window is not None and self.window.wants_stop

    def close(self, reason: str) -> None:
        """Close every output, the publisher last and with the reason; an output's failure does not keep others open."""
        if self._closed:
            return
        self._closed = True
        failure: BaseException | None = None
        closing = [sink.close for sink in self.sinks if sink is not self.publisher]
        if self.publisher is not None:
            closing.append(partial(self.publisher.close, reason))
        for close in closing:
            try:
                close()
            except LpnetError as error:
                failure = failure or error
        if failure is not None:
            raise failure

    def _tick(self) -> None:
        if self.publisher is not None:
            self.publisher.tick()
        if self.window is not None:
            self.window.tick()


def run(settings: Settings, clock: Clock = SYSTEM_CLOCK) -> int:
    """Do the main job.

    Returns:
        The exit code: 0, or 128 plus the number of the signal that ended the run.

    Raises:
        LpnetError: A stage failed; every output is closed and holds what was done before.
    """
    source = open_source(settings.source, clock)
    caught: list[int] = []
    try:
        detector = Detector.load(settings.detector, clock)
        outputs = Outputs(settings, source, detector, clock)
        pipeline = Pipeline(source, detector, outputs.sinks)
        try:
            with _signals(caught, pipeline.stop):
                _drive(pipeline, outputs, caught)
        finally:
            if not settings.output.quiet:
                _summarise(settings, source, detector, outputs)
    finally:
        source.close()
    return 128 + caught[0] if caught else 0


def _summarise(settings: Settings, source: Source, detector: Detector, outputs: Outputs) -> None:
    """Say what was done, also where an error ended it; never into the JSON Lines."""
    engine = detector.choice.engine
    where = sys.stderr if settings.output.jsonl == "-" else sys.stdout
    outputs.progress.print_summary(source.name, f"{engine.name} {engine.precision}", where)


def _drive(pipeline: Pipeline, outputs: Outputs, caught: list[int]) -> None:
    """Run the pipeline and close the outputs with the true reason."""
    try:
        if outputs.publisher is not None:
            outputs.publisher.wait_for_subscriber(lambda: bool(caught))
        outputs.progress.start()
        pipeline.run(outputs.idle)
    except LpnetError as error:
        outputs.close(f"error: {error}")
        raise
    except BaseException as error:
        outputs.close(f"error: {type(error).__name__}")
        raise
    quitted = outputs.window is not None and outputs.window.wants_stop
    outputs.close("interrupted" if caught or quitted else "end")


def _protect_source(settings: Settings) -> None:
    """Refuse to write over what is read."""
    spec, output = Path(settings.source.spec), settings.output
    if not spec.exists():
        return
    folder = spec if spec.is_dir() else spec.parent
    for flag, given in (("--save", output.save), ("--jsonl", output.jsonl)):
        if given and Path(given).exists() and Path(given).samefile(spec):
            raise SinkError(f"{flag} {given}: expected another file than the source; name one")
    if output.masks and Path(output.masks).exists() and Path(output.masks).samefile(folder):
        raise SinkError(f"--masks {output.masks}: expected another folder than the source's; name one")


@contextmanager
def _signals(caught: list[int], stop: Callable[[], None]) -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into an orderly stop; a second one ends at once."""

    def answer(number: int, _frame: FrameType | None) -> None:
        caught.append(number)
        if len(caught) > 1:
            raise KeyboardInterrupt
        stop()

    before = {number: signal.signal(number, answer) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
