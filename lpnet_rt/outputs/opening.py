"""Open the peers of every output in the settings: once per run, shared by all sources."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from lpnet_rt.clock import Clock
from lpnet_rt.outputs.outbox import OutboxLimits
from lpnet_rt.outputs.peer import Link, Peer
from lpnet_rt.outputs.sink import PeerSink, Wishes
from lpnet_rt.settings import Settings, seconds_of
from lpnet_rt.settings.outputs import MqttSettings
from lpnet_rt.sources.states import StateLog
from lpnet_rt.stamping import FrameStamper

__all__ = ["Peers", "open_peers"]

_logger = logging.getLogger(__name__)

_FLUSH_S = 2.0
_STEP_S = 0.05


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
        all: Every peer; their counts may be read from any thread.
    """

    _clock: Clock
    _outputs: list[_Output] = field(default_factory=list)

    @property
    def all(self) -> list[Peer]:
        """Every peer of the run."""
        return [peer for output in self._outputs for peer in output.peers]

    def sinks_of(self, source: str, stamper: FrameStamper, log: StateLog) -> list[tuple[str, PeerSink]]:
        """New sinks of a source, with the names of their outputs."""
        return [
            (output.name, PeerSink(output.peers, output.wishes, source, stamper, log, self._clock))
            for output in self._outputs
            if output.source in (None, source)
        ]

    def close(self) -> None:
        """Send what waits, for two seconds at most, and end; log what could not be sent."""
        peers = self.all
        for peer in peers:
            peer.stop()
        deadline_ns = self._clock.monotonic_ns() + round(_FLUSH_S * 1e9)
        for peer in peers:
            peer.join(max((deadline_ns - self._clock.monotonic_ns()) / 1e9, 0.0))
            counts = peer.counts
            if counts.dropped or counts.refused or counts.waiting:
                _logger.warning(
                    "%s: %d items sent, %d dropped, %d refused, %d not sent at the end",
                    peer.name, counts.sent, counts.dropped, counts.refused, counts.waiting,
                )  # fmt: skip

    def add(
        self, name: str, wishes: Wishes, links: Sequence[tuple[Link, OutboxLimits]], source: str | None = None
    ) -> None:
        """Add an output and start its peers."""
        peers = [Peer(link, limits, self._clock) for link, limits in links]
        self._outputs.append(_Output(name, wishes, peers, source))
        for peer in peers:
            peer.start()


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
    return peers


def _add_mqtt(peers: Peers, mqtt: MqttSettings, clock: Clock) -> None:
    from lpnet_rt.outputs.mqtt import MqttLink

    limits = OutboxLimits(events=mqtt.queue, keep_s=seconds_of(mqtt.keep))
    wishes = Wishes(mqtt.events, mqtt.rate_hz, mqtt.state_every_s)
    peers.add("mqtt", wishes, [(MqttLink(mqtt, clock), limits)])
