"""Open every output in the settings, or none: conflicts are reported before the first frame."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lpnet_rt.angle_fields import camera_message
from lpnet_rt.clock import Clock
from lpnet_rt.detector import Detector
from lpnet_rt.errors import SinkError
from lpnet_rt.outputs import Peers
from lpnet_rt.settings import OutputSettings, Settings, bytes_of, seconds_of
from lpnet_rt.settings.camera import CameraSettings, camera_of
from lpnet_rt.settings.zones import ZoneSettings
from lpnet_rt.sinks.base import SinkRunner
from lpnet_rt.sinks.jsonl import JsonlSink, LineFile
from lpnet_rt.sinks.masks import MaskSink
from lpnet_rt.sinks.naming import free_name
from lpnet_rt.sinks.publisher import Publisher
from lpnet_rt.sinks.runner import DirectSink, QueuedSink
from lpnet_rt.sinks.zmq import ZmqSink
from lpnet_rt.sources import Source
from lpnet_rt.sources.images import IMAGE_SUFFIXES
from lpnet_rt.sources.states import StateLog
from lpnet_rt.stamping import FrameStamper
from lpnet_rt.zones import Zones

if TYPE_CHECKING:
    from lpnet_rt.events.opening import RunEvents
    from lpnet_rt.sinks.base import Sink
    from lpnet_rt.view.overlay import Painter
    from lpnet_rt.view.zone_marks import ZoneMarks

__all__ = ["Outputs", "open_outputs"]


@dataclass(slots=True)
class Outputs:
    """The open outputs of one source.

    Attributes:
        runners: All outputs; the publishing one first.
        published: The publishing output, or None.
        stamper: Numbers the frames for outputs that write messages; None if there are none.
        painters: Draw what is shown and saved.
        events: The events of the run, which all sources share, or None.
    """

    runners: list[SinkRunner] = field(default_factory=list)
    published: ZmqSink | None = None
    stamper: FrameStamper | None = None
    painters: list[Painter] = field(default_factory=list)
    events: RunEvents | None = None

    def redraw(self, threshold: float, zones: Zones) -> None:
        """Draw another threshold and other zones from now on."""
        for painter in self.painters:
            painter.use(threshold, _marks(zones))

    def take_over(self, new: Outputs, names: Collection[str]) -> list[SinkRunner]:
        """Take over newly opened outputs in place of those of some names, which are returned."""
        old = [runner for runner in self.runners if runner.name in names]
        self.runners = [*(runner for runner in self.runners if runner not in old), *new.runners]
        self.painters += new.painters
        return old


def open_outputs(
    settings: Settings,
    logged_sources: Sequence[tuple[Source, StateLog]],
    detector: Detector,
    publisher: Publisher | None,
    clock: Clock,
    stampers: Sequence[FrameStamper | None] = (),
    peers: Peers | None = None,
) -> list[Outputs]:
    """Open the outputs of every source; if one fails, the others are closed again.

    Several sources share the publisher, the JSON Lines file and the window; pictures, video and masks are separate.

    Args:
        settings: Settings of the run.
        logged_sources: The sources with their state logs. No output may be a file of a source.
        detector: Provides the names of model and engine, and the threshold.
        publisher: The socket that every source publishes on, or None; it stays open.
        clock: Clock of the run.
        stampers: Of each source, where other outputs of the same run have numbered its frames; else new ones are made.
        peers: What has a peer, opened for the whole run; they stay open.

    Returns:
        The open outputs of each source, in order.

    Raises:
        SinkError: An output cannot be opened, already exists, or is a file of a source or of another output.
    """
    sources = [source for source, _ in logged_sources]
    wanted = [_of_source(settings.output, source, len(sources) > 1, clock) for source in sources]
    _refuse_shared(wanted, sources)
    opened = [Outputs(stamper=stamper) for stamper in stampers or [None] * len(sources)]
    try:
        lines = None
        if settings.output.jsonl and wanted[0].jsonl:
            lines = LineFile(wanted[0].jsonl, settings.output.overwrite)
        events = _open_events(settings, detector, clock)
        shared = _Shared(detector, publisher, lines, settings.zone, clock, settings.camera, events, peers)
        for outputs, output, (source, log) in zip(opened, wanted, logged_sources, strict=True):
            _open(outputs, output, source, log, shared)
        if settings.output.show:
            _open_window(opened, sources, shared)
    except BaseException:
        for runner in (runner for outputs in opened for runner in outputs.runners):
            runner.close("error: an output could not be opened", in_haste=True)
        raise
    return opened


@dataclass(frozen=True, slots=True)
class _Shared:
    detector: Detector
    publisher: Publisher | None
    lines: LineFile | None
    zones: Sequence[ZoneSettings]
    clock: Clock
    cameras: tuple[CameraSettings, ...] = ()
    events: RunEvents | None = None
    peers: Peers | None = None


def _open(outputs: Outputs, output: OutputSettings, source: Source, log: StateLog, shared: _Shared) -> None:
    """Open the outputs of one source, except the window."""
    detector = shared.detector
    camera = camera_of(shared.cameras, source.name)
    seen_by = None if camera is None else camera_message(camera)
    stamper = outputs.stamper or FrameStamper(detector.card.name, shared.clock, detector.polarity, seen_by)

    def queued(sink: Sink, name: str) -> None:
        outputs.runners.append(QueuedSink(sink, name, shared.clock, lossy=source.live))

    if shared.publisher is not None:
        name = _engine_name(detector)
        outputs.published = ZmqSink(shared.publisher, source.name, name, shared.clock, stamper, log)
        outputs.runners.append(DirectSink(outputs.published, "publish"))
    if shared.lines is not None:
        queued(JsonlSink(shared.lines, stamper), "jsonl")
    for name, sink in [] if shared.peers is None else shared.peers.sinks_of(source.name, stamper, log):
        outputs.runners.append(DirectSink(sink, name))
    if outputs.runners:
        outputs.stamper = stamper
    if shared.events is not None:
        outputs.events = shared.events
        queued(shared.events.sink(source, log, stamper.session), "events")
    if output.masks:
        names = [path.name for path in source.files]
        queued(MaskSink(output.masks, detector.threshold, names, output.overwrite), "masks")
    if output.save:
        queued(_picture_sink(output, source, _painter(outputs, source, shared), shared.clock), "save")


def _open_events(settings: Settings, detector: Detector, clock: Clock) -> RunEvents | None:
    if settings.events.folder is None:
        return None
    from lpnet_rt.events.opening import RunEvents

    return RunEvents(settings, detector.card.name, _engine_name(detector), clock)


def _engine_name(detector: Detector) -> str:
    return f"{detector.choice.engine.name} {detector.choice.engine.precision}"


def _open_window(opened: Sequence[Outputs], sources: Sequence[Source], shared: _Shared) -> None:
    from lpnet_rt.sinks.window import open_windows

    pairs = zip(opened, sources, strict=True)
    painters = {source.name: _painter(outputs, source, shared) for outputs, source in pairs}
    for outputs, window in zip(opened, open_windows("lpnet-rt", painters, shared.clock), strict=False):
        outputs.runners.append(QueuedSink(window, "window", shared.clock, lossy=True))


def _painter(outputs: Outputs, source: Source, shared: _Shared) -> Painter:
    """Return a new painter; each sink draws in its own thread."""
    from lpnet_rt.view.overlay import Painter

    marks = _marks(Zones(shared.zones, source.name))
    outputs.painters.append(Painter(source.name, shared.clock, shared.detector.threshold, marks))
    return outputs.painters[-1]


def _marks(zones: Zones) -> ZoneMarks:
    from lpnet_rt.view.zone_marks import ZoneMarks

    return ZoneMarks(zones)


def _of_source(output: OutputSettings, source: Source, is_one_of_several: bool, clock: Clock) -> OutputSettings:
    """Return the outputs of one source; with several sources, its name is added to file names.

    For live sources, names of existing files are changed, so that a restarted service continues in a new file.
    """
    if is_one_of_several:
        save, masks = output.save, output.masks
        if save and _is_folder(save):
            save = f"{Path(save) / source.name}/"
        elif save:
            save = str(Path(save).with_stem(f"{Path(save).stem}-{source.name}"))
        output = msgspec.structs.replace(output, save=save, masks=str(Path(masks) / source.name) if masks else None)
    if not source.live or output.overwrite:
        return output
    changes = {
        key: free_name(path, clock.unix_us())
        for key, path in (("jsonl", output.jsonl), ("save", output.save))
        if path and path != "-" and Path(path).is_file()
    }
    return msgspec.structs.replace(output, **changes)


def _picture_sink(output: OutputSettings, source: Source, painter: Painter, clock: Clock) -> Sink:
    """Return a sink for pictures (a folder) or a video (any other name); only the latter imports FFmpeg."""
    assert output.save is not None
    if _is_folder(output.save):
        from lpnet_rt.sinks.pictures import PictureSink

        return PictureSink(output.save, painter, output.overwrite)
    from lpnet_rt.sinks.recording import RecordingSink, Retention

    retention = Retention(
        segment_s=None if output.segment is None else seconds_of(output.segment),
        keep_s=None if output.keep_age is None else seconds_of(output.keep_age),
        keep_bytes=None if output.keep_size is None else bytes_of(output.keep_size),
    )
    return RecordingSink(output.save, source.rate_hz, painter, clock, retention, output.overwrite)


def _is_folder(save: str) -> bool:
    return save.endswith("/") or Path(save).is_dir()


def _refuse_shared(outputs: Sequence[OutputSettings], sources: Sequence[Source]) -> None:
    """Refuse an output that is a file of a source or of another output, even with ``overwrite``."""
    files = [path for source in sources for path in source.files]
    taken = {identity: f"the source's {path}" for path in files for identity in _identities(path)}
    folders = {os.path.realpath(path.parent) for path in files}
    lines = outputs[0].jsonl
    paths = [("--jsonl", Path(lines))] if lines and lines != "-" else []
    for output, source in zip(outputs, sources, strict=True):
        paths += _written(output, source)
    for flag, path in paths:
        if flag == "--jsonl" and path.suffix.lower() in IMAGE_SUFFIXES and os.path.realpath(path.parent) in folders:
            raise SinkError(f"{flag} {path}: expected no image's name in the source's folder; end it in .jsonl")
        for identity in _identities(path):
            if identity in taken:
                raise SinkError(f"{flag} {path}: expected a file of its own, found {taken[identity]}; give another")
            taken[identity] = f"that of {flag}"


def _written(output: OutputSettings, source: Source) -> list[tuple[str, Path]]:
    """Return the paths of a source's pictures, video and masks, with their flags."""
    paths = [("--save", Path(output.save))] if output.save and not _is_folder(output.save) else []
    for flag, folder in (("--masks", output.masks), ("--save", output.save)):
        if folder and (flag == "--masks" or _is_folder(folder)):
            paths += [(flag, Path(folder) / f"{path.stem}.png") for path in source.files]
    return paths


def _identities(path: Path) -> Iterator[tuple[object, ...]]:
    """Yield what identifies a file: its resolved name, and device and inode if it exists."""
    yield (os.path.realpath(path),)
    with contextlib.suppress(OSError):
        status = path.stat()
        if not (path.is_char_device() or path.is_fifo()):
            yield (status.st_dev, status.st_ino)
