from __future__ import annotations

import struct
from fractions import Fraction

import av
import av.packet
import av.stream
import pytest

from lpnet_rt.sources.sender_clock import SenderClock


def _packet(pts: int, sent_us: int | None = None) -> av.Packet[av.stream.Stream]:
    """A packet at 90 kHz, with the sender's time of it as FFmpeg adds it."""
    packet = av.Packet(b"data")
    packet.pts, packet.time_base = pts, Fraction(1, 90_000)
    if sent_us is not None:
        reference = av.packet.PacketSideData(av.packet.packet_sidedata_type_from_literal("prft"), 16)  # type: ignore[call-arg]
        reference.update(struct.pack("<qi4x", sent_us, 24))
        packet.set_sidedata(reference)
    return packet


def test_the_clock_of_a_sender() -> None:
    now_us = 1_700_000_000_000_000
    clock = SenderClock()
    clock.note(_packet(90_000))
    assert clock.capture_us(1.0, now_us) is None
    clock.note(_packet(180_000, now_us))
    clock.note(_packet(190_000))
    assert clock.capture_us(2.0, now_us) == now_us
    assert clock.capture_us(2.5, now_us + 700_000) == now_us + 500_000
    assert clock.capture_us(None, now_us) is None


@pytest.mark.parametrize("wrong_us", [0, 1_600_000_000_000_000, 1_800_000_000_000_000])
def test_a_clock_that_was_never_set_is_not_used(wrong_us: int) -> None:
    clock = SenderClock()
    clock.note(_packet(0, wrong_us))
    assert clock.capture_us(0.0, 1_700_000_000_000_000) is None
