"""Settings of the outputs that have a peer: MQTT, Cursor on Target, SAPIENT, webhooks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

import msgspec
from msgspec import Struct

from lpnet_rt.errors import SettingsError
from lpnet_rt.settings.merging import merge, shown
from lpnet_rt.settings.values import Duration, Timeout
from lpnet_rt.settings.zones import SourceName

__all__ = [
    "PEER_TABLES",
    "CotSettings",
    "EventName",
    "MqttSettings",
    "PlaceSettings",
    "SapientSettings",
    "WebhookSettings",
    "peer_tables",
    "place_of",
]

PEER_TABLES = ("mqtt", "cot", "sapient", "webhook")
"""Tables of the configuration file that :func:`peer_tables` reads."""

_SECRET_KEYS = ("password", "secret", "token", "key_password")
_REFERENCE = re.compile(r"\$\{[^{}]+\}")

EventName = Literal["started", "confirmed", "ended"]
_Rate = Annotated[float, msgspec.Meta(gt=0, le=100)]
_Queue = Annotated[int, msgspec.Meta(ge=1, le=100_000)]
_Port = Annotated[int, msgspec.Meta(ge=1, le=65_535)]
_Text = Annotated[str, msgspec.Meta(pattern=r"^[^\x00-\x1f\x7f]{1,200}\Z", description="text of 1 to 200 characters")]
_Metres = Annotated[float, msgspec.Meta(gt=0, le=1e6)]
_ErrorMetres = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
_Reference = Annotated[str, msgspec.Meta(description="`${NAME}` or `${file:PATH}`")]
_Topic = Annotated[
    str,
    msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}(/[A-Za-z0-9_.-]{1,64}){0,7}\Z", description="words joined by `/`"),
]
_Prefix = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^([A-Za-z0-9_.-]{1,64}(/[A-Za-z0-9_.-]{1,64}){0,7})?\Z", description="words joined by `/`, or nothing"
    ),
]
_Uuid = Annotated[UUID, msgspec.Meta(description="a UUID")]
_CotUrl = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(udp|tcp|tls)://([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}\Z",
        description="`udp://HOST:PORT`, `tcp://HOST:PORT` or `tls://HOST:PORT`",
    ),
]
_CotType = Annotated[
    str, msgspec.Meta(pattern=r"^[a-z](-[A-Za-z0-9]+)+\Z", description="a type of Cursor on Target, such as `a-u-A`")
]


class MqttSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Events, tracks and states to an MQTT broker, with discovery for Home Assistant; docs/outputs.md.

    Attributes:
        host: Name or address of the broker.
        port: Its port; None: 1883, with ``tls`` 8883.
        tls: Encrypt, and check the broker's certificate and name.
        ca_file: Certificates (PEM) to trust in place of the system's.
        certificate: Own certificate (PEM), where the broker asks for one.
        key: Its private key (PEM).
        user: User name.
        password: Its password, by reference: the environment variable of that name, or the first line of a file.
        client_id: Client identifier; None: a new one for each run.
        topic: First words of all topics; each run needs its own.
        qos: Quality of service of events and states; tracks have 0.
        rate_hz: Messages per second of each confirmed track.
        events: Events that are sent.
        chips: Send the picture of a confirmed target: in its event, and as the last one of the source.
        state_every_s: Send the state of each source this often, and at every change.
        discovery: First words of Home Assistant's discovery topics; empty: no discovery.
        queue: Events kept for a broker that is away; the oldest are dropped first.
        keep: How long they are kept, such as ``1h``.
    """

    host: _Text
    port: _Port | None = None
    tls: bool = False
    ca_file: str | None = None
    certificate: str | None = None
    key: str | None = None
    user: _Text | None = None
    password: _Reference | None = None
    client_id: _Text | None = None
    topic: _Topic = "lpnet-rt"
    qos: Literal[0, 1, 2] = 1
    rate_hz: _Rate = 1.0
    events: tuple[EventName, ...] = ("confirmed", "ended")
    chips: bool = True
    state_every_s: Timeout = 10.0
    discovery: _Prefix = "homeassistant"
    queue: _Queue = 1_000
    keep: Duration = "1h"


class PlaceSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How far the targets of a source are away: only then is a target given a place, else a line of bearing.

    Exactly one of ``range_m`` and ``ground_height_m`` is required.

    Attributes:
        source: Name of the source; None: every source without a table of its own.
        range_m: Range of every target of the source, metres.
        range_error_m: Its standard error, metres.
        ground_height_m: Targets stand on ground of this height over the WGS84 ellipsoid, metres; one that is seen over
            the horizon, or whose range would be uncertain by over 30 %, gets a line.
        ground_error_m: Standard error of that height, metres.
        type: Type of the event; None: ``a-u-A`` with a range, ``a-u-G`` on the ground.
    """

    source: SourceName | None = None
    range_m: _Metres | None = None
    range_error_m: _ErrorMetres | None = None
    ground_height_m: Annotated[float, msgspec.Meta(ge=-1000, le=10_000)] | None = None
    ground_error_m: _ErrorMetres = 5.0
    type: _CotType | None = None


class CotSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Confirmed tracks as Cursor on Target, as lines of bearing from the camera; docs/outputs.md.

    Needs a ``[[camera]]`` with latitude, longitude and height.

    Attributes:
        url: Where to send: UDP to one receiver or a group (multicast), TCP or TLS to a server.
        ca_file: Certificates (PEM) to trust in place of the system's; TLS only.
        certificate: Own certificate (PEM), where the server asks for one.
        key: Its private key (PEM).
        key_password: Password of the key, by reference.
        server_name: Name in the server's certificate; None: the host of ``url``.
        multicast_ttl: Routers that a packet to a group may pass.
        multicast_address: Own address from which packets to a group leave; None: the system's choice.
        rate_hz: Events per second of each confirmed track.
        stale_s: An event is out of date after this time, seconds.
        line_m: Length at which a line is drawn, metres; it says nothing of the target's range.
        callsign: First word of a target's name; None: the name of its source.
        place: Ranges of targets, or the ground they stand on.
    """

    url: _CotUrl
    ca_file: str | None = None
    certificate: str | None = None
    key: str | None = None
    key_password: _Reference | None = None
    server_name: _Text | None = None
    multicast_ttl: Annotated[int, msgspec.Meta(ge=0, le=255)] = 1
    multicast_address: _Text | None = None
    rate_hz: _Rate = 1.0
    stale_s: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 10.0
    line_m: _Metres = 5_000.0
    callsign: _Text | None = None
    place: tuple[PlaceSettings, ...] = ()


class SapientSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Confirmed tracks and status to a SAPIENT fusion node (BSI Flex 335 v2.0); docs/outputs.md.

    Needs a ``[[camera]]``. Each source is a node of its own, with a connection of its own.

    Attributes:
        host: Name or address of the fusion node.
        port: Its port.
        node_id: Identifier of the node; with several sources, theirs are derived from it. None: derived from the
            machine's name, so that it stays the same.
        name: Name of the system in its registration.
        rate_hz: Detection reports per second of each confirmed track.
        target_class: Class of every target; the detector knows none.
    """

    host: _Text
    port: _Port
    node_id: _Uuid | None = None
    name: _Text = "lpnet-rt"
    rate_hz: _Rate = 1.0
    target_class: _Text = "Unknown"


class WebhookSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Events to a web server, one HTTP POST each; ``[[webhook]]`` for each server; docs/outputs.md.

    Attributes:
        url: Where to post; it may contain ``${NAME}`` and ``${file:PATH}``. Redirects are not followed.
        secret: Key of the signature (HMAC-SHA256 of the body), by reference; None: not signed.
        token: Bearer token, by reference.
        ca_file: Certificates (PEM) to trust in place of the system's.
        events: Events that are sent.
        chips: Include the picture of a confirmed target.
        timeout_s: Longest wait for the connection and for the answer, seconds.
        queue: Events kept for a server that is away; the oldest are dropped first.
        keep: How long they are kept, such as ``1h``.
    """

    url: Annotated[str, msgspec.Meta(pattern=r"^https?://\S+\Z", description="a URL, `https://...` or `http://...`")]
    secret: _Reference | None = None
    token: _Reference | None = None
    ca_file: str | None = None
    events: tuple[EventName, ...] = ("confirmed", "ended")
    chips: bool = True
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=300)] = 10.0
    queue: _Queue = 1_000
    keep: Duration = "1h"

    def __repr__(self) -> str:
        """Omit the URL's path, which may be a secret."""
        return f"WebhookSettings(url={self.url.split('/', 3)[2].rpartition('@')[2]!r}, events={self.events!r})"


_Settings = TypeVar("_Settings", bound=Struct)


def peer_tables(tree: Mapping[str, object], origin: str) -> dict[str, Any]:
    """Read the tables of :data:`PEER_TABLES`; None or an empty tuple: the output is off.

    Args:
        tree: The whole configuration file.
        origin: The file, for messages.

    Raises:
        SettingsError: A key or a value is wrong; the line shows no value of a secret.
    """
    found: dict[str, Any] = {}
    for name, kind in (("mqtt", MqttSettings), ("cot", CotSettings), ("sapient", SapientSettings)):
        table = tree.get(name)
        found[name] = None if table is None else _read(kind, name, table, f"{origin}: {name}")
    mqtt = found["mqtt"]
    if mqtt is not None and not mqtt.tls and (mqtt.ca_file or mqtt.certificate):
        raise SettingsError(f"{origin}: mqtt: expected tls = true beside ca_file or certificate, found it off")
    if found["cot"] is not None:
        _refuse_places(found["cot"], f"{origin}: cot")
    webhooks = tree.get("webhook", [])
    listed = webhooks if isinstance(webhooks, list) else [webhooks]
    found["webhook"] = webhooks = tuple(
        _read(WebhookSettings, "webhook", table, f"{origin}: webhook {number}")
        for number, table in enumerate(listed, start=1)
    )
    if any(webhook.ca_file is not None and webhook.url.startswith("http:") for webhook in webhooks):
        raise SettingsError(f"{origin}: webhook.ca_file: expected it with https:// only, found http://")
    return found


def place_of(places: tuple[PlaceSettings, ...], source: str) -> PlaceSettings | None:
    """The place of a source: its own table, else the one without a source, else None."""
    by_source = {place.source: place for place in places}
    return by_source.get(source, by_source.get(None))


def _read(kind: type[_Settings], name: str, table: object, where: str) -> _Settings:
    if not isinstance(table, Mapping):
        raise SettingsError(f"{where}: expected a table, found {type(table).__name__}; write [{name}]")
    for key in _SECRET_KEYS:
        value = table.get(key)
        if value is not None and not (isinstance(value, str) and _REFERENCE.fullmatch(value)):
            raise SettingsError(
                f"{where}.{key}: expected a reference, ${{NAME}} or ${{file:PATH}}, found something else; "
                "put the value into an environment variable or a file"
            )
    for field in msgspec.structs.fields(kind):
        if field.required and field.name not in table:
            raise SettingsError(f"{where}.{field.name}: expected it in the table, found none")
    settings = merge(kind, table, {}, where)
    for key, partner in (("certificate", "key"), ("key", "certificate"), ("password", "user")):
        if table.get(key) is not None and table.get(partner) is None:
            raise SettingsError(f"{where}.{key}: expected {partner} beside it, found none")
    return settings


def _refuse_places(cot: CotSettings, where: str) -> None:
    """Refuse what no type says: places with no range, with two, or two of one source; certificates without TLS."""
    for number, place in enumerate(cot.place, start=1):
        own = f"{where}.place {number}"
        if (place.range_m is None) == (place.ground_height_m is None):
            raise SettingsError(f"{own}: expected one of range_m and ground_height_m, found both or none")
        if (place.range_m is None) != (place.range_error_m is None):
            raise SettingsError(f"{own}: expected range_m and range_error_m together, found one of them")
        if place.source in {other.source for other in cot.place[: number - 1]}:
            raise SettingsError(f"{own}: expected one place of {shown(place.source)}, found two; leave one out")
    if not cot.url.startswith("tls://"):
        for key in ("ca_file", "certificate", "server_name"):
            if getattr(cot, key) is not None:
                raise SettingsError(f"{where}.{key}: expected it with tls:// only, found {cot.url}")
