"""A sink that publishes on a socket of its own, for tests of one source."""

from __future__ import annotations

from collections.abc import Callable

from lpnet_rt.clock import SYSTEM_CLOCK, Clock
from lpnet_rt.settings import PublishSettings
from lpnet_rt.sinks.publisher import Publisher
from lpnet_rt.sinks.zmq import ZmqSink
from lpnet_rt.sources.states import StateLog
from lpnet_rt.stamping import FrameStamper


class PublishedSink(ZmqSink):
    """Binds any free port of loopback unless it is given an endpoint."""

    def __init__(
        self,
        clock: Clock = SYSTEM_CLOCK,
        stamper: FrameStamper | None = None,
        log: StateLog | None = None,
        **settings: object,
    ) -> None:
        given = {"endpoint": "tcp://127.0.0.1:*", **settings}
        self.settings = PublishSettings(**given)  # type: ignore[arg-type]
        self.publisher = Publisher(self.settings)
        self.endpoint = self.publisher.endpoint
        self.stamper = stamper or FrameStamper("lpnet-rt", clock)
        super().__init__(self.publisher, "clip", "openvino bf16", clock, self.stamper, log)

    def wait(self, should_stop: Callable[[], bool] = lambda: False) -> bool:
        return self.wait_for_subscriber(self.settings.wait_subscriber_s, should_stop)

    def close(self, outcome: str = "end") -> None:
        super().close(outcome)
        self.publisher.close()
