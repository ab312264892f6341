"""Open every output that the settings ask for, or none: a taken port or name is known before the first frame."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lpnet_rt.clock import Clock
from lpnet_rt.detector import Detector
from lpnet_rt.errors import SinkError
from lpnet_rt.messages import FrameStamper
from lpnet_rt.settings import OutputSettings, Settings
from lpnet_rt.sinks.base import SinkRunner
from lpnet_rt.sinks.jsonl import JsonlSink
from lpnet_rt.sinks.masks import MaskSink
from lpnet_rt.sinks.runner import DirectSink, QueuedSink
from lpnet_rt.sinks.zmq import ZmqSink
from lpnet_rt.sources import Source
from lpnet_rt.sources.images import IMAGE_SUFFIXES

if TYPE_CHECKING:
    from lpnet_rt.sinks.base import Sink
    from lpnet_rt.view.overlay import Painter

__all__ = ["Outputs", "free_name", "open_sinks"]


@dataclass(frozen=True, slots=True)
class Outputs:
    """What was opened.

    Attributes:
        runners: Every output, the publisher first.
        publisher: The publisher, or None.
        stamper: Numbers the frames, for every output that writes messages.
        writes_messages: Whether one does.
    """

    runners: list[SinkRunner]
    publisher: ZmqSink | None
    stamper: FrameStamper
    writes_messages: bool


def open_sinks(settings: Settings, source: Source, detector: Detector, clock: Clock) -> Outputs:
    """Open the outputs of a source; what was opened is closed again if one fails.

    Args:
        settings: What to open.
        source: Its name, rate and files matter: no output may be one of them.
        detector: Its model, engine and threshold are written.
        clock: Tells the time.

    Raises:
        SinkError: An output cannot be opened, is there already, is a file of the source or of another output.
    """
    output = _with_free_names(settings.output, source, clock)
    _refuse_shared(output, source)
    stamper = FrameStamper(detector.card.name, clock)
    runners: list[SinkRunner] = []
    publisher: ZmqSink | None = None

    def painter() -> Painter:
        from lpnet_rt.view.overlay import Painter

        return Painter(source.name, clock, detector.threshold)  # one a sink: each draws in a thread of its own

    def queued(sink: Sink, name: str) -> None:
        runners.append(QueuedSink(sink, name, clock, lossy=source.live))

    try:
        if settings.publish.enabled:
            engine = f"{detector.choice.engine.name} {detector.choice.engine.precision}"
            publisher = ZmqSink(settings.publish, source.name, detector.card.name, engine, clock, stamper)
            runners.append(DirectSink(publisher, "publish"))
        if output.jsonl:
            queued(JsonlSink(output.jsonl, stamper, output.overwrite), "jsonl")
        if output.masks:
            names = [path.name for path in source.files]
            queued(MaskSink(output.masks, detector.threshold, names, output.overwrite), "masks")
        if output.save:
            queued(_picture_sink(output.save, output.overwrite, source, painter()), "save")
        if output.show:
            from lpnet_rt.sinks.window import open_window

            window = open_window("lpnet-rt", painter(), clock)
            if window is not None:
                runners.append(QueuedSink(window, "window", clock, lossy=True))
    except BaseException:
        for runner in runners:
            runner.close("error: an output could not be opened", in_haste=True)
        raise
    return Outputs(runners, publisher, stamper, settings.publish.enabled or output.jsonl is not None)


def free_name(path: str, unix_us: int) -> str:
    """Return a path where nothing stands: this one, or one with the time (UTC) in its name."""
    given = Path(path)
    if not given.exists():
        return path
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(unix_us / 1e6))
    names = (f"{given.stem}-{stamp}{tail}{given.suffix}" for tail in ("", *(f"-{n}" for n in range(2, 1000))))
    return str(next(place for name in names if not (place := given.with_name(name)).exists()))


def _with_free_names(output: OutputSettings, source: Source, clock: Clock) -> OutputSettings:
    """A service that watches a camera is started again by itself: it goes on in a new file."""
    if not source.live or output.overwrite:
        return output
    changes = {
        key: free_name(path, clock.unix_us())
        for key, path in (("jsonl", output.jsonl), ("save", output.save))
        if path and path != "-" and Path(path).is_file()
    }
    return msgspec.structs.replace(output, **changes)


def _picture_sink(save: str, overwrite: bool, source: Source, painter: Painter) -> Sink:
    """A folder gets a picture for each image, any other name a video; FFmpeg is only imported for the latter."""
    if _is_folder(save):
        from lpnet_rt.sinks.pictures import PictureSink

        return PictureSink(save, painter, overwrite)
    from lpnet_rt.sinks.video import VideoSink

    return VideoSink(save, source.rate_hz, painter, overwrite)


def _is_folder(save: str) -> bool:
    return save.endswith("/") or Path(save).is_dir()


def _refuse_shared(output: OutputSettings, source: Source) -> None:
    """Refuse an output that is a file of the source or of another output, whatever may be overwritten."""
    taken = {identity: f"the source's {path}" for path in source.files for identity in _identities(path)}
    named = [("--jsonl", output.jsonl), ("--save", output.save)]
    paths = [(flag, Path(path)) for flag, path in named if path and path != "-" and not _is_folder(path)]
    for flag, folder in (("--masks", output.masks), ("--save", output.save)):
        if folder and (flag == "--masks" or _is_folder(folder)):
            paths += [(flag, Path(folder) / f"{path.stem}.png") for path in source.files]
    folders = {os.path.realpath(path.parent) for path in source.files}
    for flag, path in paths:
        if flag == "--jsonl" and path.suffix.lower() in IMAGE_SUFFIXES and os.path.realpath(path.parent) in folders:
            raise SinkError(f"{flag} {path}: expected no image's name in the source's folder; end it in .jsonl")
        for identity in _identities(path):
            if identity in taken:
                raise SinkError(f"{flag} {path}: expected a file of its own, found {taken[identity]}; give another")
            taken[identity] = f"that of {flag}"


def _identities(path: Path) -> Iterable[tuple[object, ...]]:
    """What makes two paths the same file: the resolved name, and device and inode where it is there."""
    yield (os.path.realpath(path),)
    with contextlib.suppress(OSError):
        status = path.stat()
        if not (path.is_char_device() or path.is_fifo()):
            yield (status.st_dev, status.st_ino)
