"""SAPIENT, read by the models of sapient-pydantic, which check what BSI Flex 335 v2.0 requires."""

from __future__ import annotations

import logging
import socket
import struct
import time
from collections.abc import Callable, Iterator
from uuid import UUID

import pytest
from sapient_msg.bsi_flex_335_v2_0.sapient_message_pb2 import SapientMessage
from sapient_msg_pydantic.bsi_flex_335_v2_0.sapient_message import SapientMessage as CheckedMessage
from stepped_clock import SteppedClock
from tracked_reports import CAMERA, event, sink_for, tracked
from ulid import ULID

from lpnet_rt.clock import SYSTEM_CLOCK, Clock
from lpnet_rt.errors import SettingsError
from lpnet_rt.outputs.opening import open_peers
from lpnet_rt.outputs.outbox import OutboxLimits
from lpnet_rt.outputs.peer import Peer
from lpnet_rt.outputs.sapient import SapientLink, framed
from lpnet_rt.outputs.sapient_messages import SapientWriter, node_id
from lpnet_rt.outputs.sink import PeerSink, Wishes
from lpnet_rt.settings import SapientSettings, Settings
from lpnet_rt.sources.states import SourceState, StateLog

NODE = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
FUSION = "00000000-0000-4000-8000-000000000001"
WAIT_S = 10.0


class FusionNode:
    """A fusion node of one connection, which checks all that it gets."""

    def __init__(self, port: int = 0) -> None:
        self.server = socket.create_server(("127.0.0.1", port))
        self.port = self.server.getsockname()[1]
        self.connection: socket.socket | None = None
        self._bytes = b""

    def accept(self) -> None:
        if self.connection is not None:
            self.connection.close()
        self._bytes = b""
        self.server.settimeout(WAIT_S)
        self.connection, _ = self.server.accept()

    def messages(self) -> list[SapientMessage]:
        """What has come; every message is whole, and valid by the standard."""
        assert self.connection is not None
        self.connection.settimeout(0.05)
        try:
            while payload := self.connection.recv(65_536):
                self._bytes += payload
        except (TimeoutError, ConnectionError):
            pass
        found = []
        while len(self._bytes) >= 4:
            (size,) = struct.unpack_from("<I", self._bytes)
            assert len(self._bytes) >= 4 + size, "a message that is not whole"
            message = SapientMessage.FromString(self._bytes[4 : 4 + size])
            self._bytes = self._bytes[4 + size :]
            assert CheckedMessage.from_pb2(message).to_pb2() == message
            assert message.node_id == NODE
            found.append(message)
        return found

    def send(self, **content: object) -> None:
        assert self.connection is not None
        message = SapientMessage(node_id=FUSION, **content)  # type: ignore[arg-type]
        message.timestamp.GetCurrentTime()
        self.connection.sendall(framed(message))

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
        self.server.close()


@pytest.fixture
def fusion() -> Iterator[FusionNode]:
    node = FusionNode()
    yield node
    node.close()


def sapient_peer(port: int, clock: Clock = SYSTEM_CLOCK, log: StateLog | None = None) -> tuple[Peer, PeerSink]:
    settings = SapientSettings(host="127.0.0.1", port=port, node_id=UUID(NODE))
    writer = SapientWriter(settings, "north", CAMERA, node_id(settings, "north", False), clock)
    peer = Peer(SapientLink(settings, "north", writer, clock), OutboxLimits(keep_s=5.0), clock)
    return peer, sink_for([peer], Wishes(("ended",), 1.0, 1.0), clock, log)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


def registered(fusion: FusionNode, peer: Peer) -> SapientMessage:
    """Start a peer and accept its registration."""
    peer.start()
    fusion.accept()
    (registration,) = fusion.messages()
    fusion.send(registration_ack={"acceptance": True})
    return registration


def stop(peer: Peer) -> None:
    peer.stop()
    peer.join(WAIT_S)


def test_it_registers_and_reports_status_and_detections(fusion: FusionNode) -> None:
    log = StateLog()
    peer, sink = sapient_peer(fusion.port, log=log)
    registration = registered(fusion, peer).registration
    assert registration.icd_version == "BSI Flex 335 v2.0"
    assert registration.node_definition[0].node_type == 4  # camera
    assert registration.status_definition.status_interval.value == 1.0
    sink.write(tracked(0, camera=CAMERA))
    until(lambda: peer.counts.sent == 2)
    sink.write(tracked(1, ids=(), events=[event("ended")], camera=CAMERA))
    log.add(SourceState("lost", "silent", 5, 5))
    sink.tick()
    until(lambda: peer.counts.waiting == 0)
    sink.close()
    stop(peer)
    messages = fusion.messages()
    seen, last = (m.detection_report for m in messages if m.HasField("detection_report"))
    assert seen.range_bearing.azimuth == pytest.approx(90.0, abs=0.5)
    assert 0.05 < seen.range_bearing.azimuth_error < 0.5
    assert not seen.range_bearing.HasField("range")
    assert seen.detection_confidence == pytest.approx(0.97)
    assert seen.classification[0].type == "Unknown"
    assert (seen.object_id, seen.state, last.state) == (last.object_id, "", "lost")
    assert ULID.from_str(seen.report_id) != ULID.from_str(last.report_id)
    statuses = [m.status_report for m in messages if m.HasField("status_report")]
    assert [status.system for status in statuses][-2:] == [3, 5]  # an error, goodbye
    first = statuses[0]
    assert (first.node_location.y, first.node_location.x, first.node_location.z) == (50.0, 8.0, 150.0)
    view = first.field_of_view.range_bearing
    assert (view.azimuth, view.horizontal_extent) == (90.0, pytest.approx(10.0))
    assert view.vertical_extent == pytest.approx(7.5, abs=0.1)


def test_tasks_are_rejected_and_errors_are_logged(fusion: FusionNode, caplog: pytest.LogCaptureFixture) -> None:
    peer, _ = sapient_peer(fusion.port)
    registered(fusion, peer)
    task = str(ULID())
    fusion.send(task={"task_id": task, "control": 1})
    fusion.send(error={"packet": b"x", "error_message": ["no such class\n\x1b[31m", "again"]})
    fusion.send(error={"packet": b"x", "error_message": ["once more"]})
    until(lambda: "no such class" in caplog.text)
    answers = fusion.messages()
    assert (answers[0].task_ack.task_id, answers[0].task_ack.task_status) == (task, 2)
    assert answers[0].destination_id == FUSION
    stop(peer)
    complaints = [record.message for record in caplog.records if "reports an error" in record.message]
    assert len(complaints) == 1
    assert "\x1b" not in complaints[0]


def test_a_rejected_registration_is_tried_again(fusion: FusionNode, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    peer, sink = sapient_peer(fusion.port)
    sink.write(tracked(0, camera=CAMERA))
    peer.start()
    fusion.accept()
    fusion.send(registration_ack={"acceptance": False, "ack_response_reason": ["unknown node"]})
    until(lambda: "rejects the registration: unknown node" in caplog.text)
    fusion.accept()
    fusion.messages()
    fusion.send(registration_ack={"acceptance": True})
    until(lambda: peer.counts.connects == 1)
    stop(peer)
    assert peer.counts.connects == 1


@pytest.mark.parametrize("payload", [b"\xff\xff\xff\xff", struct.pack("<I", 3) + b"\xff\xff\xff", b"HTTP/1.1 400"])
def test_what_is_no_sapient_node_is_left(fusion: FusionNode, payload: bytes, caplog: pytest.LogCaptureFixture) -> None:
    peer, _ = sapient_peer(fusion.port)
    peer.start()
    fusion.accept()
    assert fusion.connection is not None
    fusion.connection.sendall(payload)
    until(lambda: "it sends" in caplog.text)
    peer.stop()
    fusion.close()
    peer.join(WAIT_S)


def test_a_node_that_is_away_for_five_minutes_gets_what_is_true_now(
    clock: SteppedClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    peer, sink = sapient_peer(port, clock)
    report = tracked(0, camera=CAMERA)
    for _ in range(300):
        sink.write(report)
        peer.step()
        clock.sleep(1.0)
    assert peer.counts.waiting <= 2  # the latest status and the latest place of the track
    fusion = FusionNode(port)
    clock.sleep(30.0)
    sink.write(report)
    peer.start()
    fusion.accept()
    fusion.messages()
    fusion.send(registration_ack={"acceptance": True})
    until(lambda: peer.counts.sent == 2)
    kinds = sorted(message.WhichOneof("content") or "" for message in fusion.messages())
    assert kinds == ["detection_report", "status_report"]
    clock.sleep(2.0)
    until(lambda: not peer.counts.is_away)
    stop(peer)
    fusion.close()
    lines = [record.message for record in caplog.records]
    assert ["away" in lines[0], "back" in lines[1], len(lines)] == [True, True, 2]


def test_without_a_camera_or_tracks_the_table_is_refused() -> None:
    settings = Settings(sapient=SapientSettings(host="127.0.0.1", port=1))
    with pytest.raises(SettingsError, match=r"sapient: expected a \[\[camera\]\] for north, found none"):
        open_peers(settings, ["north"], SYSTEM_CLOCK)


def test_every_source_has_a_node_of_its_own_that_stays_the_same() -> None:
    settings = SapientSettings(host="127.0.0.1", port=1)
    ids = [node_id(settings, source, True) for source in ("north", "south", "north")]
    assert ids[0] == ids[2] != ids[1]
    own = SapientSettings(host="127.0.0.1", port=1, node_id=UUID(NODE))
    assert node_id(own, "north", False) == NODE
