"""Publishing with keys: who gets in, who does not, and what a revocation does; real sockets over loopback."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq
from made_reports import make
from published import PublishedSink

from lpnet_rt.cli import main
from lpnet_rt.errors import SettingsError
from lpnet_rt.keys import KeyFolder, read_pair
from lpnet_rt.messages import EndMessage, FrameMessage, WelcomeMessage
from lpnet_rt.subscriber import Silence, Subscriber

WAIT_S = 10.0
LOGGER = "lpnet_rt.sinks.zap"


@pytest.fixture
def keys(tmp_path: Path) -> KeyFolder:
    folder = KeyFolder(tmp_path / "keys")
    folder.create("server")
    return folder


@pytest.fixture
def gate(keys: KeyFolder, tmp_path: Path) -> Path:
    """The key file of an allowed client."""
    path, pair = KeyFolder(tmp_path / "gate").create("gate")
    keys.allow("gate", pair.public)
    return path.with_suffix(".key_secret")


@pytest.fixture
def sink(keys: KeyFolder, gate: Path) -> Iterator[PublishedSink]:
    opened = PublishedSink(keys=str(keys.path))
    yield opened
    opened.close()


def until(sink: PublishedSink, has_subscriber: bool, wait_s: float = WAIT_S) -> bool:
    """Run the sink until it has, or has no longer, a subscriber."""
    until_s = time.monotonic() + wait_s
    while time.monotonic() < until_s:
        sink.tick()
        if sink.publisher.has_subscriber(b"lpnet.v1.det.clip.") == has_subscriber:
            return True
        time.sleep(0.01)
    return False


def test_an_allowed_client_gets_everything_in_order(sink: PublishedSink, keys: KeyFolder, gate: Path) -> None:
    with Subscriber(sink.endpoint, key=gate, server_key=keys.path / "server.key") as subscriber:
        assert until(sink, True)
        for index in range(200):
            sink.write(make(index))
        sink.close()
        messages = []
        while not isinstance(message := subscriber.receive(WAIT_S), EndMessage):
            messages.append(message)
    assert [message.seq for message in messages if isinstance(message, FrameMessage)] == list(range(200))
    assert isinstance(messages[0], WelcomeMessage)


def test_without_a_key_or_with_a_wrong_one_nobody_gets_in(
    sink: PublishedSink, keys: KeyFolder, gate: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    stranger = KeyFolder(tmp_path / "stranger").create("stranger")[0].with_suffix(".key_secret")
    server = keys.path / "server.key"
    attempts = {
        "no key": {},
        "a key that is not allowed": {"key": stranger, "server_key": server},
        "a wrong server key": {"key": gate, "server_key": tmp_path / "stranger" / "stranger.key"},
    }
    for given in attempts.values():
        with Subscriber(sink.endpoint, **given) as subscriber:
            assert not until(sink, True, 0.4)
            sink.write(make(0))
            assert subscriber.receive(0.1) is None
    assert "refused a subscriber from 127.0.0.1" in caplog.text


def test_a_refused_client_learns_why(sink: PublishedSink, keys: KeyFolder, tmp_path: Path) -> None:
    stranger = KeyFolder(tmp_path / "stranger").create("stranger")[0].with_suffix(".key_secret")
    with Subscriber(sink.endpoint, key=stranger, server_key=keys.server().public) as subscriber:
        silence = subscriber.receive(WAIT_S)
    assert isinstance(silence, Silence)
    assert silence.reason == "the publisher does not allow this key"


def test_a_revocation_cuts_the_connection_and_shuts_it_out(
    sink: PublishedSink, keys: KeyFolder, gate: Path, tmp_path: Path
) -> None:
    path, pair = KeyFolder(tmp_path / "other").create("other")
    keys.allow("other", pair.public)
    server = keys.path / "server.key"
    other = Subscriber(sink.endpoint, sources=["clip"], key=path.with_suffix(".key_secret"), server_key=server)
    with other, Subscriber(sink.endpoint, key=gate, server_key=server) as subscriber:
        deadline_s = time.monotonic() + WAIT_S
        while len(sink.publisher._users) < 2 and time.monotonic() < deadline_s:
            sink.tick()
            time.sleep(0.01)
        keys.revoke("gate")
        revoked_s = time.monotonic()
        while b"lpnet.v1." in sink.publisher._subscribed and time.monotonic() < deadline_s:
            sink.tick()
            time.sleep(0.01)
        assert time.monotonic() - revoked_s < 2.0
        while subscriber.receive(0.0) is not None:
            pass
        for index in range(20):
            sink.write(make(index))
            time.sleep(0.02)
        assert subscriber.receive(0.2) is None
        frames = [message for message in iter(lambda: other.receive(0.2), None) if isinstance(message, FrameMessage)]
        assert [frame.seq for frame in frames] == list(range(20))  # the other was not disturbed
        keys.allow("gate", KeyFolder(gate.parent).path.joinpath("gate.key").read_text().split('"')[-2])
        assert until(sink, True)


def test_when_the_handler_dies_nobody_gets_in_and_those_inside_stay(
    sink: PublishedSink, keys: KeyFolder, gate: Path
) -> None:
    server = keys.path / "server.key"
    with Subscriber(sink.endpoint, key=gate, server_key=server) as inside:
        assert until(sink, True)
        sink.publisher._authenticator.close()
        with Subscriber(sink.endpoint, sources=["late"], key=gate, server_key=server) as late:
            for index in range(30):
                sink.write(make(index))
                time.sleep(0.02)
            assert late.receive(0.0) is None
            assert len(sink.publisher._users) == 1
        frames = [message for message in iter(lambda: inside.receive(0.2), None) if isinstance(message, FrameMessage)]
        assert len(frames) == 30


@pytest.mark.parametrize("damage", ["a folder for all", "a broken file"])
def test_an_allow_list_that_cannot_be_trusted_allows_nobody(
    sink: PublishedSink, keys: KeyFolder, gate: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Subscriber(sink.endpoint, key=gate, server_key=keys.path / "server.key"):
        assert until(sink, True)
        if damage == "a folder for all":
            (keys.path / "allowed").chmod(0o777)
        else:
            (keys.path / "allowed" / "gate.key").write_text("?")
        assert until(sink, False, 2.0)
    assert "nobody is allowed until this is mended" in caplog.text


def test_without_a_server_key_it_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="lpnet-rt keys new server --keys"):
        PublishedSink(keys=str(tmp_path))


def test_a_subscriber_needs_both_keys(gate: Path) -> None:
    for given in ({"key": gate}, {"server_key": "x"}):
        with pytest.raises(SettingsError, match="give both, or neither"):
            Subscriber("tcp://127.0.0.1:1", **given)


def test_a_client_without_encryption_is_not_spoken_to(sink: PublishedSink) -> None:
    with zmq.Context() as context, context.socket(zmq.SUB) as sub:
        sub.linger = 0
        sub.setsockopt(zmq.SUBSCRIBE, b"")
        sub.connect(sink.endpoint)
        assert not until(sink, True, 0.5)
        sink.write(make(0))
        assert not sub.poll(100)


@pytest.mark.slow
def test_listen_says_that_its_key_is_refused(
    sink: PublishedSink, keys: KeyFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stranger = KeyFolder(tmp_path / "stranger").create("stranger")[0].with_suffix(".key_secret")
    flags = ["--timeout", "3", "--key", str(stranger), "--server-key", str(keys.path / "server.key")]
    assert main(["listen", sink.endpoint, *flags]) == 3
    out, err = capsys.readouterr()
    assert out == "refused: the publisher does not allow this key\n"
    assert "both sides use keys or neither" in err
    assert read_pair(stranger).secret not in out + err
