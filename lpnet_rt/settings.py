"""Settings: one frozen, validated tree, built from a TOML file and from flags; flags win."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeVar, get_args, get_origin

import msgspec
from msgspec import Struct

from lpnet_rt.engine_registry import EngineName, Precision
from lpnet_rt.errors import SettingsError, reason
from lpnet_rt.field_types import describe
from lpnet_rt.text import redact
from lpnet_rt.zone_settings import SourceName, ZoneSettings, refuse_points

__all__ = [
    "DetectorSettings",
    "MinState",
    "OutputSettings",
    "Polarity",
    "PublishSettings",
    "Settings",
    "SourceSettings",
    "TrackSettings",
    "bytes_of",
    "load_settings",
    "merge",
    "per_hour",
    "require_source",
    "seconds_of",
]

_SHOWN_LIMIT = 200
_NEAR = 0.6  # similarity from which an unknown key counts as misspelt
_VIDEO_SUFFIXES = (".mp4", ".mkv")

_Table = TypeVar("_Table", bound=Struct)
Timeout = Annotated[float, msgspec.Meta(gt=0, le=86_400)]
Wait = Annotated[float, msgspec.Meta(ge=0, le=86_400)]
# msgspec would list the choices alphabetically.
_EngineChoice = Annotated[
    Literal["auto", EngineName], msgspec.Meta(description=f"one of auto, {', '.join(get_args(EngineName))}")
]
_Duration = Annotated[
    str, msgspec.Meta(pattern=r"^[0-9]{1,6}(s|m|h|d)\Z", description="a number with s, m, h or d, such as 5m")
]
_Size = Annotated[
    str, msgspec.Meta(pattern=r"^[0-9]{1,6}(MB|GB|TB)\Z", description="a number with MB, GB or TB, such as 20GB")
]
_Rate = Annotated[
    str, msgspec.Meta(pattern=r"^[0-9]{1,6}(\.[0-9]{1,3})?/h\Z", description="a number per hour, such as 1/h")
]
_RATE_PATTERN = r"^[0-9]{1,6}(\.[0-9]{1,3})?/(h|[0-9]{1,9})\Z"
_FalseAlarms = Annotated[str, msgspec.Meta(pattern=_RATE_PATTERN, description="a rate such as 1/1000 (frames) or 10/h")]
MinState = Literal["none", "tentative", "confirmed"]
Polarity = Literal["hot", "cold", "both"]
_PolarityChoice = Annotated[Polarity, msgspec.Meta(description=f"one of {', '.join(get_args(Polarity))}")]
_PrecisionChoice = Annotated[
    Literal["auto", Precision], msgspec.Meta(description=f"one of auto, {', '.join(get_args(Precision))}")
]


class SourceSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A source of frames.

    Attributes:
        spec: File, folder, glob, camera index, /dev/videoN, URL or ``demo``; required for a run. A URL may contain
            ``${NAME}`` for an environment variable and ``${file:PATH}`` for the first line of a file.
        name: Name in message topics; None: derived from the spec.
        frames: Stop after this many frames; None: no limit (demo scene: 600 frames).
        realtime: Deliver a file at its own frame rate and drop late frames, as a camera would.
        seed: Seed of the demo scene.
        open_timeout_s: Time limit, in seconds, for a stream or a camera to open and to deliver its first frame, and
            with ``reconnect = "never"`` any later frame.
        reconnect: When a stream or a camera is missing, breaks off or falls silent, ``forever`` reconnects and
            ``never`` ends the run with an error.
        frozen_after_s: Time, in seconds, after which a stream or a camera that delivers nothing, or only the same
            picture, counts as lost; longer than its shutter calibration. Three frame periods are always allowed.
    """

    spec: str = ""
    name: SourceName | None = None
    frames: Annotated[int, msgspec.Meta(ge=1)] | None = None
    realtime: bool = False
    seed: Annotated[int, msgspec.Meta(ge=0)] = 0
    open_timeout_s: Timeout = 10.0
    reconnect: Literal["forever", "never"] = "forever"
    frozen_after_s: Timeout = 2.5

    def __repr__(self) -> str:
        """Omit the user and the password of a URL."""
        spec = redact(self.spec)
        return f"SourceSettings(spec={spec!r}, name={self.name!r}, frames={self.frames!r}, realtime={self.realtime!r})"


class _OneSource(Struct, frozen=True, forbid_unknown_fields=True):
    source: SourceSettings


class DetectorSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The detector.

    Attributes:
        model: Name of a packaged model or path of an exported file with its card beside it.
        engine: ``auto`` or the name of an engine; ``lpnet-rt info`` lists them.
        precision: ``auto`` (the fastest that passes the self-test), ``f32``, ``bf16``, ``f16`` or ``int8``.
        threshold: Lowest peak score of a detection; None: the model card's.
        threads: CPU threads for inference; None: all that this process may use.
        polarity: ``hot``: targets warmer than their surroundings, in a white-hot picture. ``cold``: colder ones, or a
            black-hot picture. ``both``: the higher of the two scores at each pixel, for twice the work.
        false_alarms: Allowed rate of false detections in place of ``threshold``: ``1/1000`` per target-free frame, or
            ``10/h``; the model's card says which threshold that is.
    """

    model: str = "lpnet-rt"
    engine: _EngineChoice = "auto"
    precision: _PrecisionChoice = "auto"
    threshold: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    threads: Annotated[int, msgspec.Meta(ge=1)] | None = None
    polarity: _PolarityChoice = "hot"
    false_alarms: _FalseAlarms | None = None


class TrackSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Tracking; single images are not tracked.

    Attributes:
        enabled: Whether to track.
        false_tracks: Allowed rate of false confirmed tracks, such as ``1/h`` or ``10/h``; None: the default rate.
        hovering: Whether targets may stand still: then static detections are not treated as clutter.
        min_state: Publish, draw and write only detections of tracks that are at least ``tentative`` or ``confirmed``.
        state_folder: Folder in which each source's map of static clutter is kept between runs.
    """

    enabled: bool = True
    false_tracks: _Rate | None = None
    hovering: bool = False
    min_state: MinState = "none"
    state_folder: str | None = None


class _OneZone(Struct, frozen=True, forbid_unknown_fields=True):
    zone: ZoneSettings


class PublishSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """ZeroMQ publishing.

    Attributes:
        enabled: Whether to publish.
        endpoint: ZeroMQ endpoint to bind.
        wait_subscriber_s: Wait up to this long for the first subscriber before the first frame.
        high_water: Messages queued for a slow subscriber; when the queue is full, new ones are dropped for it only.
            None: two seconds' worth for live sources, 1,000 messages if any source is a file.
    """

    enabled: bool = True
    endpoint: str = "tcp://127.0.0.1:5556"
    wait_subscriber_s: Wait = 0.0
    high_water: Annotated[int, msgspec.Meta(ge=1)] | None = None


class OutputSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Window and output files.

    Attributes:
        show: Open a window with the overlay.
        save: Video file (.mp4 or .mkv) for the overlay, or, with ``/`` at the end, a folder for one picture per frame.
        segment: Start a new video file after this time, such as ``5m`` or ``1h``, with the time (UTC) in its name.
        keep_age: Delete segments older than this, such as ``7d``; requires ``segment``.
        keep_size: Delete the oldest segments when their total exceeds this, such as ``20GB``; requires ``segment``.
        jsonl: File for one JSON object per frame; ``-`` is standard output.
        masks: Folder for one 0/255 PNG per frame (sources of single images only).
        overwrite: Replace existing files; else they are refused.
        quiet: No progress bar and no summary.
    """

    show: bool = False
    save: str | None = None
    segment: _Duration | None = None
    keep_age: _Duration | None = None
    keep_size: _Size | None = None
    jsonl: str | None = None
    masks: str | None = None
    overwrite: bool = False
    quiet: bool = False


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole tree.

    Attributes:
        source: One table, or a list of them (``[[source]]``) for several sources.
        zone: Always a list (``[[zone]]``).
    """

    source: SourceSettings | tuple[SourceSettings, ...] = SourceSettings()
    detector: DetectorSettings = DetectorSettings()
    track: TrackSettings = TrackSettings()
    zone: tuple[ZoneSettings, ...] = ()
    publish: PublishSettings = PublishSettings()
    output: OutputSettings = OutputSettings()

    @property
    def sources(self) -> tuple[SourceSettings, ...]:
        """All sources, from one table or a list."""
        return self.source if isinstance(self.source, tuple) else (self.source,)


def load_settings(path: str | None, flags: Mapping[str, object]) -> Settings:
    """Build the tree from an optional TOML file and flags.

    Args:
        path: TOML file with the tables ``source`` (or several, ``[[source]]``), ``detector``, ``track``, ``publish``
            and ``output``, and any number of ``[[zone]]``.
        flags: Dotted keys (``"detector.threshold"``) to values; None: the flag was not given. ``source.spec`` and
            ``source.name`` may be lists, one value per source; other flags apply to all sources.

    Raises:
        SettingsError: The file cannot be read, a key is unknown or a value is out of range.
    """
    tree = _read_toml(path) if path else {}
    given = {key: value for key, value in flags.items() if value is not None}
    origin = path or "flags"
    rest = {key: value for key, value in given.items() if not key.startswith("source.")}
    own = {key: value for key, value in tree.items() if key not in ("source", "zone")}
    detector = own.get("detector")
    if isinstance(detector, dict) and ("detector.threshold" in given) != ("detector.false_alarms" in given):
        # Either flag wins over both keys of the file.
        own["detector"] = {key: value for key, value in detector.items() if key not in ("threshold", "false_alarms")}
    settings = merge(Settings, own, rest, origin)
    _refuse_values(settings, origin, given)
    sources = _sources(tree.get("source", {}), given, origin)
    zones = _zones(tree.get("zone", []), origin)
    return msgspec.structs.replace(settings, source=sources[0] if len(sources) == 1 else sources, zone=zones)


def _zones(tables: object, origin: str) -> tuple[ZoneSettings, ...]:
    """The zones of the file; an error names the zone."""
    if not isinstance(tables, list):
        raise SettingsError(f"{origin}: zone: expected [[zone]] tables, found {_shown(tables)}; double the brackets")
    zones = []
    for number, table in enumerate(tables, start=1):
        name = table.get("name") if isinstance(table, Mapping) else None
        where = f"{origin}: zone {number}" + (f" ({name[:64]})" if isinstance(name, str) else "")
        zone = merge(_OneZone, {"zone": table}, {}, where).zone
        refuse_points(zone, where)
        zones.append(zone)
    return tuple(zones)


def _sources(tables: object, flags: Mapping[str, object], origin: str) -> tuple[SourceSettings, ...]:
    """Merge flags into the file's sources; several ``--source`` flags replace the file's list."""
    specs, names = (_listed(flags.get(key)) for key in ("source.spec", "source.name"))
    given: list[object] = list(tables) if isinstance(tables, list) else [tables]
    if len(specs) > 1 or (specs and len(given) > 1):
        given = [given[0] if len(given) == 1 else {}] * len(specs)
    if names and len(names) != len(given):
        raise SettingsError(f"--name: expected one per source, {len(given)}, found {len(names)}; give each source one")
    shared = {key: value for key, value in flags.items() if key.startswith("source.")}
    sources = []
    for number, table in enumerate(given or [{}]):
        own = {"source.spec": specs[number]} if specs else {}
        own |= {"source.name": names[number]} if names else {}
        where = origin if len(given) == 1 else f"{origin}: source {number + 1}"
        sources.append(_trimmed(merge(_OneSource, {"source": table}, {**shared, **own}, where).source))
    return tuple(sources)


def _listed(value: object) -> list[object]:
    return [] if value is None else list(value) if isinstance(value, list) else [value]


def _trimmed(source: SourceSettings) -> SourceSettings:
    """Strip whitespace from a URL; file names may contain it."""
    spec = source.spec.strip()
    return msgspec.structs.replace(source, spec=spec) if "://" in spec else source


def require_source(settings: Settings) -> None:
    """Refuse to run without a source.

    Raises:
        SettingsError: There is none.
    """
    if not all(source.spec.strip() for source in settings.sources):
        raise SettingsError(
            "source.spec: expected a source, found none; name one with --source, such as --source video.mp4, "
            "or --source demo for the built-in scene"
        )


def _refuse_values(settings: Settings, origin: str, given: Mapping[str, object]) -> None:
    """Refuse invalid combinations and file names that types cannot express."""
    output, save = settings.output, settings.output.save
    if settings.detector.threshold is not None and settings.detector.false_alarms is not None:
        raise SettingsError(
            f"{origin}: detector.threshold and detector.false_alarms: expected one of them, found both; leave one out"
        )
    if output.segment is None and (output.keep_age or output.keep_size):
        raise SettingsError(f"{origin}: output.keep_age and output.keep_size delete segments; give output.segment, too")
    if output.segment is not None and (save is None or save.endswith("/")):
        raise SettingsError(f"{origin}: output.segment: expected a video to divide, found none; give --save FILE.mkv")
    if save is not None and not save.endswith("/") and Path(save).suffix.lower() not in _VIDEO_SUFFIXES:
        where = "flags" if "output.save" in given else origin
        raise SettingsError(
            f"{where}: output.save: expected a file that ends in .mp4 or .mkv, or a folder that ends in /, "
            f"found {_shown(save)}"
        )


def seconds_of(duration: str) -> float:
    """Return the seconds of a duration such as ``90s``, ``5m``, ``1h`` or ``7d``."""
    return int(duration[:-1]) * {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}[duration[-1]]


def per_hour(rate: str) -> float:
    """Return the events per hour of a rate such as ``10/h``."""
    return float(rate.removesuffix("/h"))


def bytes_of(size: str) -> int:
    """Return the bytes of a size such as ``500MB``, ``20GB`` or ``1TB``, in powers of 1000."""
    return int(size[:-2]) * {"MB": 10**6, "GB": 10**9, "TB": 10**12}[size[-2:]]


def merge(kind: type[_Table], tree: Mapping[str, object], flags: Mapping[str, object], origin: str) -> _Table:
    """Merge dotted ``flags`` into a ``tree`` and validate the result as ``kind``.

    Raises:
        SettingsError: A key is unknown (the nearest known one is named) or a value is out of range.
    """
    whole: dict[str, object] = {key: dict(value) if isinstance(value, dict) else value for key, value in tree.items()}
    for key, value in flags.items():
        table, _, name = key.rpartition(".")
        target = whole.setdefault(table, {}) if table else whole
        if not isinstance(target, dict):
            raise SettingsError(f"{origin}: {table}: expected a table, found {_shown(target)}")
        target[name] = value
    _refuse_unknown(kind, whole, origin, "")
    try:
        return msgspec.convert(whole, kind)
    except msgspec.ValidationError as error:
        raise SettingsError(_where(kind, str(error), whole, flags, origin)) from None


def _where(
    kind: type[Struct], failure: str, whole: Mapping[str, object], flags: Mapping[str, object], origin: str
) -> str:
    """Turn msgspec's reason (``... - at `$.detector.threshold```) into one line."""
    path = failure.partition(" - at `$")[2].rstrip("`").removeprefix(".")
    key = re.sub(r"\[\d+\]$", "", path)  # name the whole list, not an item
    value: object = whole
    info = msgspec.inspect.type_info(kind)
    for part in re.findall(r"\w+", key):
        if isinstance(info, msgspec.inspect.VarTupleType) and isinstance(value, list):
            value, info = value[int(part)], info.item_type
            continue
        value = value.get(part) if isinstance(value, Mapping) else None
        if isinstance(info, msgspec.inspect.StructType):
            info = next(field.type for field in info.fields if field.encode_name == part)
    if key.partition("[")[0] in flags:
        origin = "flags"  # flags override the file, whose value may be valid
    return f"{origin}: {key or 'settings'}: expected {describe(info)}, found {_shown(value)}"


def _shown(value: object) -> str:
    """Return a value for a message, shortened and without passwords."""
    return redact(repr(value))[:_SHOWN_LIMIT]


def _read_toml(path: str) -> dict[str, object]:
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot read the configuration: {reason(error)}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not a TOML file: {error}") from error


def _refuse_unknown(kind: type, tree: Mapping[str, object], origin: str, prefix: str) -> None:
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    for key, value in tree.items():
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1, cutoff=_NEAR)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"known: {', '.join(fields)}"
            raise SettingsError(f"{origin}: unknown key {prefix}{key}; {hint}")
        inner = fields[key].type
        listed = get_args(inner)[0] if get_origin(inner) is tuple and isinstance(value, list) else inner
        if isinstance(listed, type) and issubclass(listed, Struct):
            for table in value if isinstance(value, list) else [value]:
                if isinstance(table, Mapping):
                    _refuse_unknown(listed, table, origin, f"{prefix}{key}.")
