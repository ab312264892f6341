from __future__ import annotations

import threading
from collections.abc import Iterator

import msgspec
import pytest
import zmq
from published import PublishedSink

from lpnet_rt import Subscriber
from lpnet_rt.errors import SettingsError
from lpnet_rt.messages import (
    EndMessage,
    EventMessage,
    FrameMessage,
    LatencyMessage,
    Message,
    PointMessage,
    StatusMessage,
    encode,
    topic_of,
)
from lpnet_rt.subscriber import Gap, Joined, OutOfOrder, Restarted, Silence, StateChange, Unreadable

WAIT_S = 10.0


def frame(seq: int, source: str = "mast", session: str = "a") -> FrameMessage:
    return FrameMessage(
        session=session, seq=seq, source=source, frame=seq, width=8, height=8, t_capture_us=1, pts_s=None,
        t_publish_us=2, latency_ms=LatencyMessage(queue=0, prepare=0, infer=0, detect=0, total=0), dropped=0,
        model="m", detections=(),
    )  # fmt: skip


def status(seq: int | None, state: str = "live", reason: str | None = None) -> StatusMessage:
    return StatusMessage(
        session="a", source="mast", seq=seq, frames=0, dropped=0, failed=0, fps=0, detections=0, uptime_s=0,
        model="m", engine="e", t_publish_us=3, state=state, state_reason=reason, state_since_us=7,
    )  # type: ignore[arg-type]  # fmt: skip


@pytest.fixture
def publisher() -> Iterator[zmq.Socket[bytes]]:
    with zmq.Context() as context, context.socket(zmq.XPUB) as socket:
        socket.linger = 0
        socket.bind("tcp://127.0.0.1:*")
        yield socket


def connected(publisher: zmq.Socket[bytes], **options: object) -> Subscriber:
    endpoint = publisher.getsockopt_string(zmq.LAST_ENDPOINT)
    subscriber = Subscriber(endpoint, **options)  # type: ignore[arg-type]
    assert publisher.recv()[:1] == b"\x01"
    return subscriber


def send(publisher: zmq.Socket[bytes], *messages: Message) -> None:
    for message in messages:
        publisher.send_multipart((topic_of(message), encode(message)))


def events(subscriber: Subscriber, count: int) -> list[object]:
    return [subscriber.receive(WAIT_S) for _ in range(count)]


def test_gaps_starts_and_late_joining_are_events_between_the_messages(publisher: zmq.Socket[bytes]) -> None:
    sent = [frame(3), frame(4), frame(7), frame(0, session="b"), frame(0, session="b")]
    with connected(publisher) as subscriber:
        send(publisher, *sent)
        assert events(subscriber, 9) == [
            Joined("mast", 3), sent[0], sent[1],
            Gap("mast", 5, 6), sent[2],
            Restarted("mast", "b"), sent[3],
            OutOfOrder("mast", 0, 0), sent[4],
        ]  # fmt: skip
    assert Gap("mast", 5, 6).count == 2


def test_a_status_shows_a_gap_at_the_end_and_what_state_the_source_is_in(publisher: zmq.Socket[bytes]) -> None:
    sent = [frame(0), status(2), status(2, "lost", "it ended"), status(2, "lost", "it ended"), status(2)]
    with connected(publisher) as subscriber:
        send(publisher, *sent)
        assert events(subscriber, 8) == [
            sent[0], Gap("mast", 1, 2), sent[1],
            StateChange("mast", "lost", "it ended", 7), sent[2], sent[3],
            StateChange("mast", "live", None, 7), sent[4],
        ]  # fmt: skip


def test_events_and_statuses_have_numbers_and_gaps_of_their_own(publisher: zmq.Socket[bytes]) -> None:
    first, third = (msgspec.structs.replace(status(None), status_seq=number) for number in (4, 6))
    started = EventMessage(
        session="a", source="mast", event_seq=0, event="started", track=1, confirmed=False, seq=0, t_capture_us=1,
        first=PointMessage(x=1, y=1), last=PointMessage(x=1, y=1), duration_s=0, best_score=1, probability=0, chip=None,
        t_publish_us=2,
    )  # fmt: skip
    later = msgspec.structs.replace(started, event_seq=3)
    with connected(publisher) as subscriber:
        send(publisher, first, third, frame(0), started, later)
        assert events(subscriber, 7) == [
            first, Gap("mast", 5, 5, "status"), third, frame(0), started, Gap("mast", 1, 2, "event"), later,
        ]  # fmt: skip


def test_latest_only_leaves_out_frames_and_nothing_else(publisher: zmq.Socket[bytes]) -> None:
    with connected(publisher, latest_only=True) as subscriber:
        send(publisher, *(frame(seq) for seq in range(5)), status(4), frame(0, "other"), frame(5))
        assert subscriber._socket.poll(WAIT_S * 1000)
        heard: list[object] = []
        while frame(5) not in heard:
            heard.append(subscriber.receive(WAIT_S))
        assert status(4) in heard
        assert frame(0, "other") in heard
        assert not any(isinstance(event, Gap) for event in heard), "what was left out is not missed"
        assert subscriber.skipped + sum(isinstance(event, FrameMessage) for event in heard) == 7


def test_only_the_sources_that_are_asked_for_are_heard(publisher: zmq.Socket[bytes]) -> None:
    with connected(publisher, sources=["east"]) as subscriber:
        for _ in range(3):  # the other topics of the source
            publisher.recv()
        send(publisher, frame(0, "eastern"), frame(0, "west"), frame(0, "east"))
        assert events(subscriber, 1) == [frame(0, "east")]


def test_silence_is_said_once_and_ends_with_the_next_message(
    publisher: zmq.Socket[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lpnet_rt.subscriber._SILENCE_S", 0.1)
    with connected(publisher) as subscriber:
        silence = subscriber.receive(WAIT_S)
        assert isinstance(silence, Silence)
        assert silence.seconds >= 0.1
        assert subscriber.receive(0.3) is None
        send(publisher, frame(0))
        assert events(subscriber, 1) == [frame(0)]
        assert isinstance(subscriber.receive(WAIT_S), Silence)


def test_what_cannot_be_read_is_an_event_and_not_the_end(publisher: zmq.Socket[bytes]) -> None:
    with connected(publisher) as subscriber:
        publisher.send_multipart((b"lpnet.v1.det.mast.", b"{"))
        publisher.send(b"lpnet.v1.alone")
        send(publisher, frame(0))
        first, second, third = events(subscriber, 3)
    assert isinstance(first, Unreadable)
    assert "not of schema 1" in str(first.error)
    assert isinstance(second, Unreadable)
    assert "expected 2 parts" in str(second.error)
    assert third == frame(0)


def test_the_iteration_ends_when_nothing_came_in_time(publisher: zmq.Socket[bytes]) -> None:
    with connected(publisher, timeout_s=0.2) as subscriber:
        send(publisher, frame(0), frame(1))
        assert list(subscriber) == [frame(0), frame(1)]
    subscriber.close()


@pytest.mark.parametrize(("endpoints", "words"), [((), "at least one endpoint"), (("smoke://x",), "not an endpoint")])
def test_a_wrong_endpoint_is_one_clear_line(endpoints: tuple[str, ...], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        Subscriber(*endpoints)


def test_it_finds_a_publisher_that_was_started_again() -> None:
    first = PublishedSink()
    heard: list[object] = []
    with Subscriber(first.endpoint) as subscriber:
        assert first.wait_for_subscriber(WAIT_S)
        first.close()
        assert isinstance(subscriber.receive(WAIT_S), EndMessage)
        second = PublishedSink(endpoint=first.endpoint)
        waiting = threading.Thread(target=lambda: second.wait_for_subscriber(WAIT_S))
        waiting.start()
        waiting.join()
        second.close("interrupted")
        while not (heard and isinstance(heard[-1], EndMessage)):
            heard.append(subscriber.receive(WAIT_S))
    assert any(isinstance(event, Restarted) for event in heard)
    assert msgspec.structs.asdict(heard[-1])["reason"] == "interrupted"  # type: ignore[arg-type]
