import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import zmq
from published import PublishedSink

from lpnet_rt.detections import Detections, detect
from lpnet_rt.errors import SettingsError, SourceError
from lpnet_rt.frames import Frame
from lpnet_rt.listen import listen
from lpnet_rt.messages import EndMessage, Message, StatusMessage, encode, topic_of
from lpnet_rt.reports import Latency, Report
from lpnet_rt.stamping import frame_message

EXAMPLE = Path(__file__).parent.parent / "docs" / "examples" / "subscriber.py"


def report(index: int, blobs: int = 1, error: str | None = None, dropped: int = 0) -> Report:
    image = np.full((48, 64), 40, np.uint8)
    scores = np.zeros((48, 64), np.float32)
    for i in range(blobs):
        scores[10 + 5 * i : 13 + 5 * i, 20:23] = 0.9
    found = detect(scores, image, 0.5) if blobs else Detections.empty()
    frame = Frame(image, index, "clip", index / 10, 0, 0, dropped=dropped)
    return Report(frame, found, Latency(0, 0, 0, 0, 7.25), scores, error)


def frame(seq: int, session: str = "a", **changes: object) -> Message:
    return frame_message(report(seq, **changes), session, seq, "lpnet-rt", 1)


def status(seq: int | None, session: str = "a") -> Message:
    numbers = {"frames": 10, "dropped": 1, "failed": 2, "fps": 29.97, "detections": 3, "uptime_s": 4.0}
    return StatusMessage(
        session=session, source="clip", seq=seq, model="lpnet-rt", engine="openvino bf16", t_publish_us=1, **numbers
    )


def end(last_seq: int | None, session: str = "a") -> Message:
    return EndMessage(session=session, source="clip", last_seq=last_seq, frames=7, reason="interrupted", t_publish_us=1)


@pytest.fixture
def publisher() -> Iterator[zmq.Socket[bytes]]:
    context = zmq.Context()
    socket = context.socket(zmq.XPUB)
    socket.bind("tcp://127.0.0.1:*")
    yield socket
    socket.close(linger=0)
    context.term()


def heard(
    publisher: zmq.Socket[bytes], sent: list[Message | list[bytes]], **arguments: object
) -> tuple[int, list[str]]:
    """What ``listen`` prints of what is sent once it has subscribed."""
    out = io.StringIO()
    codes: list[int] = []
    endpoint = publisher.getsockopt_string(zmq.LAST_ENDPOINT)
    work: Callable[[], None] = lambda: codes.append(listen(endpoint, out=out, **({"timeout_s": 0.3} | arguments)))  # noqa: E731
    listener = threading.Thread(target=work)
    listener.start()
    assert publisher.recv() == b"\x01lpnet.v1."
    for message in sent:
        publisher.send_multipart(message if isinstance(message, list) else [topic_of(message), encode(message)])
    listener.join(10)
    return codes[0], out.getvalue().splitlines()


def test_it_prints_a_line_for_everything_that_comes(publisher) -> None:
    sent = [frame(0), frame(1, blobs=0, dropped=3), frame(2, blobs=6), frame(3, error="no answer"), status(3), end(3)]
    code, lines = heard(publisher, sent)
    assert code == 0
    assert lines == [
        "clip  frame 0  0.000 s  7.2 ms  1 detection  (21.0, 11.0) 0.90",
        "clip  frame 1  0.100 s  7.2 ms  0 detections  dropped 3",
        "clip  frame 2  0.200 s  7.2 ms  6 detections  (21.0, 11.0) 0.90  (21.0, 16.0) 0.90  (21.0, 21.0) 0.90  "
        "(21.0, 26.0) 0.90  and 2 more",
        "clip  frame 3  failed: no answer",
        "clip  status: 10 frames, 30.0 fps, 3 detections, 1 dropped, 2 failed, lpnet-rt on openvino bf16",
        "clip  end of stream after 7 frames: interrupted",
    ]


@pytest.mark.parametrize(
    ("sent", "notes"),
    [
        ([frame(0), frame(1), status(1), end(1)], []),
        ([status(None), frame(0)], []),
        ([frame(5), frame(6)], ["clip: joined at seq 5; what came before was not heard"]),
        ([status(4), frame(5)], ["clip: joined at seq 5; what came before was not heard"]),
        ([frame(0), frame(4), frame(5)], ["clip: 3 frames missed, seq 1 to 3"]),
        ([frame(0), status(2), frame(3)], ["clip: 2 frames missed, seq 1 to 2"]),
        ([frame(0), end(1)], ["clip: 1 frame missed, seq 1 to 1"]),
        ([frame(0), frame(0, "b"), frame(1, "b")], ["clip: the publisher has started again, session b"]),
        (
            [frame(9), frame(2, "b"), frame(3, "b")],
            [
                "clip: joined at seq 9; what came before was not heard",
                "clip: the publisher has started again, session b",
                "clip: 2 frames missed, seq 0 to 1",
            ],
        ),
        (
            [frame(0), frame(1), frame(1), frame(2)],
            ["clip: seq 1 came after seq 1: two publishers may share this name"],
        ),
    ],
)
def test_it_says_what_was_missed(publisher, sent, notes) -> None:
    _, lines = heard(publisher, sent)
    assert [line for line in lines if line.startswith("clip: ")] == notes


def test_it_stops_after_the_count(publisher) -> None:
    code, lines = heard(publisher, [frame(0), status(0), frame(1), frame(2)], count=2, timeout_s=5.0)
    assert code == 0
    assert len(lines) == 3


def test_silence_is_an_error_if_nothing_came_at_all() -> None:
    with pytest.raises(SourceError, match=r"^listen: tcp://127.0.0.1:1: expected messages, found none within 0.1 s"):
        listen("tcp://127.0.0.1:1", timeout_s=0.1)
    assert SourceError.exit_code == 3


def test_json_is_printed_as_it_came_and_notes_go_to_stderr(publisher, capsys) -> None:
    sent = [frame(0), frame(3), end(3)]
    _, lines = heard(publisher, sent, as_json=True)
    assert [line.encode() for line in lines] == [encode(message) for message in sent]
    assert json.loads(lines[0])["seq"] == 0
    assert capsys.readouterr().err == "clip: 2 frames missed, seq 1 to 2\n"


def test_json_lines_hold_nothing_that_acts_on_a_terminal(publisher) -> None:
    payload = encode(frame(0)).replace(b'"error":null', '"error":"\u009b31m \u202egpj \x7f é\u2028"'.encode())
    spread = payload.replace(b",", b",\n")
    _, lines = heard(publisher, [[topic_of(frame(0)), p] for p in (payload, spread)], as_json=True)
    assert len(lines) == 2
    assert all(line.isascii() and line.isprintable() for line in lines)
    assert [json.loads(line) for line in lines] == [json.loads(payload)] * 2


@pytest.mark.parametrize("extra", ["1e999", "9" * 5000, "[" * 900 + "]" * 900])
def test_json_that_cannot_be_written_again_is_passed_over(publisher, capsys, extra) -> None:
    odd = encode(frame(0))[:-1] + f',"more":{extra}}}'.encode()
    _, lines = heard(publisher, [[topic_of(frame(0)), odd], frame(1)], as_json=True)
    assert json.loads(lines[-1])["seq"] == 1
    assert all(json.loads(line, parse_constant=pytest.fail) for line in lines)


def test_messages_that_are_far_too_large_are_not_taken(publisher) -> None:
    endpoint = publisher.getsockopt_string(zmq.LAST_ENDPOINT)
    large = [b"lpnet.v1.det.clip.", bytes(3 * 2**20)]
    sender = threading.Thread(target=lambda: (publisher.recv(), publisher.send_multipart(large)))
    sender.start()
    with pytest.raises(SourceError, match="found none within"):
        listen(endpoint, out=io.StringIO(), timeout_s=1.0)
    sender.join(10)


def test_rubbish_is_named_and_passed_over(publisher) -> None:
    topic = b"lpnet.v1.det.clip."
    sent = [[topic, b"{"], [topic], [topic, b'{"v":2}'], [b"lpnet.v1.x", encode(frame(0))], frame(0)]
    _, lines = heard(publisher, sent)
    assert len(lines) == 5
    assert all(line.startswith("not understood: message: ") for line in lines[:4])
    assert lines[4].startswith("clip  frame 0")


def test_nothing_that_comes_can_steer_the_terminal(publisher) -> None:
    _, lines = heard(publisher, [frame(0, error="\x1b[2J gone"), frame(0, "\x1b[31m")])
    assert "\x1b" not in "".join(lines)


def test_it_hears_a_whole_run_of_the_publisher() -> None:
    sink = PublishedSink(wait_subscriber_s=5.0)
    out = io.StringIO()
    listener = threading.Thread(target=lambda: listen(sink.endpoint, timeout_s=0.3, out=out))
    listener.start()
    assert sink.wait()
    for i in range(300):
        sink.write(report(i))
    sink.close()
    listener.join(10)
    lines = out.getvalue().splitlines()
    assert sum("  frame " in line for line in lines) == 300
    assert lines[-1] == "clip  end of stream after 300 frames: end"
    assert not [line for line in lines if line.startswith("clip: ")]


@pytest.mark.parametrize(
    ("endpoint", "arguments"),
    [
        ("5556", {}),
        ("tcp://", {}),
        ("smoke://x", {}),
        ("tcp://127.0.0.1:5556", {"count": 0}),
        ("tcp://a:1", {"timeout_s": 0}),
    ],
)
def test_a_bad_argument_is_one_clear_line(endpoint, arguments) -> None:
    with pytest.raises(SettingsError, match=r"^listen: .*expected"):
        listen(endpoint, **arguments)


def test_the_example_subscriber_hears_every_frame_and_stops_at_the_end() -> None:
    sink = PublishedSink(wait_subscriber_s=10.0)
    example = subprocess.Popen([sys.executable, str(EXAMPLE), sink.endpoint], stdout=subprocess.PIPE, text=True)
    assert sink.wait()
    for i in range(300):
        sink.write(report(i))
    sink.close()
    out, _ = example.communicate(timeout=20)
    lines = out.splitlines()
    assert example.returncode == 0
    assert lines[0] == "frame 0: (21.0, 11.0) score 0.90"
    assert len(lines) == 301
    assert lines[-1] == "clip: end, 300 frames received, 0 missed"
    assert len(EXAMPLE.read_text().splitlines()) <= 35


def example(publisher: zmq.Socket[bytes], sent: list[Message], seconds: str = "20") -> tuple[int, list[str], str]:
    """Exit code, lines and last words of the example that is sent some messages."""
    endpoint = publisher.getsockopt_string(zmq.LAST_ENDPOINT)
    command = [sys.executable, str(EXAMPLE), endpoint, seconds]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert publisher.recv() == b"\x01lpnet.v1."
        for message in sent:
            publisher.send_multipart([topic_of(message), encode(message)])
        out, err = process.communicate(timeout=30)
    return process.returncode, out.splitlines(), err


@pytest.mark.parametrize(
    ("sent", "missed", "joined"),
    [
        ([frame(82), frame(83), end(83)], 0, ["clip: joined at seq 82"]),
        ([status(81), frame(82), end(82)], 0, ["clip: joined at seq 82"]),
        ([frame(0), frame(3), end(4)], 3, []),
        ([frame(7), frame(0, "b"), end(0, "b")], 0, ["clip: joined at seq 7"]),
        ([frame(7), frame(2, "b"), end(2, "b")], 2, ["clip: joined at seq 7"]),
        ([status(None), end(None)], 0, []),
    ],
)
def test_the_example_counts_what_it_missed_and_no_late_joining(publisher, sent, missed, joined) -> None:
    code, lines, _ = example(publisher, sent)
    assert code == 0
    assert lines[-1].endswith(f" {missed} missed")
    assert [line for line in lines if "joined" in line] == joined


def test_the_example_gives_up_when_nothing_comes(publisher) -> None:
    code, lines, err = example(publisher, [], "0.3")
    assert (code, lines) == (1, [])
    assert "nothing came from" in err


def test_ctrl_c_ends_it_cleanly(publisher) -> None:
    endpoint = publisher.getsockopt_string(zmq.LAST_ENDPOINT)
    script = f"import sys; from lpnet_rt.listen import listen; sys.exit(listen({endpoint!r}))"
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    publisher.recv()
    publisher.send_multipart([topic_of(frame(0)), encode(frame(0))])
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"clip  frame 0")
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (0, b"")
