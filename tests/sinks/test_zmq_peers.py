"""What peers of the publishing socket may and may not do to it: raw connections over loopback."""

import dataclasses
import os
import resource
import socket
import stat
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import zmq
from published import PublishedSink

from lpnet_rt.errors import SinkError
from lpnet_rt.messages import EndMessage, decode
from lpnet_rt.sinks.peers import MAX_PEERS
from lpnet_rt.sinks.zmq import ZmqSink

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
READY = b"\x05READY\x0bSocket-Type\x00\x00\x00\x03SUB"
RATE_S = 0.01


def open_sink(endpoint: str = "tcp://127.0.0.1:*", **settings) -> PublishedSink:
    return PublishedSink(endpoint=endpoint, **settings)


def subscription(topic: bytes) -> bytes:
    """A subscription on the wire: flags, length, 1, topic."""
    body = b"\x01" + topic
    return (b"\x00" + bytes([len(body)]) if len(body) < 256 else b"\x02" + struct.pack(">Q", len(body))) + body


class Flood:
    """Peers that send what they like, in a thread, until all is sent or they are cut."""

    def __init__(self, endpoint: str, peers: int, payload: bytes) -> None:
        self._address = ("127.0.0.1", int(endpoint.rpartition(":")[2]))
        self._peers, self._payload = peers, payload
        self._open = ExitStack()
        self.cut = 0
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        for _ in range(self._peers):
            try:
                peer = self._open.enter_context(socket.create_connection(self._address, timeout=5))
                peer.sendall(GREETING + b"\x04" + bytes([len(READY)]) + READY + self._payload)
            except OSError:
                self.cut += 1

    def __enter__(self) -> "Flood":
        return self

    def __exit__(self, *_: object) -> None:
        self.thread.join(20)
        self._open.close()


@pytest.fixture
def sink() -> Iterator[ZmqSink]:
    opened = open_sink()
    yield opened
    opened.close()


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


@pytest.mark.parametrize(
    ("peers", "number", "size"),
    [(1, 3_000, 4_000), (1, 60_000, 100), (60, 1_000, 100)],
    ids=["long topics", "many topics", "many peers"],
)
def test_subscriptions_without_end_take_neither_memory_nor_time(sink, make_report, peers, number, size) -> None:
    payload = b"".join(subscription(os.urandom(size)) for _ in range(number))
    report = make_report(0)
    sink.write(report)
    before_mib, longest_s = resident_mib(), 0.0
    with Flood(sink.endpoint, peers, payload) as flood:
        until_s = time.monotonic() + 20
        quiet = 0
        while quiet < 30 and time.monotonic() < until_s:
            began_s = time.monotonic()
            sink.write(dataclasses.replace(report))
            longest_s = max(longest_s, time.monotonic() - began_s)
            quiet += not flood.thread.is_alive()
            time.sleep(RATE_S)
        assert flood.cut or peers > 1
        assert resident_mib() - before_mib < 60
        assert longest_s < 2.0
    began_s = time.monotonic()
    sink.close()
    assert time.monotonic() - began_s < 2.0


def test_a_subscriber_is_served_while_others_flood(sink, make_report, subscribe) -> None:
    sub = subscribe(sink.endpoint, b"lpnet.v1.det.")
    while not sink.wait():
        pass
    payload = b"".join(subscription(os.urandom(100)) for _ in range(20_000))
    with Flood(sink.endpoint, 5, payload):
        for index in range(60):
            sink.write(make_report(index))
            time.sleep(RATE_S)
    assert [decode(*sub.recv_multipart()).seq for _ in range(60)] == list(range(60))


def test_an_ordinary_subscriber_may_ask_for_forty_topics_come_and_go(sink, make_report, subscribe) -> None:
    sub = subscribe(sink.endpoint, b"lpnet.v1.det.clip.")
    for index in range(40):
        sub.setsockopt(zmq.SUBSCRIBE, f"lpnet.v1.det.{'camera' * 10}-{index}.".encode())
    until_s = time.monotonic() + 5
    while not sink.wait() and time.monotonic() < until_s:
        time.sleep(RATE_S)
    for index in range(20):
        sink.write(make_report(index))
        sink.tick()
        time.sleep(RATE_S)
    assert [decode(*sub.recv_multipart()).seq for _ in range(20)] == list(range(20))
    sub.setsockopt(zmq.UNSUBSCRIBE, b"lpnet.v1.det.clip.")
    while sink.wait() and time.monotonic() < until_s:
        time.sleep(RATE_S)
    assert not sink.wait()
    sub.setsockopt(zmq.SUBSCRIBE, b"")
    while not sink.wait() and time.monotonic() < until_s:
        time.sleep(RATE_S)
    sink.close()
    assert isinstance(decode(*sub.recv_multipart()), EndMessage)


def test_there_is_a_limit_to_peers(sink) -> None:
    with ExitStack() as opened:
        address = ("127.0.0.1", int(sink.endpoint.rpartition(":")[2]))
        peers = [opened.enter_context(socket.create_connection(address, timeout=5)) for _ in range(MAX_PEERS + 20)]
        until_s, ended = time.monotonic() + 5, 0
        while ended < 20 and time.monotonic() < until_s:
            ended = sum(_is_cut(peer) for peer in peers)
            time.sleep(RATE_S)
        assert ended >= 20


def _is_cut(peer: socket.socket) -> bool:
    peer.setblocking(False)
    try:
        while content := peer.recv(4096):
            assert content
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def test_an_ipc_socket_is_for_owner_and_group(tmp_path: Path, make_report) -> None:
    mask = os.umask(0o022)
    try:
        sink = open_sink(f"ipc://{tmp_path}/s")
        assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o660
        (tmp_path / "file").touch()
        assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644  # the mask is as it was
    finally:
        os.umask(mask)
    sink.close()


def test_an_ipv6_address_can_be_bound_and_reached(make_report) -> None:
    try:
        sink = open_sink("tcp://[::1]:*", wait_subscriber_s=5.0)
    except SinkError as error:
        pytest.skip(f"no IPv6 here: {error}") if not socket.has_ipv6 else pytest.fail(str(error))
    with zmq.Context() as context, context.socket(zmq.SUB) as sub:
        sub.setsockopt(zmq.IPV6, 1)
        sub.setsockopt(zmq.RCVTIMEO, 5000)
        sub.setsockopt(zmq.SUBSCRIBE, b"lpnet.v1.det.")
        sub.connect(sink.endpoint)
        assert sink.wait()
        sink.write(make_report(0))
        assert decode(*sub.recv_multipart()).seq == 0
    sink.close()


def test_the_end_of_a_stream_names_no_password(subscribe) -> None:
    sink = open_sink(wait_subscriber_s=5.0)
    sub = subscribe(sink.endpoint, b"lpnet.v1.end.")
    assert not sink.wait(lambda: True)
    until_s = time.monotonic() + 5
    while not sink.publisher._subscribed and time.monotonic() < until_s:
        sink.tick()
        time.sleep(RATE_S)
    sink.close("error: rtsp://user:s3cret@camera/stream: no answer")
    message = decode(*sub.recv_multipart())
    assert isinstance(message, EndMessage)
    assert message.reason == "error: rtsp://camera/stream: no answer"
