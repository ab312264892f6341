from __future__ import annotations

import http.server
import itertools
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from lpnet_rt.errors import LostError, SettingsError, SourceError
from lpnet_rt.frames import Frame
from lpnet_rt.settings import SourceSettings
from lpnet_rt.sources import ReconnectingSource, SourceState, open_source
from lpnet_rt.sources.backoff import Backoff
from lpnet_rt.sources.base import UnusableSourceError
from lpnet_rt.sources.camera import CameraSource
from lpnet_rt.sources.streams import StreamSource

_PATIENCE_S = 20.0


class _Server:
    """A real HTTP server on the loopback that answers with one of several videos, or with an error."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.asked = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                data = outer.answers[min(outer.asked, len(outer.answers)) - 1]
                if not data:
                    self.send_error(503)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                try:
                    self.wfile.write(data)
                except OSError:
                    self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://user:s3cret@127.0.0.1:{self.http.server_port}/cam.ts"


@pytest.fixture
def server() -> Iterator[_Server]:
    made = _Server()
    thread = threading.Thread(target=made.http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.http.shutdown()
    thread.join()
    made.http.server_close()


def _stream(url: str, states: list[SourceState] | None = None, **settings: object) -> ReconnectingSource:
    """A stream that is connected again after a hundredth of a second."""
    given = SourceSettings(spec=url, open_timeout_s=5.0, **settings)  # type: ignore[arg-type]
    on_state = None if states is None else states.append
    backoff = Backoff(first_s=0.01, early_limit_s=0.01)
    return ReconnectingSource(lambda: StreamSource(given), given, on_state=on_state, backoff=backoff)


@contextmanager
def _reading(source: ReconnectingSource) -> Iterator[list[Frame]]:
    """Read a source in a thread; it is closed in the end, and its reader must end with it."""
    frames: list[Frame] = []
    thread = threading.Thread(target=lambda: frames.extend(source))
    thread.start()
    try:
        yield frames
    finally:
        source.close()
        thread.join(5)
        assert not thread.is_alive()


def _wait(there: Callable[[], object]) -> None:
    end_s = time.monotonic() + _PATIENCE_S
    while not there():
        assert time.monotonic() < end_s
        time.sleep(0.005)


def test_a_stream_that_ends_is_connected_again_and_counts_on(server: _Server, write_video, grey_images) -> None:
    server.answers = [write_video("cam.ts", grey_images(12)).read_bytes()]
    states: list[SourceState] = []
    frames = []
    source = _stream(server.url, states)
    for frame in source:
        frames.append(frame)
        if len(frames) == 30:
            break
    source.close()
    assert [frame.index for frame in frames] == list(range(30))
    assert [frame.reconnects for frame in frames] == [0] * 12 + [1] * 12 + [2] * 6
    assert {(frame.epoch, frame.dropped, frame.clock) for frame in frames} == {(0, 0, "arrival")}
    assert [state.state for state in states] == ["live", "lost", "live", "lost", "live", "ended"]
    assert [state.reconnects for state in states] == [0, 0, 1, 1, 2, 2]
    assert states[1].reason == "it ended; 12 frames were delivered"
    assert all(late.since_ns >= early.since_ns for early, late in itertools.pairwise(states))
    assert source.counts.delivered == 30
    assert source.state == states[-1]


def test_other_pictures_after_a_reconnection_are_another_epoch(server: _Server, write_video, grey_images) -> None:
    small = write_video("small.ts", grey_images(5)).read_bytes()
    large = write_video("large.ts", grey_images(5, (96, 128))).read_bytes()
    deep = write_video("deep.ts", grey_images(5, (96, 128), np.uint16), pix_fmt="yuv420p10le").read_bytes()
    server.answers = [small, small, large, deep, deep]
    source = _stream(server.url)
    with _reading(source) as frames:
        _wait(lambda: len(frames) >= 25)
    kinds = [(frame.epoch, frame.size_hw, frame.bit_depth) for frame in frames[:25]]
    assert kinds == [(0, (48, 64), 8)] * 10 + [(1, (96, 128), 8)] * 5 + [(2, (96, 128), 10)] * 10
    assert source.state.epoch == 2


def test_other_pictures_within_a_stream_are_another_epoch_and_not_rescaled(
    server: _Server, write_video, grey_images
) -> None:
    large_images = grey_images(20, (96, 128))
    options = {"g": "10", "bf": "0"}
    small = write_video("small.ts", grey_images(20), codec_options=options).read_bytes()
    large = write_video("large.ts", large_images, codec_options=options, pts=list(range(20, 40))).read_bytes()
    deep = write_video(
        "deep.ts", large_images, pix_fmt="yuv420p10le", codec_options=options, pts=list(range(40, 60))
    ).read_bytes()
    server.answers = [small + large + deep, b""]
    with _reading(_stream(server.url)) as frames:
        _wait(lambda: len(frames) >= 58)
    kinds = [(0, (48, 64), 8), (1, (96, 128), 8), (2, (96, 128), 10)]
    assert sorted({(frame.epoch, frame.size_hw, frame.bit_depth) for frame in frames}) == kinds
    assert {frame.reconnects for frame in frames} == {0}
    assert np.abs(frames[35].image.astype(int) - large_images[15]).mean() < 10


def test_what_refuses_is_asked_again_and_named_once(
    server: _Server, write_video, grey_images, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers = [b"", b"", b"<html>starting</html>" * 99, write_video("cam.ts", grey_images(5)).read_bytes()]
    source = _stream(server.url)
    with _reading(source) as frames, caplog.at_level(logging.INFO):
        # The end of the file comes after its frames.
        _wait(lambda: len(frames) >= 5 and any(": lost: " in record.getMessage() for record in caplog.records))
    said = [record.getMessage() for record in caplog.records if record.name == "lpnet_rt.sources"]
    where = f"http://127.0.0.1:{server.http.server_port}/cam.ts"
    assert said[0].startswith(f"{where}: connecting: cannot open the stream: ")
    assert said[0].endswith("; waiting for it and trying again")
    assert said[1].startswith(f"{where}: live, after ")
    assert [message.split(": ")[1].split(",")[0] for message in said[:3]] == ["connecting", "live", "lost"]


@pytest.mark.parametrize("kind", ["refuses", "breaks off", "is not there"])
def test_nothing_is_left_behind_after_fifty_connections(kind: str, server: _Server, write_video, grey_images) -> None:
    video = write_video("cam.ts", grey_images(3)).read_bytes()
    server.answers = [video, b""] if kind == "refuses" else [video]
    url = server.url if kind != "is not there" else "rtsp://127.0.0.1:9/x"
    connections = []
    settings = SourceSettings(spec=url, open_timeout_s=5.0)

    def connect() -> StreamSource:
        connections.append(StreamSource(settings))
        return connections[-1]

    source = ReconnectingSource(connect, settings, backoff=Backoff(first_s=0.001, early_limit_s=0.001))
    with _reading(source):
        _wait(lambda: len(connections) >= 5)
        before = _threads_and_files()
        _wait(lambda: len(connections) >= 55)
        during = _threads_and_files()
    assert during[0] - before[0] <= 2  # a connection, and the server's thread that answers it
    assert during[1] - before[1] <= 4
    _wait(lambda: all(connection.is_over for connection in connections))
    _wait(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("stream ")])


def _threads_and_files() -> tuple[int, int]:
    return len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))


def test_close_interrupts_a_pause_and_an_attempt(server: _Server) -> None:
    server.answers = [b""]
    patient = SourceSettings(spec=server.url)
    source = ReconnectingSource(lambda: StreamSource(patient), patient, backoff=Backoff(60.0, 60.0))
    with _reading(source):
        _wait(lambda: source.state.reason)
        begun_s = time.monotonic()
    assert time.monotonic() - begun_s < 1.0
    assert source.state.state == "connecting"
    silent = _stream("udp://127.0.0.1:9")
    with _reading(silent):
        time.sleep(0.1)
        begun_s = time.monotonic()
    assert time.monotonic() - begun_s < 1.0


def test_what_was_lost_when_the_run_ended_stays_lost(server: _Server, write_video, grey_images) -> None:
    server.answers = [write_video("cam.ts", grey_images(5)).read_bytes(), b""]
    source = _stream(server.url)
    with _reading(source):
        _wait(
            lambda: (
                (source.state.state == "lost" and "service" in (source.state.reason or "").lower()) or server.asked > 3
            )
        )
    assert source.state.state == "lost"
    assert source.state.reason is not None


def test_a_recording_ends_as_a_file_does(server: _Server, write_video, grey_images) -> None:
    whole = write_video("clip.mp4", grey_images(20), muxer={"movflags": "faststart"}).read_bytes()
    server.answers = [whole]
    source = open_source(SourceSettings(spec=server.url))
    assert source.rate_hz == pytest.approx(30)
    assert len(list(source)) == 20
    assert isinstance(source, ReconnectingSource)
    assert source.state.state == "ended"


def test_a_cut_recording_is_an_error_and_not_read_twice(server: _Server, write_video, grey_images, cut) -> None:
    path = write_video("clip.mp4", grey_images(40), muxer={"movflags": "faststart"}, codec_options={"g": "5"})
    server.answers = [cut(path, 0.7).read_bytes()]
    source = _stream(server.url)
    with pytest.raises(LostError, match="the file declares"):
        list(source)
    assert source.state.state == "lost"


def test_settings_that_allow_no_connection_are_an_error_at_once() -> None:
    with pytest.raises(SettingsError, match="LPNET_NO_SUCH_VARIABLE"):
        open_source(SourceSettings(spec="rtsp://u:${LPNET_NO_SUCH_VARIABLE}@127.0.0.1/x"))
    with pytest.raises(SourceError, match="expected a URL that starts with"):
        open_source(SourceSettings(spec="gopher://127.0.0.1/x"))


def test_a_protocol_that_is_not_there_is_not_waited_for() -> None:
    if "srt" in _protocols():
        pytest.skip("this FFmpeg has srt")
    with pytest.raises(UnusableSourceError, match="lacks the protocol"):
        open_source(SourceSettings(spec="srt://127.0.0.1:9", open_timeout_s=2.0))


def _protocols() -> set[str]:
    import av

    try:
        av.open("srt://127.0.0.1:9", timeout=0.5)
    except av.ProtocolNotFoundError:
        return set()
    except av.FFmpegError:
        pass
    return {"srt"}


def test_a_camera_that_is_plugged_in_late_and_out_again(write_video, grey_images, tmp_path: Path) -> None:
    path = write_video("a.avi", grey_images(5), "mjpeg", "yuvj420p")
    there = tmp_path / "camera.avi"
    settings = SourceSettings(spec="0", frozen_after_s=0.2)
    states: list[SourceState] = []
    backoff = Backoff(first_s=0.01, early_limit_s=0.01)
    source = ReconnectingSource(
        lambda: CameraSource(str(there), settings), settings, on_state=states.append, backoff=backoff
    )
    with _reading(source) as frames:
        _wait(lambda: source.state.reason)
        assert (source.state.state, source.name) == ("connecting", "camera")
        path.rename(there)
        _wait(lambda: len(frames) >= 12)
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert [frame.reconnects for frame in frames[:12]] == [0] * 5 + [1] * 5 + [2] * 2
    assert any("no frame came for 0.2 s (5 frames" in (state.reason or "") for state in states)


def test_an_absent_camera_is_waited_for() -> None:
    source = open_source(SourceSettings(spec="9876"))
    assert isinstance(source, ReconnectingSource)
    assert "expected /dev/video9876" in (source.state.reason or "")
    source.close()
    assert list(source) == []


def test_a_frozen_picture_is_fetched_again_and_not_over_and_over(server: _Server, write_video, grey_images) -> None:
    server.answers = [write_video("cam.ts", grey_images(200)).read_bytes()]
    states: list[SourceState] = []
    source = _stream(server.url, states)
    frames = iter(source)
    next(frames)
    source.note_picture("calibrating")
    source.note_picture("live")
    for _ in range(3):
        source.note_picture("frozen")
    assert [state.state for state in states] == ["live", "calibrating", "live", "frozen"]
    frame = next(frames)
    while not frame.reconnects:
        frame = next(frames)
    assert source.state.state == "frozen"  # nobody has seen yet that its pictures move
    source.note_picture("frozen")
    assert next(frames).reconnects == 1
    source.note_picture("live")
    assert (source.state.state, source.state.reconnects) == ("live", 1)
    source.close()
    source.note_picture("frozen")
    assert source.state.state == "ended"
