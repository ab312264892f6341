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

__all__ = [
    "DetectorSettings",
    "OutputSettings",
    "PublishSettings",
    "Settings",
    "SourceSettings",
    "load_settings",
    "merge",
    "require_source",
]

_SHOWN_LIMIT = 200
_NEAR = 0.6  # of 1: how alike two keys are before one is taken for the other misspelt
_VIDEO_SUFFIXES = (".mp4", ".mkv")

_Table = TypeVar("_Table", bound=Struct)
Timeout = Annotated[float, msgspec.Meta(gt=0, le=86_400)]
Wait = Annotated[float, msgspec.Meta(ge=0, le=86_400)]
# msgspec would name the choices in alphabetical order.
_EngineChoice = Annotated[
    Literal["auto", EngineName], msgspec.Meta(description=f"one of auto, {', '.join(get_args(EngineName))}")
]
_PrecisionChoice = Annotated[
    Literal["auto", Precision], msgspec.Meta(description=f"one of auto, {', '.join(get_args(Precision))}")
]


class SourceSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where frames come from.

    Attributes:
        spec: File, folder, glob, camera index, /dev/videoN, URL or ``demo``; a run needs one. A URL may hold
            ``${NAME}`` for an environment variable and ``${file:PATH}`` for the first line of a file.
        name: Name in message topics; None takes it from the spec.
        frames: Stop after this many frames; None reads to the end (the demo scene: 600 frames).
        realtime: Deliver a file at its own frame rate and drop what comes too late, as a camera would.
        seed: Seed of the demo scene.
        open_timeout_s: How long a stream or a camera may take to open or to deliver the next frame.
    """

    spec: str = ""
    name: (
        Annotated[
            str,
            msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z", description="1 to 64 letters, digits, - or _"),
        ]
        | None
    ) = None
    frames: Annotated[int, msgspec.Meta(ge=1)] | None = None
    realtime: bool = False
    seed: Annotated[int, msgspec.Meta(ge=0)] = 0
    open_timeout_s: Timeout = 10.0

    def __repr__(self) -> str:
        """Leave the user and the password of a URL out."""
        spec = redact(self.spec)
        return f"SourceSettings(spec={spec!r}, name={self.name!r}, frames={self.frames!r}, realtime={self.realtime!r})"


class DetectorSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How frames become detections.

    Attributes:
        model: Name of a packaged model or path of an exported file with its card beside it.
        engine: ``auto`` or the name of an engine; ``lpnet-rt info`` lists them.
        precision: ``auto`` (whatever is fastest and passes), ``f32``, ``bf16``, ``f16`` or ``int8``.
        threshold: Score over which a pixel is a detection; None takes the model card's.
        threads: Processor threads for inference; None takes all that this process may use.
    """

    model: str = "lpnet-rt"
    engine: _EngineChoice = "auto"
    precision: _PrecisionChoice = "auto"
    threshold: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    threads: Annotated[int, msgspec.Meta(ge=1)] | None = None


class PublishSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """ZeroMQ publishing.

    Attributes:
        enabled: Publish at all.
        endpoint: ZeroMQ endpoint to bind.
        wait_subscriber_s: Wait up to this long for the first subscriber before the first frame.
        high_water: Messages kept for a slow subscriber; while that many wait, new ones are dropped for it only.
    """

    enabled: bool = True
    endpoint: str = "tcp://127.0.0.1:5556"
    wait_subscriber_s: Wait = 0.0
    high_water: Annotated[int, msgspec.Meta(ge=1)] = 1_000


class OutputSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is shown and written.

    Attributes:
        show: Open a window with the overlay.
        save: Video file (.mp4 or .mkv) for the overlay, or, with ``/`` at the end, a folder for one picture per frame.
        jsonl: File for one JSON object per frame; ``-`` is standard output.
        masks: Folder for one 0/255 PNG per frame (sources of single images only).
        overwrite: Replace files that exist; else they are refused.
        quiet: No progress bar and no summary.
    """

    show: bool = False
    save: str | None = None
    jsonl: str | None = None
    masks: str | None = None
    overwrite: bool = False
    quiet: bool = False


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole tree."""

    source: SourceSettings = SourceSettings()
    detector: DetectorSettings = DetectorSettings()
    publish: PublishSettings = PublishSettings()
    output: OutputSettings = OutputSettings()


def load_settings(path: str | None, flags: Mapping[str, object]) -> Settings:
    """Build the tree from a TOML file, if one is named, and flags.

    Args:
        path: TOML file with the tables ``source``, ``detector``, ``publish`` and ``output``.
        flags: Dotted keys (``"detector.threshold"``) to values; None means that the flag was not given.

    Raises:
        SettingsError: The file cannot be read, a key is unknown or a value is out of range.
    """
    tree = _read_toml(path) if path else {}
    given = {key: value for key, value in flags.items() if value is not None}
    settings = merge(Settings, tree, given, origin=path or "flags")
    _refuse_values(settings, path or "flags", given)
    spec = settings.source.spec.strip()
    if "://" not in spec:
        return settings  # names of files may begin and end in a blank
    return msgspec.structs.replace(settings, source=msgspec.structs.replace(settings.source, spec=spec))


def require_source(settings: Settings) -> None:
    """Refuse to run without a source.

    Raises:
        SettingsError: None is named.
    """
    if not settings.source.spec.strip():
        raise SettingsError(
            "source.spec: expected a source, found none; name one with --source, such as --source video.mp4, "
            "or --source demo for the built-in scene"
        )


def _refuse_values(settings: Settings, origin: str, given: Mapping[str, object]) -> None:
    """Refuse what no type says: files that no video can be written to."""
    save = settings.output.save
    if save is not None and not save.endswith("/") and Path(save).suffix.lower() not in _VIDEO_SUFFIXES:
        place = "flags" if "output.save" in given else origin
        raise SettingsError(
            f"{place}: output.save: expected a file that ends in .mp4 or .mkv, or a folder that ends in /, "
            f"found {_shown(save)}"
        )


def merge(kind: type[_Table], tree: Mapping[str, object], flags: Mapping[str, object], origin: str) -> _Table:
    """Lay dotted ``flags`` over a ``tree`` and validate the result as ``kind``.

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
    """Turn msgspec's reason (``... - at `$.detector.threshold```) into our one line."""
    path = failure.partition(" - at `$")[2].rstrip("`").removeprefix(".")
    key = re.sub(r"\[\d+\]$", "", path)  # of a list of values, the whole list is named
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
        origin = "flags"  # which win: the file's own value may be in order
    return f"{origin}: {key or 'settings'}: expected {describe(info)}, found {_shown(value)}"


def _shown(value: object) -> str:
    """A value for a message: short, and without passwords."""
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
