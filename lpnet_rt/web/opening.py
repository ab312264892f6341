"""Open the page: from a run that is about to begin to a server."""

from __future__ import annotations

import ipaddress
import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lpnet_rt.clock import Clock
from lpnet_rt.detector import Detector
from lpnet_rt.errors import SourceError
from lpnet_rt.pipeline.zone_stage import ZoneStage
from lpnet_rt.settings import WebSettings
from lpnet_rt.sinks.base import SinkRunner
from lpnet_rt.sinks.runner import DirectSink
from lpnet_rt.sources import Source
from lpnet_rt.sources.states import StateLog
from lpnet_rt.stamping import FrameStamper
from lpnet_rt.web.access import HostNames
from lpnet_rt.web.controls import Controls
from lpnet_rt.web.event_log import MemoryEventLog
from lpnet_rt.web.feed import Feed
from lpnet_rt.web.hub import Hub
from lpnet_rt.web.metrics import Metrics, Watched
from lpnet_rt.web.pages import make_app
from lpnet_rt.web.reserving import Reserved
from lpnet_rt.web.server import WebServer

if TYPE_CHECKING:
    from lpnet_rt.events import EventHub
    from lpnet_rt.web.kept_events import KeptEvents

__all__ = ["Run", "WebPage", "open_page"]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Run:
    """What the page shows.

    Attributes:
        sources: The sources with their states, in order.
        detector: Of all sources.
        zone_stages: The stages that apply zones, by source.
        config: The configuration file of the run, in which zones are saved, or None.
    """

    sources: Sequence[tuple[Source, StateLog]]
    detector: Detector
    zone_stages: Mapping[str, ZoneStage]
    config: str | None


class WebPage:
    """The open page."""

    def __init__(self, feeds: Sequence[Feed], watched: Watched, server: WebServer, events: MemoryEventLog) -> None:
        self._feeds, self._watched, self._server, self._events = feeds, watched, server, events
        self._kept: KeptEvents | None = None

    def add_outputs(self, outputs: Sequence[list[SinkRunner]]) -> None:
        """Add the page to the outputs of each source, in order, and show them all in the metrics."""
        for feed, runners in zip(self._feeds, outputs, strict=True):
            runners.append(DirectSink(feed, "web"))
            self._watched.outputs[feed.name] = runners

    def keep_events(self, folder: str, hub: EventHub, clock: Clock) -> None:
        """Show the events of the last day, and clips, from the folder that a run keeps its events in.

        Args:
            folder: The folder.
            hub: Passes on what happens to the run's events.
            clock: Clock of the run.
        """
        from lpnet_rt.events import EventStore
        from lpnet_rt.web.kept_events import KeptEvents

        try:
            self._kept = KeptEvents(self._events, EventStore(Path(folder)), hub, clock)
        except SourceError as error:
            _logger.warning("web page: %s; events are shown without clips", error)

    def watch(self, queues: Callable[[int], Mapping[str, int]]) -> None:
        """Show the run's queues in the metrics.

        Args:
            queues: Returns the queues of the source with this index.
        """
        index = {feed.name: number for number, feed in enumerate(self._feeds)}
        self._watched.queues = lambda name: queues(index[name])

    def close(self) -> None:
        """End the server."""
        if self._kept is not None:
            self._kept.close()
        self._server.close()


def open_page(
    reserved: Reserved,
    run: Run,
    web: WebSettings,
    clock: Clock,
) -> WebPage:
    """Start the server.

    Args:
        reserved: Address and token.
        run: What the page shows.
        web: The settings.
        clock: Clock of the run.

    Raises:
        SinkError: The server does not start.
    """
    detector, events, watched = run.detector, MemoryEventLog(), Watched()
    feeds = [Feed(source.name, log, source.rate_hz, events, clock) for source, log in run.sources]
    rates_hz = [feed.rate_hz for feed in feeds if feed.rate_hz is not None]
    controls = Controls(detector, run.zone_stages, web.edit, run.config, max(rates_hz, default=None))
    hub = Hub(feeds, events, controls, FrameStamper(detector.card.name, clock, detector.polarity), clock)
    app = make_app(hub, reserved.access, HostNames(web.hosts, _is_loopback(reserved.listener)), Metrics(hub, watched))
    server = WebServer(reserved.listener, hub, app, web.certificate, web.key)
    _logger.info("web page: %s", reserved.url)
    return WebPage(feeds, watched, server, events)


def _is_loopback(listener: socket.socket) -> bool:
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback
