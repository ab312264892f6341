"""What the tests of events share: a folder, a clock that stands still, and clips read back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pytest
from made_events import SESSION, number_of
from stepped_clock import SteppedClock

from lpnet_rt.events.archive import EventArchive
from lpnet_rt.events.following import Origin
from lpnet_rt.events.sink import EventSink
from lpnet_rt.settings import AlarmSettings, EventSettings
from lpnet_rt.sources.packets import PacketRing

OpenSink = Callable[..., EventSink]


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def open_sink(tmp_path: Path, clock: SteppedClock) -> Iterator[OpenSink]:
    """Open outputs of events in tmp_path/events; whatever is open in the end is closed."""
    opened: list[EventSink] = []

    def start(
        packets: PacketRing | None = None,
        live: bool = False,
        alarm: AlarmSettings | None = None,
        archive: EventArchive | None = None,
        **settings: object,
    ) -> EventSink:
        wanted = EventSettings(**({"folder": str(tmp_path / "events")} | settings))
        archive = archive or EventArchive(wanted, clock)
        origin = Origin("mast", SESSION, "lpnet-rt", "openvino bf16")
        opened.append(EventSink(archive, origin, (wanted, alarm or AlarmSettings()), packets, live, clock))
        return opened[-1]

    yield start
    for sink in opened:
        sink.close()


@pytest.fixture
def read_clip() -> Callable[[Path], list[tuple[float, int]]]:
    """The time and the number of every picture of a clip."""

    def read(path: Path) -> list[tuple[float, int]]:
        with av.open(str(path)) as container:
            # The first plane is the luminance of any of these formats.
            return [(frame.time, number_of(frame.to_ndarray()[: frame.height])) for frame in container.decode(video=0)]

    return read
