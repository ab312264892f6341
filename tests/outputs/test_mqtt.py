"""MQTT against the real mosquitto: killed and started again, with passwords, with TLS."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from tracked_reports import event, sink_for, tracked

from lpnet_rt.clock import SYSTEM_CLOCK
from lpnet_rt.errors import SettingsError
from lpnet_rt.messages import EventMessage, decode
from lpnet_rt.outputs.mqtt import MqttLink
from lpnet_rt.outputs.outbox import OutboxLimits
from lpnet_rt.outputs.peer import Peer
from lpnet_rt.outputs.sink import Wishes
from lpnet_rt.settings import MqttSettings
from lpnet_rt.sources.backoff import Backoff

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
pytestmark = pytest.mark.skipif(MOSQUITTO is None, reason="needs mosquitto (apt-get install mosquitto)")

WISHES = Wishes(("confirmed", "ended"), rate_hz=1.0, state_every_s=10.0)
WAIT_S = 10.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Broker:
    """A mosquitto of our own that can be killed and started again on its port."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self.port = free_port()
        self.config = folder / "mosquitto.conf"
        self.config.write_text(f"listener {self.port} 127.0.0.1\npersistence false\n{more or 'allow_anonymous true'}\n")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Broker:
        self.process = subprocess.Popen([str(MOSQUITTO), "-c", self.config], stderr=subprocess.DEVNULL)
        until(lambda: can_connect(self.port))
        return self

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def can_connect(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


def stepping(peer: Peer, condition: Callable[[], bool]) -> None:
    """Do the work of a peer's thread here, until something holds."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(min(peer.step(), 0.01))


class Reader:
    """A subscriber to everything."""

    def __init__(self, port: int) -> None:
        self.messages: list[tuple[str, bytes, bool]] = []
        subscribed: list[int] = []
        self.client = Client(CallbackAPIVersion.VERSION2)
        self.client.on_message = lambda _c, _d, message: self.messages.append(
            (message.topic, message.payload, message.retain)
        )
        self.client.on_subscribe = lambda *_: subscribed.append(1)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.client.subscribe("#", 1)
        until(lambda: bool(subscribed))

    def of(self, topic: str) -> list[bytes]:
        return [payload for name, payload, _ in self.messages if name == topic]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path).start()
    yield broker
    broker.kill()


@contextlib.contextmanager
def reading(port: int) -> Iterator[Reader]:
    reader = Reader(port)
    yield reader
    reader.close()


@contextlib.contextmanager
def connected(settings: MqttSettings) -> Iterator[Peer]:
    backoff = Backoff(first_s=0.02, early_limit_s=0.1)
    peer = Peer(MqttLink(settings, SYSTEM_CLOCK), OutboxLimits(), SYSTEM_CLOCK, backoff)
    peer.start()
    yield peer
    peer.stop()
    peer.join(WAIT_S)


def test_events_tracks_states_and_discovery_arrive(broker: Broker) -> None:
    with reading(broker.port) as reader:
        with connected(MqttSettings(host="127.0.0.1", port=broker.port)) as peer:
            sink = sink_for([peer], WISHES, SYSTEM_CLOCK)
            sink.write(tracked(0, events=[event("confirmed")]))
            until(lambda: len(reader.of("lpnet-rt/north/track")) == 1)
            sink.write(tracked(1, ids=(), events=[event("ended")]))
            sink.close()
            until(lambda: peer.counts.waiting == 0)
        until(lambda: len(reader.of("lpnet-rt/availability")) == 2)
        assert reader.of("lpnet-rt/availability") == [b"online", b"offline"]
        events = [decode(None, payload) for payload in reader.of("lpnet-rt/north/event")]
        assert [(e.event, e.track, e.source) for e in events if isinstance(e, EventMessage)] == [
            ("confirmed", 1, "north"),
            ("ended", 1, "north"),
        ]
        assert reader.of("lpnet-rt/north/chip")[0].startswith(b"\x89PNG")
        track = json.loads(reader.of("lpnet-rt/north/track")[0])
        assert (track["id"], track["state"], track["score"]) == (1, "confirmed", 0.9)
        last = json.loads(reader.of("lpnet-rt/north/state")[-1])
        assert (last["state"], last["target"], last["tracks"]) == ("ended", "OFF", 0)


def test_discovery_names_every_entity_and_is_retained(broker: Broker) -> None:
    with connected(MqttSettings(host="127.0.0.1", port=broker.port)) as peer:
        sink_for([peer], WISHES, SYSTEM_CLOCK).write(tracked(0, ids=()))
        until(lambda: peer.counts.sent == 1)
    with reading(broker.port) as late:
        until(lambda: len(late.messages) == 7)  # five entities, the state, the availability
        assert all(retained for _, _, retained in late.messages)
        found = {topic: json.loads(p) for topic, p, _ in late.messages if topic.startswith("homeassistant/")}
        assert sorted(topic.split("/")[1] for topic in found) == [
            "binary_sensor", "image", "sensor", "sensor", "sensor"
        ]  # fmt: skip
        topics = {topic for topic, _, _ in late.messages}
        for payload in found.values():
            assert payload["availability_topic"] in topics
            assert payload.get("state_topic", "lpnet-rt/north/state") in topics
            assert payload["device"]["identifiers"] == ["lpnet-rt-north"]
        assert len({payload["unique_id"] for payload in found.values()}) == 5


def test_a_broker_that_is_killed_is_found_again_and_gets_what_waited(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    limits = OutboxLimits(events=100)
    peer = Peer(MqttLink(MqttSettings(host="127.0.0.1", port=broker.port), SYSTEM_CLOCK), limits, SYSTEM_CLOCK)
    sink = sink_for([peer], WISHES, SYSTEM_CLOCK)
    sink.write(tracked(0))
    stepping(peer, lambda: peer.counts.sent == 2)
    broker.kill()
    stepping(peer, lambda: peer.counts.is_away)
    report = tracked(1, ids=(), events=[event("ended", track) for track in range(150)])
    began = time.monotonic()
    sink.write(report)
    assert time.monotonic() - began < 1.0  # a dead broker holds nothing
    broker.start()
    with reading(broker.port) as reader:
        stepping(peer, lambda: peer.counts.waiting == 0)
        until(lambda: len(reader.of("lpnet-rt/north/event")) >= 100)
        events = [json.loads(payload)["track"] for payload in reader.of("lpnet-rt/north/event")]
    assert events == list(range(50, 150))
    stepping(peer, lambda: not peer.counts.is_away)
    assert (peer.counts.dropped, peer.counts.connects) == (50, 2)
    lines = [record.message for record in caplog.records]
    assert [line.split(": ")[1].split(" ")[0] for line in lines] == ["away", "back"], lines


def test_a_program_that_dies_is_announced_by_the_last_will(broker: Broker) -> None:
    link = MqttLink(MqttSettings(host="127.0.0.1", port=broker.port), SYSTEM_CLOCK)
    with reading(broker.port) as reader:
        link.open()
        link.close(is_orderly=False)  # what the system does with the socket of a killed process
        until(lambda: len(reader.of("lpnet-rt/availability")) == 2)
        assert reader.of("lpnet-rt/availability") == [b"online", b"offline"]


def test_a_wrong_password_is_said_once_without_the_password(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-c", "-b", passwords, "mast", "hunter2"], check=True)
    broker = Broker(tmp_path, f"allow_anonymous false\npassword_file {passwords}\nuser root").start()
    try:
        monkeypatch.setenv("BROKER_PASSWORD", "hunter3-wrong")
        settings = MqttSettings(host="127.0.0.1", port=broker.port, user="mast", password="${BROKER_PASSWORD}")
        with connected(settings) as peer:
            until(lambda: len(caplog.records) > 0)
            time.sleep(0.3)
            assert peer.counts.connects == 0
        assert len(caplog.records) == 1
        assert "refused: Not authorized" in caplog.text
        assert "hunter3" not in caplog.text + repr(settings)
        monkeypatch.setenv("BROKER_PASSWORD", "hunter2")
        with connected(settings) as peer:
            until(lambda: peer.counts.connects == 1)
    finally:
        broker.kill()


# paho leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_tls_checks_the_brokers_certificate(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    authority, other = trustme.CA(), trustme.CA()
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    other.cert_pem.write_to_path(tmp_path / "other.pem")
    tls = f"allow_anonymous true\ncertfile {tmp_path}/cert.pem\nkeyfile {tmp_path}/key.pem\nuser root"
    broker = Broker(tmp_path, tls).start()
    try:
        settings = MqttSettings(host="127.0.0.1", port=broker.port, tls=True, ca_file=str(tmp_path / "ca.pem"))
        with connected(settings) as peer:
            until(lambda: peer.counts.connects == 1)
        assert not caplog.records
        wrong = MqttSettings(host="127.0.0.1", port=broker.port, tls=True, ca_file=str(tmp_path / "other.pem"))
        with connected(wrong) as peer:
            until(lambda: len(caplog.records) == 1)
            assert peer.counts.connects == 0
        assert "certificate verify failed" in caplog.text
    finally:
        broker.kill()


def test_a_secret_that_is_missing_ends_the_run_before_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BROKER_PASSWORD", raising=False)
    settings = MqttSettings(host="127.0.0.1", user="mast", password="${BROKER_PASSWORD}")
    with pytest.raises(SettingsError, match=r"mqtt.password: expected a value in .* BROKER_PASSWORD"):
        MqttLink(settings, SYSTEM_CLOCK)
