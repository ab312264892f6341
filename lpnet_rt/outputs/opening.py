"""Open the peers of every output in the settings: once per run, shared by all sources."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from lpnet_rt.clock import Clock
from lpnet_rt.errors import SettingsError
from lpnet_rt.outputs.outbox import OutboxLimits
from lpnet_rt.outputs.peer import Link, Peer
from lpnet_rt.outputs.sink import PeerSink, Wishes
from lpnet_rt.settings import CameraSettings, Settings, seconds_of
from lpnet_rt.settings.camera import camera_of
from lpnet_rt.settings.outputs import CotSettings, MqttSettings, SapientSettings
from lpnet_rt.sources.states import StateLog
from lpnet_rt.stamping import FrameStamper

__all__ = ["Peers", "open_peers"]

_logger = logging.getLogger(__name__)

_FLUSH_S = 2.0
_FRESH_S = 5.0  # what is older is of no use to who follows targets
_STATUS_S = 1.0


@dataclass(frozen=True, slots=True)
class _Output:
    """One output: its name, what it wants, its peers, and the source it is for (None: every source)."""

    name: str
    wishes: Wishes
    peers: list[Peer]
    source: str | None = None


@dataclass(slots=True)
class Peers:
    """The peers of a run, with their threads.

    Attributes:
        clock: Clock of the run.
        all: Every peer; their counts may be read from any thread.
    """

    clock: Clock
    _outputs: list[_Output] = field(default_factory=list)

    @property
    def all(self) -> list[Peer]:
        """Every peer of the run."""
        return [peer for output in self._outputs for peer in output.peers]

    def sinks_of(self, source: str, stamper: FrameStamper, log: StateLog) -> list[tuple[str, PeerSink]]:
        """New sinks of a source, with the names of their outputs."""
        return [
            (output.name, PeerSink(output.peers, output.wishes, source, stamper, log, self.clock))
            for output in self._outputs
            if output.source in (None, source)
        ]

    def close(self) -> None:
        """Send what waits, for two seconds at most, and end; log what could not be sent."""
        peers = self.all
        for peer in peers:
            peer.stop()
        deadline_ns = self.clock.monotonic_ns() + round(_FLUSH_S * 1e9)
        for peer in peers:
            peer.join(max((deadline_ns - self.clock.monotonic_ns()) / 1e9, 0.0))
            counts = peer.counts
            if counts.dropped or counts.refused or counts.waiting:
                _logger.warning(
                    "%s: %d items sent, %d dropped, %d refused, %d not sent at the end",
                    peer.name, counts.sent, counts.dropped, counts.refused, counts.waiting,
                )  # fmt: skip

    def add(
        self, name: str, wishes: Wishes, links: Sequence[tuple[Link, OutboxLimits]], source: str | None = None
    ) -> None:
        """Add an output; its peers are yet to be started."""
        peers = [Peer(link, limits, self.clock) for link, limits in links]
        self._outputs.append(_Output(name, wishes, peers, source))


def open_peers(settings: Settings, sources: Sequence[str], clock: Clock) -> Peers:
    """Open the outputs with peers that the settings name; a peer that is away is no error.

    Args:
        settings: Settings of the run.
        sources: Names of the sources.
        clock: Clock of the run.

    Raises:
        SettingsError: A secret or certificate cannot be read, or an output lacks what it needs: tracks, or a camera.
        DependencyError: A library is missing.
    """
    peers = Peers(clock)
    if settings.mqtt is not None:
        _add_mqtt(peers, settings.mqtt, clock)
    if settings.cot is not None:
        _add_cot(peers, settings, settings.cot, sources)
    if settings.sapient is not None:
        _add_sapient(peers, settings, settings.sapient, sources)
    if settings.webhook:
        _add_webhooks(peers, settings, clock)
    for peer in peers.all:  # all or none: nothing is sent by a run that is refused
        peer.start()
    return peers


def _add_cot(peers: Peers, settings: Settings, cot: CotSettings, sources: Sequence[str]) -> None:
    from lpnet_rt.outputs.cot import CotLink

    link = CotLink(cot, _cameras(settings, sources, "cot"))
    # An end that is older than the event it ends is of no use.
    limits = OutboxLimits(keep_s=cot.stale_s, fresh_s=min(cot.stale_s, 5.0))
    peers.add("cot", Wishes(("ended",), cot.rate_hz), [(link, limits)])


def _add_sapient(peers: Peers, settings: Settings, sapient: SapientSettings, sources: Sequence[str]) -> None:
    """Add a node for each source."""
    from lpnet_rt.outputs.sapient import SapientLink
    from lpnet_rt.outputs.sapient_messages import SapientWriter, node_id

    limits = OutboxLimits(keep_s=_FRESH_S, fresh_s=_FRESH_S)
    for source, camera in _cameras(settings, sources, "sapient").items():
        writer = SapientWriter(sapient, source, camera, node_id(sapient, source, len(sources) > 1), peers.clock)
        link = SapientLink(sapient, source, writer, peers.clock)
        peers.add("sapient", Wishes(("ended",), sapient.rate_hz, _STATUS_S), [(link, limits)], source)


def _cameras(settings: Settings, sources: Sequence[str], table: str) -> dict[str, CameraSettings]:
    """The camera of every source.

    Raises:
        SettingsError: A source has none, or is not tracked.
    """
    _require_tracks(settings, table)
    found = {}
    for source in sources:
        camera = camera_of(settings.camera, source)
        if camera is None:
            raise SettingsError(
                f"{table}: expected a [[camera]] for {source}, found none: a direction needs one; "
                f"add it, or leave out the table [{table}]"
            )
        found[source] = camera
    return found


def _require_tracks(settings: Settings, table: str) -> None:
    if not settings.track.enabled:
        raise SettingsError(f"{table}: sends tracks, and tracking is off; leave out --no-track or the table [{table}]")


def _add_webhooks(peers: Peers, settings: Settings, clock: Clock) -> None:
    """Add the servers; each has a peer of its own, so that one that is away does not hold the others."""
    from lpnet_rt.outputs.webhook import WebhookLink

    _require_tracks(settings, "webhook")
    links = [WebhookLink(webhook, clock) for webhook in settings.webhook]
    for webhook, link in zip(settings.webhook, links, strict=True):
        limits = OutboxLimits(events=webhook.queue, keep_s=seconds_of(webhook.keep))
        peers.add("webhook", Wishes(webhook.events), [(link, limits)])


def _add_mqtt(peers: Peers, mqtt: MqttSettings, clock: Clock) -> None:
    from lpnet_rt.outputs.mqtt import MqttLink

    limits = OutboxLimits(events=mqtt.queue, keep_s=seconds_of(mqtt.keep))
    wishes = Wishes(mqtt.events, mqtt.rate_hz, mqtt.state_every_s)
    peers.add("mqtt", wishes, [(MqttLink(mqtt, clock), limits)])
