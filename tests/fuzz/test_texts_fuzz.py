"""Settings, messages and subscriptions that nobody would write: a result or an error of ours, in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from published import PublishedSink

from lpnet_rt.errors import LpnetError, MessageError, SettingsError
from lpnet_rt.messages import EndMessage, FrameMessage, StatusMessage, decode
from lpnet_rt.settings import Settings, load_settings, merge

FUZZ = settings(max_examples=200, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
KEYS = st.sampled_from(["source", "detector", "publish", "output", "spec", "threshold", "frames", "endpoint", "nope"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from([*FrameMessage.__struct_fields__, *StatusMessage.__struct_fields__, "kind", "nope"])


def check_text(error: LpnetError) -> None:
    assert len(str(error).splitlines()) == 1


@FUZZ
@given(st.dictionaries(KEYS | st.text(max_size=8), JSON, max_size=4))
def test_settings_are_taken_or_refused_in_one_line(tree: dict[str, object]) -> None:
    try:
        merge(Settings, tree, {}, "lpnet.toml")
    except SettingsError as error:
        check_text(error)


@FUZZ
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_file_is_a_configuration_or_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "lpnet.toml"
    path.write_bytes(content)
    try:
        load_settings(str(path), {"source.spec": "demo"})
    except SettingsError as error:
        check_text(error)


@FUZZ
@given(st.dictionaries(FIELDS, JSON, max_size=20) | JSON, st.none() | st.binary(max_size=40))
def test_messages_are_decoded_or_refused(tree: object, topic: bytes | None) -> None:
    payload = json.dumps(tree).encode("utf-8", "surrogatepass")
    try:
        message = decode(topic, payload)
    except MessageError as error:
        check_text(error)
    else:
        assert isinstance(message, FrameMessage | StatusMessage | EndMessage)


@FUZZ
@given(st.binary(max_size=300))
def test_bytes_are_a_message_or_refused(payload: bytes) -> None:
    with pytest.raises(MessageError):
        decode(None, payload)


def test_a_publisher_outlives_whatever_is_subscribed_to() -> None:
    sink = PublishedSink()
    context = zmq.Context()

    @settings(FUZZ, max_examples=100)
    @given(st.lists(st.binary(max_size=3000) | st.text(max_size=50).map(str.encode), max_size=8), st.booleans())
    def attack(topics: list[bytes], as_dealer: bool) -> None:
        peer = context.socket(zmq.XSUB if as_dealer else zmq.SUB)
        peer.linger = 0
        peer.connect(sink.endpoint)
        for topic in topics:
            if as_dealer:
                peer.send(topic)
            else:
                peer.setsockopt(zmq.SUBSCRIBE, topic)
        sink.tick()
        peer.close()

    try:
        attack()
        honest = context.socket(zmq.SUB)
        honest.linger = 0
        honest.setsockopt(zmq.SUBSCRIBE, b"lpnet.v1.")
        honest.connect(sink.endpoint)
        for _ in range(400):
            sink.tick()
            if honest.poll(10):
                break
        assert honest.recv_multipart()[0] in (b"lpnet.v1.status.clip.", b"lpnet.v1.welcome.clip.")
        honest.close()
    finally:
        sink.close("interrupted")
        context.term()
