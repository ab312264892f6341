"""The memory of a source's packets: its bounds, and where it begins."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from lpnet_rt.clock import Clock
from lpnet_rt.settings import EventSettings, SourceSettings
from lpnet_rt.sources.packets import KeptPacket, PacketRing, Ring, packet_ring
from lpnet_rt.sources.video import VideoSource


def kept(number: int, is_key: bool, size: int = 100) -> KeptPacket:
    return KeptPacket(bytes(size), number, number, 1, Fraction(1, 10), is_key)


@pytest.fixture
def fill(clock: Clock) -> Callable[..., Ring[KeptPacket]]:
    def make(count: int, group: int, max_s: float = 1e6, max_bytes: int = 10**9) -> Ring[KeptPacket]:
        ring: Ring[KeptPacket] = Ring(max_s, max_bytes, clock)
        ring.begin_stretch(None)
        for number in range(count):
            ring.append(kept(number, number % group == 0))
        return ring

    return make


def numbers(ring: Ring[KeptPacket], start: int | None, until_s: float = 1e6) -> list[int]:
    assert start is not None
    found = ring.read(0, start, until_s, -1.0, 10_000)
    assert found is not None
    return [packet.pts for packet in found[0]]


def test_it_keeps_whole_groups_of_pictures_within_its_length(fill: Callable[..., Ring[KeptPacket]]) -> None:
    ring = fill(1_000, 25, max_s=10.0)
    held = numbers(ring, ring.start(0, 0.0))
    assert held[-1] == 999
    assert held[0] % 25 == 0
    assert 999 - 100 - 25 < held[0] <= 999 - 100


def test_it_never_exceeds_its_size(fill: Callable[..., Ring[KeptPacket]], clock: Clock) -> None:
    ring = fill(1_000, 25, max_bytes=10_000)
    assert ring.size_bytes <= 10_000
    assert numbers(ring, ring.start(0, 0.0))[0] % 25 == 0
    for number in range(1_000, 1_400):
        ring.append(kept(number, False))  # a camera that sends no key frame any more
        assert ring.size_bytes <= 10_000
    assert ring.start(0, 0.0) is None  # what is left cannot be decoded
    ring.append(kept(1_400, True))
    assert numbers(ring, ring.start(0, 0.0)) == [1_400]


def test_a_clip_begins_at_the_key_frame_before_a_time(fill: Callable[..., Ring[KeptPacket]]) -> None:
    ring = fill(100, 25)
    assert numbers(ring, ring.start(0, 6.0), until_s=7.0) == list(range(50, 71))
    assert numbers(ring, ring.start(0, 5.0), until_s=5.2) == [50, 51, 52]
    assert numbers(ring, ring.start(0, -3.0), until_s=0.1) == [0, 1]
    assert ring.start(7, 0.0) is None


def test_a_reader_that_is_too_slow_learns_of_it(fill: Callable[..., Ring[KeptPacket]]) -> None:
    ring = fill(100, 25, max_bytes=5_000)
    assert ring.read(0, 0, 1e6, -1.0, 10) is None


def test_a_jump_back_in_time_begins_a_new_stretch(fill: Callable[..., Ring[KeptPacket]], clock: Clock) -> None:
    ring = fill(100, 25)
    clock.sleep(1.0)
    ring.append(kept(3, True))
    assert ring.stretch_at(clock.monotonic_ns()) == 1
    assert ring.stretch_at(clock.monotonic_ns() - 1) == 0
    assert ring.stretch_at(0) is None
    assert len(numbers(ring, ring.start(0, 0.0))) == 100


def test_connections_that_are_long_gone_are_forgotten(fill: Callable[..., Ring[KeptPacket]]) -> None:
    ring = fill(100, 25)
    for _ in range(4):
        ring.begin_stretch(None)
    assert ring.size_bytes == 0
    assert ring.read(0, 0, 1e6, -1.0, 10) is None


def test_the_packets_of_a_video_are_kept_as_they_are(
    write_video: Callable[..., Path], grey_images: Callable[..., list[np.ndarray]]
) -> None:
    path = write_video("a.mkv", grey_images(50), codec_options={"g": "10", "bf": "2"})
    ring = PacketRing(30.0, 10**8)
    frames = list(VideoSource(path, SourceSettings(), tap=ring))
    assert ring.is_usable
    stretch = ring.stretch_at(frames[0].t_read_ns)
    assert stretch == 0
    start = ring.start(stretch, 0.0)
    assert start is not None
    found = ring.read(stretch, start, 1e6, -1.0, 1_000)
    assert found is not None
    assert sorted(packet.time_s for packet in found[0]) == pytest.approx([frame.pts_s for frame in frames])
    assert sum(packet.size_bytes for packet in found[0]) == ring.size_bytes < path.stat().st_size


def test_nothing_is_kept_unless_events_are_wanted(clock: Clock) -> None:
    assert packet_ring(EventSettings(), clock) is None
    assert packet_ring(EventSettings(folder="events", clips=False), clock) is None
    ring = packet_ring(EventSettings(folder="events", before_s=3.0, buffer_mb=7), clock)
    assert ring is not None
    assert (ring.max_s, ring.max_bytes) == (28.0, 7_000_000)
