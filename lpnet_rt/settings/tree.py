"""The whole tree of settings, from a TOML file and from flags; flags win."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from lpnet_rt.errors import SettingsError
from lpnet_rt.settings.camera import CameraSettings, cameras
from lpnet_rt.settings.events import AlarmSettings, EventSettings
from lpnet_rt.settings.merging import merge, read_toml, shown
from lpnet_rt.settings.outputs import (
    PEER_TABLES,
    CotSettings,
    MqttSettings,
    SapientSettings,
    WebhookSettings,
    peer_tables,
)
from lpnet_rt.settings.service import ServiceSettings
from lpnet_rt.settings.tables import DetectorSettings, OutputSettings, PublishSettings, SourceSettings, TrackSettings
from lpnet_rt.settings.web import WebSettings, refuse_open_web
from lpnet_rt.settings.zones import ZoneSettings, refuse_points

__all__ = ["Settings", "load_settings", "require_source"]

_VIDEO_SUFFIXES = (".mp4", ".mkv")


class _OneSource(Struct, frozen=True, forbid_unknown_fields=True):
    source: SourceSettings


class _OneZone(Struct, frozen=True, forbid_unknown_fields=True):
    zone: ZoneSettings


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole tree.

    Attributes:
        source: One table, or a list of them (``[[source]]``) for several sources.
        zone: Always a list (``[[zone]]``).
        camera: Always a list (``[[camera]]``).
        mqtt: None: no such output; likewise the others.
        webhook: One table, or a list of them (``[[webhook]]``).
    """

    source: SourceSettings | tuple[SourceSettings, ...] = SourceSettings()
    detector: DetectorSettings = DetectorSettings()
    track: TrackSettings = TrackSettings()
    zone: tuple[ZoneSettings, ...] = ()
    camera: tuple[CameraSettings, ...] = ()
    publish: PublishSettings = PublishSettings()
    output: OutputSettings = OutputSettings()
    events: EventSettings = EventSettings()
    alarm: AlarmSettings = AlarmSettings()
    service: ServiceSettings = ServiceSettings()
    web: WebSettings = WebSettings()
    mqtt: MqttSettings | None = None
    cot: CotSettings | None = None
    sapient: SapientSettings | None = None
    webhook: tuple[WebhookSettings, ...] = ()

    @property
    def sources(self) -> tuple[SourceSettings, ...]:
        """All sources, from one table or a list."""
        return self.source if isinstance(self.source, tuple) else (self.source,)


def load_settings(path: str | None, flags: Mapping[str, object]) -> Settings:
    """Build the tree from an optional TOML file and flags.

    Args:
        path: TOML file with the tables ``source`` (or several, ``[[source]]``), ``detector``, ``track``, ``publish``,
            ``output``, ``events``, ``alarm``, ``service`` and ``web``, and any number of ``[[zone]]`` and
            ``[[camera]]``.
        flags: Dotted keys (``"detector.threshold"``) to values; None: the flag was not given. ``source.spec`` and
            ``source.name`` may be lists, one value per source; other flags apply to all sources.

    Raises:
        SettingsError: The file cannot be read, a key is unknown or a value is out of range.
    """
    tree = read_toml(path) if path else {}
    given = {key: value for key, value in flags.items() if value is not None}
    origin = path or "flags"
    rest = {key: value for key, value in given.items() if not key.startswith("source.")}
    own = {key: value for key, value in tree.items() if key not in ("source", "zone", "camera", *PEER_TABLES)}
    detector = own.get("detector")
    if isinstance(detector, dict) and ("detector.threshold" in given) != ("detector.false_alarms" in given):
        # Either flag wins over both keys of the file.
        own["detector"] = {key: value for key, value in detector.items() if key not in ("threshold", "false_alarms")}
    settings = merge(Settings, own, rest, origin)
    _refuse_values(settings, origin, given)
    sources = _sources(tree.get("source", {}), given, origin)
    zones = _zones(tree.get("zone", []), origin)
    source = sources[0] if len(sources) == 1 else sources
    camera = cameras(tree.get("camera", []), origin)
    return msgspec.structs.replace(settings, source=source, zone=zones, camera=camera, **peer_tables(tree, origin))


def _zones(tables: object, origin: str) -> tuple[ZoneSettings, ...]:
    """The zones of the file; an error names the zone."""
    if not isinstance(tables, list):
        raise SettingsError(f"{origin}: zone: expected [[zone]] tables, found {shown(tables)}; double the brackets")
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
    refuse_open_web(settings.web, origin)
    output, save = settings.output, settings.output.save
    if settings.detector.threshold is not None and settings.detector.false_alarms is not None:
        raise SettingsError(
            f"{origin}: detector.threshold and detector.false_alarms: expected one of them, found both; leave one out"
        )
    if settings.events.folder is not None and not settings.track.enabled:
        raise SettingsError(f"{origin}: events.folder: an event is a confirmed track; leave out --no-track")
    if output.segment is None and (output.keep_age or output.keep_size):
        raise SettingsError(f"{origin}: output.keep_age and output.keep_size delete segments; give output.segment, too")
    if output.segment is not None and (save is None or save.endswith("/")):
        raise SettingsError(f"{origin}: output.segment: expected a video to divide, found none; give --save FILE.mkv")
    if save is not None and not save.endswith("/") and Path(save).suffix.lower() not in _VIDEO_SUFFIXES:
        where = "flags" if "output.save" in given else origin
        raise SettingsError(
            f"{where}: output.save: expected a file that ends in .mp4 or .mkv, or a folder that ends in /, "
            f"found {shown(save)}"
        )
