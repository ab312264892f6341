import dataclasses
import json
import resource
import threading
import time
from pathlib import Path

import pytest
import zmq
from published import PublishedSink

from lpnet_rt.clock import SYSTEM_CLOCK
from lpnet_rt.errors import SinkError
from lpnet_rt.messages import EndMessage, FrameMessage, StatusMessage, WelcomeMessage, decode
from lpnet_rt.settings import PublishSettings
from lpnet_rt.sinks.jsonl import JsonlSink, LineFile
from lpnet_rt.sinks.publisher import Publisher
from lpnet_rt.sinks.zmq import ZmqSink
from lpnet_rt.sources.states import SourceCounts, SourceState, StateLog
from lpnet_rt.stamping import FrameStamper

ANY_PORT = "tcp://127.0.0.1:*"


def open_sink(clock=SYSTEM_CLOCK, stamper=None, **settings) -> PublishedSink:
    return PublishedSink(clock, stamper, **({"wait_subscriber_s": 5.0} | settings))


def read(sub):
    return decode(*sub.recv_multipart())


def read_to_end(sub):
    messages = [read(sub)]
    while not isinstance(messages[-1], EndMessage):
        messages.append(read(sub))
    return messages


def test_ten_thousand_frames_reach_a_subscriber_that_subscribed_first(make_report, subscribe):
    sink = open_sink(high_water=20_000)  # no frame rate to slow it down: the reader may fall behind by all of them
    sub = subscribe(sink.endpoint)
    assert sink.wait()
    heard = []
    reader = threading.Thread(target=lambda: heard.extend(read_to_end(sub)))
    reader.start()
    reports = [make_report(i) for i in range(16)]
    for i in range(10_000):
        sink.write(dataclasses.replace(reports[i % 16]))
    sink.close()
    reader.join(30)
    frames = [message for message in heard if isinstance(message, FrameMessage)]
    assert [frame.seq for frame in frames] == list(range(10_000))
    assert len({frame.session for frame in frames}) == 1
    assert heard[-1].last_seq == 9_999
    assert heard[-1].frames == 10_000
    assert heard[-1].reason == "end"
    assert heard[-1].session == frames[0].session


def test_a_subscriber_that_is_waited_for_hears_the_first_frame(make_report, subscribe):
    sink = open_sink()
    late = threading.Timer(0.2, lambda: subscribers.append(subscribe(sink.endpoint, b"lpnet.v1.det.clip.")))
    subscribers: list[zmq.Socket[bytes]] = []
    late.start()
    assert sink.wait()
    sink.write(make_report(0))
    late.join()
    assert read(subscribers[0]).seq == 0
    sink.close()


def test_waiting_ends_at_its_time_or_when_it_is_told_to(clock, subscribe):
    sink = open_sink(clock, wait_subscriber_s=2.0)
    started_ns = clock.monotonic_ns()
    assert not sink.wait()
    assert clock.monotonic_ns() - started_ns == pytest.approx(2e9, rel=0.01)
    started_ns = clock.monotonic_ns()
    assert not sink.wait(should_stop=lambda: True)
    assert clock.monotonic_ns() == started_ns
    sink.close()


def test_a_subscriber_of_another_source_is_not_waited_for(subscribe):
    sink = open_sink(wait_subscriber_s=0.3)
    subscribe(sink.endpoint, b"lpnet.v1.det.other.")
    assert not sink.wait()
    subscribe(sink.endpoint, b"lpnet.v1.")
    assert sink.wait()
    sink.close()


def test_status_comes_once_a_second_with_and_without_frames(clock, make_report, subscribe):
    sink = open_sink(clock, wait_subscriber_s=0.0)
    sub = subscribe(sink.endpoint, b"lpnet.v1.status.clip.")
    time_out = time.monotonic() + 5
    while not sink.publisher._socket.poll(50):
        assert time.monotonic() < time_out
    for i in range(30):
        clock.sleep(0.1)
        sink.write(make_report(i, error="no answer" if i == 4 else None, dropped=2))
    for _ in range(10):
        clock.sleep(0.1)
        sink.tick()
    sink.close()
    told = [read(sub) for _ in range(4)]
    assert all(isinstance(status, StatusMessage) for status in told)
    assert [status.seq for status in told] == [9, 19, 29, 29]
    assert [status.frames for status in told] == [10, 20, 30, 30]
    assert [status.fps for status in told] == [10, 10, 10, 0]
    assert [status.uptime_s for status in told] == [1, 2, 3, 4]
    assert (told[-1].failed, told[-1].dropped, told[-1].detections) == (1, 2, 29)
    assert (told[-1].model, told[-1].engine) == ("lpnet-rt", "openvino bf16")
    with pytest.raises(zmq.Again):
        sub.recv_multipart(zmq.NOBLOCK)


def test_an_unread_subscriber_neither_blocks_nor_grows_and_sees_a_gap(make_report, subscribe):
    sink = open_sink(high_water=100)
    sub = subscribe(sink.endpoint, high_water=1)
    assert sink.wait()
    pair = [make_report(i, error="x" * 400) for i in range(2)]
    sink.write(pair[1])
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    slowest_s = 0.0
    for i in range(40_000):
        started = time.perf_counter()
        sink.write(dataclasses.replace(pair[i % 2]))  # one report is one message
        slowest_s = max(slowest_s, time.perf_counter() - started)
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib) / 1024
    assert slowest_s < 1.0
    assert grown_mib < 15, "40,000 messages of 700 bytes are 27 MiB"
    started = time.perf_counter()
    sink.close("interrupted")
    assert time.perf_counter() - started < 0.9
    seqs = []
    while sub.poll(200):
        message = read(sub)
        seqs += [message.seq] if isinstance(message, FrameMessage) else []
    assert seqs == sorted(set(seqs))
    assert 0 < len(seqs) < 40_001


def test_end_of_stream_frees_the_port_and_tells_why(make_report, subscribe):
    sink = open_sink()
    sub = subscribe(sink.endpoint)
    assert sink.wait()
    sink.write(make_report(0))
    sink.close("error: the disk is full")
    sink.close()
    assert read_to_end(sub)[-1].reason == "error: the disk is full"
    with pytest.raises(SinkError, match="closed"):
        sink.write(make_report(1))
    sink.tick()
    again = open_sink(endpoint=sink.endpoint)
    again.close()


def test_the_end_of_a_stream_without_frames_has_no_last_seq(subscribe):
    sink = open_sink()
    sub = subscribe(sink.endpoint)
    assert sink.wait()
    sink.close()
    assert read_to_end(sub)[-1].last_seq is None


def test_a_port_in_use_is_one_clear_line():
    first = open_sink()
    with pytest.raises(SinkError, match=r"in use by another program; .*--no-publish") as caught:
        open_sink(endpoint=first.endpoint)
    assert first.endpoint in str(caught.value)
    first.close()


@pytest.mark.parametrize(
    "endpoint",
    ["", "5556", "tcp://", "tcp://127.0.0.1:70000", "tcp://192.0.2.1:5556", "smoke://x", "ipc:///no/where/s"],
)
def test_a_bad_endpoint_is_one_clear_line(endpoint):
    with pytest.raises(SinkError, match=r"^publish: ") as caught:
        open_sink(endpoint=endpoint)
    assert "\n" not in str(caught.value)


def test_an_ipc_path_in_use_is_refused_and_a_file_is_left_alone(tmp_path: Path):
    first = open_sink(endpoint=f"ipc://{tmp_path}/s")
    with pytest.raises(SinkError, match="in use"):
        open_sink(endpoint=f"ipc://{tmp_path}/s")
    first.close()
    (tmp_path / "notes.txt").write_text("keep me")
    with pytest.raises(SinkError, match="found a file"):
        open_sink(endpoint=f"ipc://{tmp_path}/notes.txt")
    assert (tmp_path / "notes.txt").read_text() == "keep me"


def test_by_default_nothing_outside_this_machine_can_connect():
    assert PublishSettings().endpoint.startswith("tcp://127.0.0.1:")


def test_a_line_of_the_file_is_the_object_on_the_wire(tmp_path: Path, make_report, subscribe):
    stamper = FrameStamper("lpnet-rt", SYSTEM_CLOCK)
    sink, lines = open_sink(stamper=stamper), JsonlSink(LineFile(str(tmp_path / "out.jsonl")), stamper)
    sub = subscribe(sink.endpoint)
    assert sink.wait()
    for i in range(3):
        report = make_report(i)
        sink.write(report)
        lines.write(report)
    sink.close()
    lines.close()
    wire = [payload for topic, payload in (sub.recv_multipart() for _ in range(4)) if b".det." in topic]
    assert (tmp_path / "out.jsonl").read_bytes().splitlines() == wire
    assert [json.loads(line)["seq"] for line in wire] == [0, 1, 2]


def test_two_sources_share_one_socket_and_have_numbers_of_their_own(make_report, subscribe):
    publisher = Publisher(PublishSettings(endpoint=ANY_PORT))
    stampers = [FrameStamper("lpnet-rt", SYSTEM_CLOCK) for _ in range(2)]
    east, west = (
        ZmqSink(publisher, name, "e", SYSTEM_CLOCK, stamper)
        for name, stamper in zip(("east", "west"), stampers, strict=True)
    )
    everything, only_west = subscribe(publisher.endpoint), subscribe(publisher.endpoint, b"lpnet.v1.det.west.")
    assert east.wait_for_subscriber(5.0)
    assert west.wait_for_subscriber(5.0)
    while not publisher.has_subscriber(b"lpnet.v1.end.east."):
        east.tick()
    for index in range(3):
        east.write(make_report(index, source="east"))
    west.write(make_report(7, source="west"))
    east.close("error: the camera fell off")
    west.write(make_report(8, source="west"))
    west.close()
    publisher.close()
    heard = [message for message in (read(everything) for _ in range(9)) if not isinstance(message, WelcomeMessage)]
    assert [(m.source, m.seq) for m in heard if isinstance(m, FrameMessage)] == [
        ("east", 0), ("east", 1), ("east", 2), ("west", 0), ("west", 1),
    ]  # fmt: skip
    assert [(m.source, m.last_seq, m.reason) for m in heard if isinstance(m, EndMessage)] == [
        ("east", 2, "error: the camera fell off"), ("west", 1, "end"),
    ]  # fmt: skip
    assert len({m.session for m in heard}) == 2
    assert [read(only_west).frame for _ in range(2)] == [7, 8]


def test_whoever_subscribes_is_welcomed_also_where_others_are_subscribed(clock, make_report, subscribe):
    sink = open_sink(clock)
    first = subscribe(sink.endpoint, b"lpnet.v1.welcome.")
    assert welcomed(sink, first, clock).seq is None
    sink.write(make_report(0))
    second = subscribe(sink.endpoint, b"lpnet.v1.welcome.clip.")
    assert welcomed(sink, second, clock).seq == 0
    third = subscribe(sink.endpoint, b"lpnet.v1.welcome.clip.")
    message = welcomed(sink, third, clock)
    assert (message.v, message.source, message.state) == (1, "clip", "live")
    assert message.software.startswith("lpnet-rt ")
    sink.close()


def welcomed(sink, sub, clock) -> WelcomeMessage:
    ends_at = time.monotonic() + 5
    while not sub.poll(1) and time.monotonic() < ends_at:
        clock.sleep(0.01)
        sink.tick()
    return read(sub)


def test_every_change_of_state_is_published_at_once(clock, subscribe):
    log, publisher = StateLog(), Publisher(PublishSettings(endpoint=ANY_PORT))
    sink = ZmqSink(publisher, "clip", "e", clock, FrameStamper("lpnet-rt", clock, "cold"), log)
    sub = subscribe(publisher.endpoint, b"lpnet.v1.status.")
    while not publisher.has_subscriber(b"lpnet.v1.status.clip."):
        sink.tick()
    log.add(SourceState("lost", "rtsp://user:s3cret@camera/: it ended", 5, 5))
    log.add(SourceState("live", None, 9, 9, reconnects=1, epoch=2))
    log.read_counts = lambda: SourceCounts(delivered=9, left_out=3, corrupt_packets=4)
    sink.tick()
    lost, live = read(sub), read(sub)
    assert (lost.state, lost.state_since_us, lost.status_seq) == ("lost", 5, 0)
    assert "s3cret" not in lost.state_reason
    assert (live.state, live.state_reason, live.reconnects, live.epoch, live.status_seq) == ("live", None, 1, 2, 1)
    assert (live.left_out, live.corrupt_packets, live.late) == (3, 4, 0)
    assert (live.polarity, live.picture_notes) == ("cold", ())
    log.notes = ("false-colour",)
    clock.sleep(1.0)
    sink.tick()
    later = read(sub)
    assert later.state == "live", "the state was forgotten"
    assert later.picture_notes == ("false-colour",)
    sink.close()
    publisher.close()
