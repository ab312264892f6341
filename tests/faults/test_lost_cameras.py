"""Cameras that go and come back: each kind of end, and how long it takes until frames come again.

A camera is back once its process is ready; three seconds later frames must come. The first of them waits for the next
attempt (a second at most), the handshake, and FFmpeg's look at the stream.
"""

from __future__ import annotations

import http.server
import itertools
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from peers import LossyRelay, Peer, Reader, free_port

from lpnet_rt import Subscriber
from lpnet_rt.messages import StatusMessage

_BACK_S = 3.0

Read = Callable[..., Reader]


def _url(camera: Peer) -> str:
    return f"rtsp://127.0.0.1:{camera.port}/cam"


def _check_order(reader: Reader) -> None:
    """Whatever happened, the frames are those of one source."""
    frames = [frame for _, frame in reader.frames]
    indices = [frame.index for frame in frames]
    assert indices == sorted(set(indices))
    for before, after in itertools.pairwise(frames):
        assert after.dropped >= before.dropped
        assert after.epoch >= before.epoch
        assert after.reconnects >= before.reconnects
    assert frames[-1].index == len(frames) - 1 + frames[-1].dropped


@pytest.mark.slow
def test_a_camera_that_is_killed_and_started_again(rtsp_camera: Peer, read: Read) -> None:
    rtsp_camera.start()
    reader = read(_url(rtsp_camera))
    reader.frames_after(0)
    for outage in (1, 2):
        rtsp_camera.kill()
        reader.wait(lambda: reader.state == "lost", 3.0)
        back_s = rtsp_camera.start()
        first_s, frame = reader.frames_after(back_s)[0]
        assert first_s - back_s < _BACK_S
        assert frame.reconnects == outage == reader.source.state.reconnects
        assert frame.epoch == 0
        assert reader.state == "live"
    _check_order(reader)


@pytest.mark.slow
def test_a_camera_that_hangs_and_goes_on(rtsp_camera: Peer, read: Read) -> None:
    rtsp_camera.start()
    reader = read(_url(rtsp_camera))
    reader.frames_after(0)
    for hang_s in (4.0, 14.0):
        rtsp_camera.stop()
        stopped_s = time.monotonic()
        reader.wait(lambda: reader.state == "lost", 4.0)
        assert "no frame came for 2.5 s" in (reader.source.state.reason or "")
        time.sleep(stopped_s + hang_s - time.monotonic())
        back_s = rtsp_camera.go_on()
        assert reader.frames_after(back_s)[0][0] - back_s < _BACK_S
    _check_order(reader)


@pytest.mark.slow
def test_a_camera_with_other_pictures_after_a_restart(rtsp_camera: Peer, read: Read) -> None:
    rtsp_camera.start(320, 256)
    reader = read(_url(rtsp_camera))
    reader.frames_after(0)
    rtsp_camera.kill()
    reader.wait(lambda: reader.state == "lost", 3.0)
    back_s = rtsp_camera.start(640, 480)
    frames = [frame for _, frame in reader.frames_after(back_s)]
    assert {(frame.size_hw, frame.epoch) for frame in frames} == {((480, 640), 1)}
    assert reader.source.state.epoch == 1
    _check_order(reader)


@pytest.mark.slow
def test_a_camera_that_is_there_late_and_a_port_that_talks_nonsense_before(rtsp_camera: Peer, read: Read) -> None:
    with socket.create_server(("127.0.0.1", rtsp_camera.port)) as server:
        talking = threading.Thread(target=_talk_nonsense, args=(server,))
        talking.start()
        reader = read(_url(rtsp_camera))
        reader.wait(lambda: reader.source.state.reason is not None)
        assert reader.state == "connecting"
        time.sleep(1.0)
        server.shutdown(socket.SHUT_RDWR)
        talking.join()
    reader.wait(lambda: "refused" in (reader.source.state.reason or ""))
    back_s = rtsp_camera.start()
    assert reader.frames_after(back_s)[0][0] - back_s < _BACK_S
    assert [state.state for state in reader.states if state.state != "connecting"] == ["live"]


def _talk_nonsense(server: socket.socket) -> None:
    while True:
        try:
            peer, _ = server.accept()
        except OSError:
            return
        with peer:
            peer.sendall(np.random.default_rng(0).bytes(4096))


@pytest.mark.slow
def test_the_senders_clock(rtsp_camera: Peer, read: Read) -> None:
    rtsp_camera.start()
    reader = read(_url(rtsp_camera))
    reader.wait(lambda: reader.frames and reader.frames[-1][1].clock == "sender")
    reader.frames_after(time.monotonic(), 20)
    late_us = time.time_ns() // 1000 - reader.frames[-1][1].t_capture_us
    frames = [frame for _, frame in reader.frames if frame.clock == "sender"]
    steps_us = np.diff([frame.t_capture_us for frame in frames])
    assert np.median(steps_us) == pytest.approx(40_000, abs=2_000)
    assert 0 < late_us < 500_000


@pytest.mark.slow
def test_a_sender_that_stops_and_is_started_again(udp_camera: Peer, read: Read) -> None:
    udp_camera.start()
    reader = read(f"udp://127.0.0.1:{udp_camera.port}")
    reader.frames_after(0)
    udp_camera.kill()
    reader.wait(lambda: reader.state == "lost", 5.0)
    back_s = udp_camera.start(160, 128)
    first_s, frame = reader.frames_after(back_s)[0]
    assert first_s - back_s < _BACK_S
    assert (frame.epoch, frame.size_hw, frame.clock) == (1, (128, 160), "arrival")
    _check_order(reader)


@pytest.mark.slow
def test_packets_that_are_lost_and_damaged_on_the_way(udp_camera: Peer, read: Read) -> None:
    reader = read(f"udp://127.0.0.1:{free_port()}")
    url_port = int(reader.source.name.rpartition("-")[2])
    relay = LossyRelay(url_port, lost=0.02, damaged=0.02)
    udp_camera.port = relay.port
    try:
        udp_camera.start()
        reader.wait(lambda: len(reader.frames) >= 150, 40.0)
        assert reader.state == "live"
    finally:
        relay.close()
    reader.close()
    frames = [frame for _, frame in reader.frames]
    counts = reader.source.counts
    assert counts.corrupt_packets > 0
    assert counts.damaged == sum(frame.damage is not None for frame in frames)
    assert 0 < counts.damaged < counts.delivered, "no picture was marked, or every one"
    _check_order(reader)


@pytest.mark.parametrize(
    ("host", "reason"),
    [("127.0.0.1", "connection refused"), ("no-such-camera.invalid", "name|resolution")],
)
def test_a_camera_that_is_never_there(read: Read, host: str, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    reader = read(f"rtsp://user:s3cret@{host}:{free_port()}/cam")
    reader.wait(lambda: reader.source.state.reason is not None)
    time.sleep(0.5)
    assert reader.close() < 1.0
    state = reader.source.state
    assert state.state == "connecting"
    assert any(word in (state.reason or "") for word in reason.split("|")), state.reason
    assert (state.reconnects, reader.frames) == (0, [])
    logged = [record.getMessage() for record in caplog.records if record.name == "lpnet_rt.sources"]
    assert len(logged) == 1
    assert f"{host}" in logged[0]
    assert "s3cret" not in logged[0] + str(reader.states)


def test_a_run_says_what_it_waits_for_and_ends_by_a_signal() -> None:
    command = [sys.executable, "-m", "lpnet_rt", "--source", f"rtsp://u:s3cret@127.0.0.1:{free_port()}/cam"]
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    command += ["--publish", endpoint, "--quiet", "--engine", "onnxruntime"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run, Subscriber(endpoint) as subscriber:
        try:
            assert run.stderr is not None
            said = run.stderr.readline()
            status = next(event for event in subscriber if isinstance(event, StatusMessage))
            assert status.state == "connecting"
            run.send_signal(signal.SIGINT)
            rest = run.stderr.read()
            assert run.wait(10) == 130
        finally:
            run.kill()
    assert "connecting: cannot open the stream: connection refused; waiting for it" in said
    assert "s3cret" not in said + rest
    assert "the run ended while it was connecting: cannot open the stream: connection refused" in rest
    assert rest.count("connecting") == 1


class _MotionJpeg(http.server.BaseHTTPRequestHandler):
    """Pictures as a web camera sends them; the connection breaks after ten."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        rng = np.random.default_rng(0)
        for _ in range(10):
            _, jpeg = cv2.imencode(".jpg", rng.integers(0, 255, (48, 64), np.uint8))
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            try:
                self.wfile.write(head.encode() + jpeg.tobytes() + b"\r\n")
            except OSError:
                return

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


def test_a_web_camera_that_breaks_off_again_and_again(read: Read) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _MotionJpeg)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        reader = read(f"http://127.0.0.1:{server.server_port}/video.mjpg")
        reader.wait(lambda: reader.source.state.reconnects >= 3)
        reader.close()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert [state.state for state in reader.states[:4]] == ["live", "lost", "live", "lost"]
    _check_order(reader)
