"""Checks of a configuration: open everything that a run would open, say what is wrong, and change nothing."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Literal, TypeVar

import msgspec

from lpnet_rt.detector import Detector
from lpnet_rt.endpoints import is_local
from lpnet_rt.errors import LpnetError, SettingsError, SinkError, SourceError, reason
from lpnet_rt.frames import Frame
from lpnet_rt.keys import KeyFolder
from lpnet_rt.settings import Settings, SourceSettings
from lpnet_rt.settings.zones import ZoneSettings
from lpnet_rt.sinks.publisher import Publisher
from lpnet_rt.sources import open_source
from lpnet_rt.text import printable, redact
from lpnet_rt.zones import corners_px, filled

__all__ = ["Finding", "check_settings"]

_FREE_BYTES = 10**9
_EXTRA_S = 5.0  # beyond the source's own time limit

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check came to.

    Attributes:
        check: What was checked, such as ``source mast``.
        state: ``ok``, ``warning`` or ``error``.
        message: In one line: what was found and what to do.
        exit_code: What a run would exit with; 0 unless ``state`` is ``error``.
    """

    check: str
    state: Literal["ok", "warning", "error"]
    message: str
    exit_code: int = 0


@dataclass(frozen=True, slots=True)
class _Seen:
    """A source that delivered a frame."""

    name: str
    frame: Frame
    rate_hz: float | None
    live: bool


def check_settings(settings: Settings) -> Iterator[Finding]:
    """Check everything, and go on after an error.

    Args:
        settings: Valid in themselves, with a source.

    Yields:
        What was found, in the order in which a run would meet it.
    """
    yield from _publishing(settings)
    yield _tried("model", lambda: _model(settings))
    seen: list[_Seen] = []
    for source in settings.sources:
        yield _tried(f"source {redact(source.spec)}", lambda source=source: _source(source, seen))  # type: ignore[misc]
    yield from _zones(settings, seen)
    yield from _outputs(settings, any(source.live for source in seen))


def _tried(check: str, work: Callable[[], str]) -> Finding:
    """Do a check; an error of ours is its finding."""
    try:
        return Finding(check, "ok", work())
    except LpnetError as error:
        return Finding(check, "error", str(error), error.exit_code)


def _publishing(settings: Settings) -> Iterator[Finding]:
    publish = settings.publish
    if not publish.enabled:
        return
    if publish.keys is not None:
        folder = KeyFolder(publish.keys)
        yield _tried("keys", lambda: f"{publish.keys}: the publisher's key is {folder.server().public}")
        allowed = _tried("clients", lambda: ", ".join(sorted(folder.clients().values())))
        if allowed.state == "ok" and not allowed.message:
            allowed = Finding("clients", "warning", "nobody may connect; allow a client: lpnet-rt keys allow NAME.key")
        yield allowed
    elif not is_local(publish.endpoint) and settings.service.insecure:
        message = f"{publish.endpoint} can be read by anyone who can reach it; give keys in place of --insecure"
        yield Finding("protection", "warning", message)
    elif not is_local(publish.endpoint):
        message = f"{publish.endpoint} can be reached from other machines, and nothing protects it; give --keys DIR"
        yield Finding("protection", "error", message, SettingsError.exit_code)
    yield _tried("publish", lambda: _bound(settings))


def _bound(settings: Settings) -> str:
    """Bind the endpoint for a moment; there is nothing to receive."""
    publisher = Publisher(msgspec.structs.replace(settings.publish, keys=None))
    publisher.close(linger_ms=0)
    return f"{settings.publish.endpoint} can be bound"


def _model(settings: Settings) -> str:
    with _own_cache():
        # Not in the main thread, whose signal stack OpenVINO would replace: Ctrl-C must work afterwards.
        detector = _within(lambda: Detector.load(settings.detector), None, "model")
    engine = detector.choice.engine
    return f"{detector.card.name} on {engine.name} {engine.precision}, threshold {detector.threshold:g}"


@contextmanager
def _own_cache() -> Iterator[None]:
    """Compile into a folder that is removed again."""
    before = os.environ.get("LPNET_CACHE")
    with tempfile.TemporaryDirectory(prefix="lpnet-rt-check-") as folder:
        os.environ["LPNET_CACHE"] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ["LPNET_CACHE"]
            else:
                os.environ["LPNET_CACHE"] = before


def _source(settings: SourceSettings, seen: list[_Seen]) -> str:
    """Open a source, and wait for its first frame."""
    once = msgspec.structs.replace(settings, reconnect="never", realtime=False)
    found = _within(lambda: _first(once), once.open_timeout_s + _EXTRA_S, redact(settings.spec))
    if found.name in {other.name for other in seen}:
        raise SettingsError(f"source.name: expected a name of its own, found {found.name} twice; give --name")
    seen.append(found)
    height, width = found.frame.size_hw
    rate = "an unknown rate" if found.rate_hz is None else f"{found.rate_hz:g} frames/s"
    damage = "" if found.frame.damage is None else f"; the first frame is damaged: {found.frame.damage}"
    return f"{found.name}: {width}x{height}, {found.frame.bit_depth} bits, {rate}{damage}"


def _first(settings: SourceSettings) -> _Seen:
    with closing(open_source(settings)) as source:
        for frame in source:
            return _Seen(source.name, frame, source.rate_hz, source.live)
    raise SourceError(f"{redact(settings.spec)}: expected a frame, found none")


def _within(work: Callable[[], _T], limit_s: float | None, what: str) -> _T:
    """Run a function in a thread, which is left behind if it does not end in time."""
    future: Future[_T] = Future()

    def do() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # raised by future.result()
            future.set_exception(error)

    Thread(target=do, name="lpnet-check", daemon=True).start()
    try:
        return future.result(limit_s)
    except FutureTimeoutError:
        raise SourceError(f"{what}: expected a frame within {limit_s:g} s, found none; check the camera") from None


def _zones(settings: Settings, seen: list[_Seen]) -> Iterator[Finding]:
    names = [source.name for source in seen]
    for zone in settings.zone:
        if zone.source is not None and zone.source not in names and len(seen) == len(settings.sources):
            message = f"its source {zone.source} is not among {', '.join(names)}; mend the name"
            yield Finding(f"zone {zone.name}", "warning", message)
        for source in seen:
            if zone.source in (None, source.name):
                yield _zone_in(zone, source)


def _zone_in(zone: ZoneSettings, source: _Seen) -> Finding:
    check, size_hw = f"zone {zone.name}", source.frame.size_hw
    height, width = size_hw
    if not filled(zone, size_hw).any():
        message = f"lies outside of {source.name}, which is {width}x{height}; draw it again with lpnet-rt zones"
        return Finding(check, "error", message, SettingsError.exit_code)
    corners = corners_px(zone, size_hw)
    if (corners < -1).any() or (corners > (width, height)).any():
        return Finding(check, "warning", f"reaches beyond {source.name}, which is {width}x{height}; is the size right?")
    return Finding(check, "ok", f"within {source.name}")


def _outputs(settings: Settings, is_live: bool) -> Iterator[Finding]:
    output = settings.output
    if output.jsonl not in (None, "-"):
        yield from _file("jsonl", Path(str(output.jsonl)), output.overwrite or is_live)
    if output.save is not None and output.save.endswith("/"):
        yield from _folder("save", Path(output.save))
    elif output.save is not None:
        yield from _file("save", Path(output.save), output.overwrite or is_live or output.segment is not None)
    if output.masks is not None:
        yield from _folder("masks", Path(output.masks))
    if settings.track.state_folder is not None:
        yield from _folder("state folder", Path(settings.track.state_folder))
    if output.show and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        yield Finding("window", "warning", "there is no display: a run continues without the window; leave --show out")


def _file(check: str, path: Path, may_exist: bool) -> Iterator[Finding]:
    if path.is_dir():
        yield Finding(check, "error", f"{path}: expected a file, found a folder", SinkError.exit_code)
    elif path.is_file() and not may_exist:
        message = f"{path}: the file exists; give another name, or --overwrite to replace it"
        yield Finding(check, "error", message, SinkError.exit_code)
    elif path.exists() and not stat.S_ISREG(path.stat().st_mode):
        yield Finding(check, "ok", f"{path} is a pipe or a device")
    else:
        yield from _folder(check, path.parent, is_made=False)


def _folder(check: str, folder: Path, is_made: bool = True) -> Iterator[Finding]:
    """Check that a folder can be written, or made where a run would make it, and how full its disk is."""
    place = folder
    while is_made and not place.exists() and place != place.parent:
        place = place.parent
    refused = _refusal(place)
    if refused is not None:
        message = f"{folder}: cannot be written: {refused}; give a folder that this user can write"
        yield Finding(check, "error", message, SinkError.exit_code)
        return
    free_bytes = shutil.disk_usage(place).free
    if free_bytes < _FREE_BYTES:
        yield Finding(check, "warning", f"{folder}: only {free_bytes / 1e6:,.0f} MB are free; make room")
    else:
        made = "" if place == folder else " and will be made"
        yield Finding(
            check, "ok", f"{printable(str(folder))} can be written{made}; {free_bytes / 1e9:,.1f} GB are free"
        )


def _refusal(folder: Path) -> str | None:
    """Return why a folder cannot be written; a file without a name, where the system has them, leaves no trace."""
    try:
        if hasattr(os, "O_TMPFILE"):
            os.close(os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o600))
            return None
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR):
            return reason(error)
    return None if os.access(folder, os.W_OK | os.X_OK) else "permission denied"
