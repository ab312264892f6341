"""MQTT: events, tracks and states to a broker, with a last will and discovery for Home Assistant.

Topics, under the first words ``topic`` of the settings:

* ``availability``: ``online`` or, by the last will, ``offline``; retained.
* ``<source>/state``: :class:`MqttState` as JSON; retained.
* ``<source>/event``: an event as in docs/messages.md.
* ``<source>/track``: :class:`lpnet_rt.outputs.items.TrackReport` as JSON.
* ``<source>/chip``: PNG of the last confirmed target; retained.
"""

from __future__ import annotations

import base64
import ssl
import uuid
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from lpnet_rt.clock import Clock
from lpnet_rt.credentials import read_secret
from lpnet_rt.errors import DependencyError
from lpnet_rt.messages import StateName
from lpnet_rt.outputs.connections import tls_context, warn_of_open_secret
from lpnet_rt.outputs.home_assistant import discovery_messages
from lpnet_rt.outputs.items import EventItem, Item, StateItem
from lpnet_rt.outputs.peer import PeerAwayError
from lpnet_rt.settings.outputs import MqttSettings

if TYPE_CHECKING:
    from paho.mqtt.client import Client

__all__ = ["MqttLink", "MqttState"]

_CONNECT_S = 5.0
_ACKNOWLEDGE_S = 10.0
_KEEPALIVE_S = 30
_LOOP_S = 0.02
_ENCODER = msgspec.json.Encoder()


class MqttState(Struct, frozen=True, kw_only=True):
    """State of a source, retained.

    Attributes:
        source: Name of the source.
        session: As in the frames of docs/messages.md.
        state: ``connecting``, ``live``, ``calibrating``, ``frozen``, ``lost`` or ``ended``.
        state_reason: Reason in one line, or null.
        state_since_us: Unix time at which the state began, microseconds, or null for a source without states.
        target: ``ON`` while there is a confirmed track, else ``OFF``.
        tracks: Confirmed tracks.
        fps: Frames per second.
        frames: Frames so far.
        dropped: Frames dropped so far.
        reconnects: Number of times the source delivered again after it was lost.
        t_us: Unix time, microseconds.
    """

    source: str
    session: str
    state: StateName
    state_reason: str | None
    state_since_us: int | None
    target: str
    tracks: int
    fps: float
    frames: int
    dropped: int
    reconnects: int
    t_us: int


class MqttLink:
    """The connection to a broker, driven from one thread."""

    def __init__(self, settings: MqttSettings, clock: Clock) -> None:
        """Read secrets and certificates; nothing is connected yet.

        Args:
            settings: Broker and topics.
            clock: Clock of the run.

        Raises:
            SettingsError: A secret or a certificate cannot be read.
            DependencyError: paho-mqtt is not installed.
        """
        try:
            import paho.mqtt.client  # noqa: F401
        except ImportError as error:
            raise DependencyError(
                "mqtt: paho-mqtt is not installed; pip install '.[mqtt]' in a checkout of lpnet-rt"
            ) from error
        self._settings, self._clock = settings, clock
        self._port = settings.port or (8883 if settings.tls else 1883)
        self._password = None if settings.password is None else read_secret(settings.password, "mqtt.password")
        self._tls: ssl.SSLContext | None = None
        if settings.tls:
            self._tls = tls_context("mqtt", settings.ca_file, settings.certificate, settings.key)
        if self._password is not None:
            warn_of_open_secret("mqtt", "password", settings.host, settings.tls)
        self._id = settings.client_id or f"lpnet-rt-{uuid.uuid4().hex[:12]}"
        self._client: Client | None = None
        self._refusal: str | None = None
        self._is_acknowledged = False
        self._discovered: set[str] = set()

    @property
    def name(self) -> str:
        """Output and address."""
        return f"mqtt {self._settings.host}:{self._port}"

    def open(self) -> None:
        """Connect, wait for the broker's acknowledgement, and say that we are online."""
        client = self._client = self._new_client()
        self._refusal, self._is_acknowledged = None, False
        client.connect(self._settings.host, self._port, _KEEPALIVE_S)
        deadline_ns = self._clock.monotonic_ns() + round(_CONNECT_S * 1e9)
        while not self._is_acknowledged:
            self._loop()
            if self._refusal is not None:
                raise PeerAwayError(f"refused: {self._refusal}")
            if self._clock.monotonic_ns() > deadline_ns:
                raise PeerAwayError(f"no answer for {_CONNECT_S:g} s; is it an MQTT broker?")
        self._discovered.clear()
        self._publish("availability", b"online", 1, retain=True)

    def send(self, item: Item) -> None:
        """Publish an item; with a quality of service over 0, wait for its acknowledgement."""
        settings = self._settings
        if isinstance(item, StateItem):
            self._discover(item)
            self._publish(f"{item.source}/state", _ENCODER.encode(_state(item)), settings.qos, retain=True)
        elif isinstance(item, EventItem):
            message = item.message
            if not settings.chips:
                message = msgspec.structs.replace(message, chip=None)
            self._publish(f"{message.source}/event", _ENCODER.encode(message), settings.qos, retain=False)
            if message.chip is not None:
                self._publish(f"{message.source}/chip", base64.b64decode(message.chip), settings.qos, retain=True)
        else:
            self._publish(f"{item.report.source}/track", _ENCODER.encode(item.report), 0, retain=False)

    def idle(self) -> None:
        """Answer the broker and keep the connection alive."""
        self._loop()

    def close(self, is_orderly: bool) -> None:
        """Disconnect; if orderly, say that we are offline, else the broker publishes the last will."""
        client, self._client = self._client, None
        if client is None:
            return
        if is_orderly:
            client.publish(self._topic("availability"), b"offline", 1, retain=True)
            client.loop(_LOOP_S)
            client.disconnect()
            client.loop(_LOOP_S)
        # Without a DISCONNECT the broker publishes the last will; the client closes its socket when it is freed.

    def _new_client(self) -> Client:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        client = Client(CallbackAPIVersion.VERSION2, client_id=self._id)
        client.connect_timeout = _CONNECT_S
        client.will_set(self._topic("availability"), b"offline", 1, retain=True)
        if self._settings.user is not None:
            client.username_pw_set(self._settings.user, self._password)
        if self._tls is not None:
            client.tls_set_context(self._tls)
        client.on_connect = self._on_connect
        return client

    def _on_connect(self, _client: Client, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
        """Note whether the broker has accepted us."""
        if code.is_failure:
            self._refusal = str(code)
        else:
            self._is_acknowledged = True

    def _loop(self) -> None:
        """Read and write what is due."""
        from paho.mqtt.client import error_string
        from paho.mqtt.enums import MQTTErrorCode

        assert self._client is not None
        code = self._client.loop(_LOOP_S)
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS and self._refusal is None:
            raise PeerAwayError(error_string(code))

    def _publish(self, topic: str, payload: bytes, qos: int, retain: bool) -> None:
        assert self._client is not None
        info = self._client.publish(self._topic(topic), payload, qos, retain)
        deadline_ns = self._clock.monotonic_ns() + round(_ACKNOWLEDGE_S * 1e9)
        while not info.is_published():
            self._loop()
            if self._clock.monotonic_ns() > deadline_ns:
                raise PeerAwayError(f"no acknowledgement for {_ACKNOWLEDGE_S:g} s")

    def _topic(self, topic: str) -> str:
        return f"{self._settings.topic}/{topic}"

    def _discover(self, item: StateItem) -> None:
        """Announce a source to Home Assistant, once per connection."""
        prefix = self._settings.discovery
        if not prefix or item.source in self._discovered:
            return
        for topic, payload in discovery_messages(prefix, self._settings.topic, item.source, self._settings.chips):
            assert self._client is not None
            # A retained message has its full topic; the broker keeps it over restarts of ours.
            self._client.publish(topic, payload, 1, retain=True)
        self._discovered.add(item.source)


def _state(item: StateItem) -> MqttState:
    return MqttState(
        source=item.source,
        session=item.session,
        state=item.state,
        state_reason=item.reason,
        state_since_us=item.since_us,
        target="ON" if item.tracks else "OFF",
        tracks=item.tracks,
        fps=item.fps,
        frames=item.frames,
        dropped=item.dropped,
        reconnects=item.reconnects,
        t_us=item.t_us,
    )
