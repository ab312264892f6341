"""Metrics for Prometheus, collected when they are asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import get_args

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from lpnet_rt import __version__
from lpnet_rt.sinks.base import SinkRunner
from lpnet_rt.sinks.runner import QueuedSink
from lpnet_rt.sources.states import State
from lpnet_rt.web.feed import BOUNDS_MS, STAGES, Feed, Totals
from lpnet_rt.web.hub import Hub

__all__ = ["Metrics", "Watched"]

# What is known of a source's queues: name and number of frames that wait.
Queues = Callable[[str], Mapping[str, int]]


@dataclass(slots=True)
class Watched:
    """What exists only once the run has begun.

    Attributes:
        outputs: The outputs of each source, by name.
        queues: Returns the queues of a source, and how many frames wait in each.
    """

    outputs: dict[str, Sequence[SinkRunner]] = field(default_factory=dict)
    queues: Queues = field(default=lambda _: {})


class Metrics(Collector):
    """Reads the feeds at each scrape; nothing is counted twice."""

    media_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self, hub: Hub, watched: Watched) -> None:
        """Read these.

        Args:
            hub: The sources, the events and the viewers.
            watched: Outputs and queues.
        """
        self._hub, self._watched = hub, watched
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """Return all metrics in the text format, version 0.0.4."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; called by the registry."""
        feeds = list(self._hub.feeds.values())
        totals = {feed.name: feed.totals() for feed in feeds}
        yield from _frame_metrics(feeds, totals)
        yield from _state_metrics(feeds)
        yield _latency_metric(feeds)
        yield from _track_metrics(totals)
        yield from self._output_metrics()
        yield from self._page_metrics()

    def _output_metrics(self) -> Iterator[Metric]:
        missed = CounterMetricFamily("lpnet_output_missed", "Frames that an output was too slow for.", labels=_OUTPUT)
        up = GaugeMetricFamily("lpnet_output_up", "1, or 0 once an output was given up.", labels=_OUTPUT)
        depth = GaugeMetricFamily("lpnet_queue_frames", "Frames that wait in a queue.", labels=["source", "queue"])
        for source in self._hub.feeds:
            for runner in self._watched.outputs.get(source, ()):
                missed.add_metric([source, runner.name], runner.missed)
                up.add_metric([source, runner.name], float(runner.failure is None))
                if isinstance(runner, QueuedSink):
                    depth.add_metric([source, runner.name], runner.depth)
            for queue, count in self._watched.queues(source).items():
                depth.add_metric([source, queue], count)
        yield from (missed, up, depth)

    def _page_metrics(self) -> Iterator[Metric]:
        hub = self._hub
        build = GaugeMetricFamily("lpnet_build_info", "Version and model.", labels=["version", "model"])
        build.add_metric([__version__, hub.model], 1)
        yield build
        yield GaugeMetricFamily("lpnet_threshold", "Lowest score of a detection.", value=hub.controls.threshold)
        yield GaugeMetricFamily("lpnet_web_viewers", "Browsers that watch.", value=hub.viewers)
        # It is asked for in the server's own thread.
        busy_s = time.thread_time()
        yield CounterMetricFamily("lpnet_web_cpu_seconds", "Processor time of the page's thread.", value=busy_s)
        yield CounterMetricFamily("lpnet_web_pictures", "Pictures encoded for them.", value=hub.pictures.encoded)


_OUTPUT = ["source", "output"]


def _frame_metrics(feeds: Iterable[Feed], totals: Mapping[str, Totals]) -> Iterator[Metric]:
    frames = CounterMetricFamily("lpnet_frames", "Frames processed.", labels=["source"])
    failed = CounterMetricFamily("lpnet_frames_failed", "Frames processed that failed.", labels=["source"])
    found = CounterMetricFamily("lpnet_detections", "Detections.", labels=["source"])
    dropped = CounterMetricFamily("lpnet_frames_dropped", "Frames dropped, by cause.", labels=["source", "cause"])
    corrupt = CounterMetricFamily("lpnet_source_corrupt_packets", "Packets lost or damaged.", labels=["source"])
    for feed in feeds:
        total, counts = totals[feed.name], feed.log.counts
        frames.add_metric([feed.name], total.frames)
        failed.add_metric([feed.name], total.failed)
        found.add_metric([feed.name], total.detections)
        corrupt.add_metric([feed.name], counts.corrupt_packets)
        at_source = max(total.dropped - total.late - counts.left_out, 0)
        for cause, count in (("detector", total.late), ("undecodable", counts.left_out), ("source", at_source)):
            dropped.add_metric([feed.name, cause], count)
    yield from (frames, failed, found, dropped, corrupt)


def _state_metrics(feeds: Iterable[Feed]) -> Iterator[Metric]:
    states = GaugeMetricFamily("lpnet_source_state", "1 for the state of a source.", labels=["source", "state"])
    since = GaugeMetricFamily("lpnet_source_state_since_seconds", "Unix time of its start.", labels=["source"])
    back = CounterMetricFamily("lpnet_source_reconnects", "So often a source came back.", labels=["source"])
    for feed in feeds:
        state = feed.log.state
        name = "ended" if feed.outcome is not None else "live" if state is None else state.state
        for known in get_args(State):
            states.add_metric([feed.name, known], float(known == name))
        if state is not None:
            since.add_metric([feed.name], state.since_us / 1e6)
        back.add_metric([feed.name], 0 if state is None else state.reconnects)
    yield from (states, since, back)


def _latency_metric(feeds: Iterable[Feed]) -> Metric:
    latency = HistogramMetricFamily(
        "lpnet_latency_seconds", "Time that a frame spent in a stage; total is from available to report ready.",
        labels=["source", "stage"],
    )  # fmt: skip
    for feed in feeds:
        stages = feed.stages()
        for stage in STAGES:
            below = 0
            buckets: list[tuple[str, float]] = []
            for bound_ms, count in zip((*BOUNDS_MS, None), stages[stage].counts, strict=True):
                below += count
                buckets.append(("+Inf" if bound_ms is None else repr(bound_ms / 1e3), below))
            latency.add_metric([feed.name, stage], buckets, stages[stage].sum_ms / 1e3)
    return latency


def _track_metrics(totals: Mapping[str, Totals]) -> Iterator[Metric]:
    alive = GaugeMetricFamily("lpnet_tracks", "Tracks that are alive.", labels=["source", "state"])
    events = CounterMetricFamily("lpnet_track_events", "What happened to tracks.", labels=["source", "event"])
    for source, total in totals.items():
        for state in ("tentative", "confirmed", "coasting"):
            alive.add_metric([source, state], getattr(total, state))
        for event, count in (("started", total.started), ("confirmed", total.confirmations), ("ended", total.ended)):
            events.add_metric([source, event], count)
    yield from (alive, events)
