"""``lpnet-rt zones``: see, draw and propose the zones of a source."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import cv2
import msgspec
import numpy as np

from lpnet_rt.camera_text import TextFinder
from lpnet_rt.detector import Detector
from lpnet_rt.errors import SettingsError, SinkError, SourceError
from lpnet_rt.files import refuse_existing, write_whole
from lpnet_rt.frames import Frame
from lpnet_rt.pipeline.zone_stage import ZoneStage
from lpnet_rt.reports import Report
from lpnet_rt.settings import Settings, SourceSettings, load_settings, require_source
from lpnet_rt.settings.zones import ZoneSettings, zone_tables
from lpnet_rt.sources import Source, open_source
from lpnet_rt.text import printable
from lpnet_rt.view.overlay import Status, draw
from lpnet_rt.view.zone_marks import ZoneMarks
from lpnet_rt.zones import Zones

__all__ = ["add_arguments", "run"]

_logger = logging.getLogger(__name__)

_WATCHED_FRAMES = 60  # of those read, evenly chosen: text is the same in all of them


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    parser.add_argument("--source", metavar="X", help="as in run, or the name of a source of the configuration")
    parser.add_argument("--config", metavar="FILE", help="TOML file with the zones that there are, [[zone]]")
    parser.add_argument("--out", metavar="PNG", help="write a picture with and without the zones; opens no window")
    parser.add_argument("--save", metavar="TOML", help="file for the zones that are drawn (s); it must not exist")
    parser.add_argument("--find-text", action="store_true", help="propose zones around text that the camera writes")
    parser.add_argument(
        "--frames", type=int, default=300, metavar="N", help="how many frames --find-text reads (default: 300)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a picture that exists")


def run(args: argparse.Namespace) -> int:
    """Write a picture, propose zones, or open a window in which zones are drawn.

    Raises:
        SettingsError: A flag or the configuration is wrong.
        SourceError: The source cannot be read or has no frame.
        SinkError: A file exists or cannot be written, or there is no display.
    """
    if args.frames < 2:
        raise SettingsError(f"--frames: expected a whole number of at least 2, found {args.frames}")
    for path, overwrite in ((args.out, args.overwrite), (args.save, False)):
        if path is not None:
            refuse_existing(Path(path), "zones", overwrite)
    if args.out is not None and Path(args.out).suffix.lower() != ".png":
        raise SettingsError(f"--out: expected a file that ends in .png, found {args.out}")
    settings, source_settings = _chosen(args)
    if args.find_text:
        frame, new = _proposals(source_settings, args.frames)
    else:
        frame, new = _first_frame(source_settings), []
    given = Zones(settings.zone, frame.source).zones
    if args.out is not None:
        _write_picture(Path(args.out), frame, [*given, *new], settings, args.overwrite)
    elif not args.find_text:
        _draw_zones(frame, given, settings, args.save)
    if args.find_text and args.save is not None:
        write_whole(Path(args.save), zone_tables(new).encode(), "zones", overwrite=False)
    if new:
        print(zone_tables(new), end="")
    return 0


def _chosen(args: argparse.Namespace) -> tuple[Settings, SourceSettings]:
    """The configuration and the one source that is meant."""
    settings = load_settings(args.config, {})
    named = [source for source in settings.sources if args.source in (source.name, source.spec) and source.spec]
    if args.source is not None and not named:
        settings = load_settings(args.config, {"source.spec": args.source})
    sources = named or settings.sources
    require_source(msgspec.structs.replace(settings, source=tuple(sources)))
    if len(sources) > 1:
        names = ", ".join(source.name or source.spec for source in sources)
        raise SettingsError(f"zones: expected one source, found {len(sources)} ({names}); name one with --source")
    return settings, msgspec.structs.replace(sources[0], reconnect="never", frames=args.frames)


@contextmanager
def _opened(settings: SourceSettings) -> Iterator[Source]:
    with closing(open_source(settings)) as source:
        yield source


def _first_frame(settings: SourceSettings) -> Frame:
    with _opened(settings) as source:
        for frame in source:
            if frame.damage is None:
                return frame
    raise SourceError(f"{printable(settings.spec)}: expected a frame, found none")


def _proposals(settings: SourceSettings, count: int) -> tuple[Frame, list[ZoneSettings]]:
    """The first frame, and what looks like text in all of them."""
    first: Frame | None = None
    finder: TextFinder | None = None
    step = max(1, count // _WATCHED_FRAMES)
    with _opened(settings) as source:
        for number, frame in enumerate(source):
            if first is None or finder is None:
                first, finder = frame, TextFinder(frame.size_hw)
            if number % step == 0 and frame.damage is None and frame.size_hw == finder.size_hw:
                finder.add(frame.image)
    if first is None or finder is None:
        raise SourceError(f"{printable(settings.spec)}: expected a frame, found none")
    found = finder.find()
    zones = found.zones(first.source, first.size_hw)
    if found.stands_still:
        _logger.warning("the scene stands still, so text cannot be told from it; take frames while the camera moves")
    else:
        _logger.info("from %d frames, proposals: %d; look at them before you use them", finder.count, len(zones))
    return first, zones


def _reports(frame: Frame, zones: Sequence[ZoneSettings], settings: Settings) -> tuple[Report, Report]:
    """What is found in a frame without zones, and what of it counts with them."""
    everything = Detector.load(settings.detector).report(frame)
    return everything, ZoneStage(Zones(zones, frame.source)).drop(everything)


def _write_picture(
    path: Path, frame: Frame, zones: Sequence[ZoneSettings], settings: Settings, overwrite: bool
) -> None:
    without, counting = _reports(frame, zones, settings)
    marks = ZoneMarks(Zones(zones, frame.source))
    pictures = [draw(without, Status("without zones"), zones=marks), draw(counting, Status("with zones"), zones=marks)]
    content = cv2.imencode(".png", np.hstack(pictures))[1].tobytes()
    write_whole(path, content, "zones", overwrite=overwrite)
    counts = len(without.detections), len(counting.detections)
    _logger.info("%s: what is found without zones: %d, with them: %d", path, *counts)


def _draw_zones(frame: Frame, given: Sequence[ZoneSettings], settings: Settings, path: str | None) -> None:
    """Open the window, and print what was drawn, whatever ends it."""
    from lpnet_rt.view.zone_editor import ZoneDraft, edit_zones

    draft = ZoneDraft(frame.source, [zone.name for zone in given])
    everything = _reports(frame, given, settings)[0]
    try:
        edit_zones(everything, draft, given, _Saver(path).save)
    finally:
        print(zone_tables(draft.zones), end="")


class _Saver:
    """Writes the file that s names: a new one at first, afterwards the same again."""

    def __init__(self, path: str | None) -> None:
        self._path = None if path is None else Path(path)
        self._is_own = False

    def save(self, zones: Sequence[ZoneSettings]) -> None:
        """Save; where that fails, a line says so, and drawing goes on."""
        if self._path is None:
            _logger.warning("nothing saved: expected --save FILE.toml, found none; the zones are printed at the end")
            return
        try:
            write_whole(self._path, zone_tables(zones).encode(), "zones", overwrite=self._is_own)
        except SinkError as error:
            _logger.warning("%s", error)
        else:
            self._is_own = True
            _logger.info("saved %s", self._path)
