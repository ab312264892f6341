from __future__ import annotations

import http.server
import itertools
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import pytest

from lpnet_rt.errors import LostError, SourceError
from lpnet_rt.frames import Frame
from lpnet_rt.settings import SourceSettings
from lpnet_rt.sources import Source, open_source

_SECRET = "s3cret"


@contextmanager
def _serving(handle: Callable[[http.server.BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """A real HTTP server on the loopback; yields the URL of what it serves, with a password in it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                handle(self)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the reader hung up, as it may

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://admin:{_SECRET}@127.0.0.1:{server.server_port}/cam.ts?token={_SECRET}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _answer(handler: http.server.BaseHTTPRequestHandler, data: bytes, of: int | None = None) -> None:
    """Send data as the first part of ``of`` bytes, or as the whole."""
    handler.send_response(200)
    handler.send_header("Content-Type", "video/MP2T")
    handler.send_header("Content-Length", str(len(data) if of is None else of))
    handler.end_headers()
    handler.wfile.write(data)
    handler.wfile.flush()


def _settings(url: str, timeout_s: float = 10.0, frames: int | None = None) -> SourceSettings:
    return SourceSettings(spec=url, open_timeout_s=timeout_s, frames=frames, reconnect="never")


def _until_lost(source: Source) -> tuple[list[Frame], str]:
    """The frames that come before the stream is lost, which it must be, and what is said of it."""
    frames: list[Frame] = []
    with pytest.raises(LostError) as lost:
        frames.extend(source)
    assert lost.value.exit_code == 4
    source.close()
    return frames, str(lost.value)


def test_frames_of_a_stream(write_video, grey_images) -> None:
    images = grey_images(20)
    data = write_video("cam.ts", images).read_bytes()
    with _serving(lambda handler: _answer(handler, data)) as url:
        source = open_source(_settings(url))
        assert source.live
        assert source.frame_count is None
        assert source.rate_hz == pytest.approx(30)
        assert source.name == "127-0-0-1-" + url.split(":")[3].split("/")[0] + "-cam-ts"
        frames, lost = _until_lost(source)
    assert "the stream was lost: it ended; 20 frames were delivered" in lost
    assert [frame.index for frame in frames] == list(range(20))
    assert frames[-1].dropped == 0
    np.testing.assert_allclose(np.diff([frame.pts_s for frame in frames]), 1 / 30, atol=1e-3)
    assert np.abs(frames[3].image.astype(int) - images[3]).mean() < 10


def test_the_limit_is_left_to_the_reader(write_video, grey_images) -> None:
    data = write_video("cam.ts", grey_images(20)).read_bytes()
    with _serving(lambda handler: _answer(handler, data)) as url:
        source = open_source(_settings(url, frames=4))
        assert source.frame_count == 4
        frames, _ = _until_lost(source)
    assert len(frames) == 20


def test_a_stream_that_stalls_ends_in_an_error_after_the_frames_before(write_video, grey_images) -> None:
    data = write_video("cam.ts", grey_images(120), codec_options={"g": "10", "bf": "0"}).read_bytes()
    done = threading.Event()

    def stall(handler: http.server.BaseHTTPRequestHandler) -> None:
        _answer(handler, data[: len(data) // 2], of=len(data))
        done.wait(20)

    delivered = []
    try:
        with _serving(stall) as url:
            source = open_source(_settings(url, timeout_s=1.0))
            start = time.monotonic()
            with pytest.raises(
                LostError, match=r"(no frame came for 1 s|immediate exit).*; \d+ frames were delivered"
            ) as stalled:
                delivered.extend(frame.index for frame in source)
            assert time.monotonic() - start < 5
            source.close()
            done.set()
    finally:
        done.set()
    assert delivered[:20] == list(range(20))
    assert _SECRET not in "".join(traceback.format_exception(stalled.value))


def test_close_from_another_thread_frees_a_waiting_reader(write_video, grey_images) -> None:
    data = write_video("cam.ts", grey_images(120), codec_options={"g": "10", "bf": "0"}).read_bytes()
    done = threading.Event()

    def stall(handler: http.server.BaseHTTPRequestHandler) -> None:
        _answer(handler, data[: len(data) // 2], of=len(data))
        done.wait(20)

    try:
        with _serving(stall) as url:
            source = open_source(_settings(url, timeout_s=10.0))
            reading = threading.Thread(target=lambda: list(source))
            reading.start()
            time.sleep(0.2)
            source.close()
            source.close()
            reading.join(2.0)
            assert not reading.is_alive()
            done.set()
    finally:
        done.set()


def test_lost_packets_are_counted_and_do_not_end_a_stream(write_video, grey_images) -> None:
    path = write_video("cam.ts", grey_images(60), codec_options={"g": "10", "bf": "0"})
    data = bytearray(path.read_bytes())
    middle = len(data) // 188 // 2 * 188
    del data[middle : middle + 40 * 188]
    with _serving(lambda handler: _answer(handler, bytes(data))) as url:
        source = open_source(_settings(url))
        frames, _ = _until_lost(source)
    assert 30 < len(frames) < 60
    assert any(frame.damage for frame in frames)
    assert frames[-1].pts_s is not None
    assert frames[-1].pts_s - frames[0].pts_s == pytest.approx(59 / 30, abs=0.01)
    assert frames[-1].index == len(frames) - 1 + frames[-1].dropped


def test_a_stream_that_breaks_off_delivers_what_came_and_is_an_error(write_video, grey_images) -> None:
    data = write_video("cam.ts", grey_images(20)).read_bytes()
    delivered = []
    with _serving(lambda handler: _answer(handler, data, of=2 * len(data))) as url:
        source = open_source(_settings(url, timeout_s=5.0))
        with pytest.raises(LostError, match="20 frames were delivered"):
            delivered.extend(frame.index for frame in source)
        source.close()
    assert delivered == list(range(20))


@pytest.mark.parametrize("scheme", ["rtsp", "http", "udp"])
def test_a_silent_server_does_not_hold_the_reader(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"{scheme}://admin:{_SECRET}@127.0.0.1:{silent.getsockname()[1]}/live?key={_SECRET}"
        url = url.replace(f"admin:{_SECRET}@", "") if scheme == "udp" else url
        start = time.monotonic()
        with pytest.raises(SourceError, match=r"no answer within 0\.3 s") as refused:
            open_source(_settings(url, timeout_s=0.3))
        assert time.monotonic() - start < 3
    shown = "".join(traceback.format_exception(refused.value))
    assert _SECRET not in shown
    assert "admin" not in shown


@pytest.mark.parametrize("path", ["", "/stream1", f"/user=admin_password={_SECRET}_channel=1"])
def test_a_refused_connection_names_the_host_and_no_secret(path: str, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(SourceError, match=rf"rtsp://127\.0\.0\.1:{port}.*connection refused") as refused:
        open_source(_settings(f"rtsp://admin:{_SECRET}@127.0.0.1:{port}{path}", timeout_s=2.0))
    assert _SECRET not in "".join(traceback.format_exception(refused.value))
    assert capfd.readouterr().err == ""


def test_the_name_and_the_repr_hold_no_secret(write_video, grey_images) -> None:
    data = write_video("cam.ts", grey_images(12)).read_bytes()
    with _serving(lambda handler: _answer(handler, data)) as url:
        source = open_source(_settings(url))
        assert _SECRET not in source.name + repr(source) + str(source)
        source.close()


def test_a_password_by_reference_reaches_the_server(write_video, grey_images, tmp_path) -> None:
    data = write_video("cam.ts", grey_images(2)).read_bytes()
    (tmp_path / "token").write_text("a/b c\n")
    asked: list[str] = []

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        _answer(handler, data)

    with _serving(answer) as url:
        settings = _settings(url.partition("?")[0] + f"?token=${{file:{tmp_path}/token}}")
        with pytest.raises(LostError, match="2 frames were delivered"):
            list(open_source(settings))
    assert asked[0] == "/cam.ts?token=a%2Fb%20c"
    assert "a%2Fb" not in settings.spec


def test_a_page_that_is_no_video() -> None:
    with (
        _serving(lambda handler: _answer(handler, b"<html>log in</html>" * 200)) as url,
        pytest.raises(SourceError, match="cannot open the stream"),
    ):
        open_source(_settings(url, timeout_s=5.0))


def test_a_server_without_the_stream() -> None:
    with (
        _serving(lambda handler: handler.send_error(404)) as url,
        pytest.raises(SourceError, match="not found"),
    ):
        open_source(_settings(url, timeout_s=5.0))


def test_udp(write_video, grey_images) -> None:
    path: Path = write_video("cam.ts", grey_images(90), codec_options={"g": "10", "bf": "0"})
    data = path.read_bytes()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    stop = threading.Event()

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            while not stop.is_set():
                for at in range(0, len(data), 1316):
                    out.sendto(data[at : at + 1316], ("127.0.0.1", port))
                    stop.wait(0.002)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        source = open_source(_settings(f"udp://127.0.0.1:{port}"))
        frames = list(itertools.islice(source, 40))
        source.close()
    finally:
        stop.set()
        sender.join()
    assert len(frames) == 40
    assert {frame.size_hw for frame in frames} == {(48, 64)}


def test_a_recording_behind_http_ends_as_files_do(write_video, grey_images) -> None:
    data = write_video("clip.mp4", grey_images(20), muxer={"movflags": "faststart"}).read_bytes()
    with _serving(lambda handler: _answer(handler, data)) as url:
        source = open_source(_settings(url))
        assert len(list(source)) == 20


def test_a_stream_that_never_showed_a_frame_is_not_lost(write_video, grey_images) -> None:
    data = write_video("cam.ts", grey_images(20), codec_options={"g": "20", "bf": "0"}).read_bytes()
    done = threading.Event()

    def silent(handler: http.server.BaseHTTPRequestHandler) -> None:
        _answer(handler, data[:0], of=len(data))
        done.wait(20)

    try:
        with _serving(silent) as url:
            with pytest.raises(SourceError) as refused:
                list(open_source(_settings(url, timeout_s=0.5)))
            assert refused.value.exit_code == 3
            done.set()
    finally:
        done.set()


def test_a_protocol_that_ffmpeg_lacks_is_named_with_those_it_has() -> None:
    try:
        av.open("srt://127.0.0.1:9", timeout=1.0)
    except av.ProtocolNotFoundError:
        pass
    except av.FFmpegError:
        pytest.skip("this FFmpeg has srt")
    with pytest.raises(SourceError, match=r"lacks the protocol; use one of http, https, rtmp, rtp, rtsp, rtsps"):
        open_source(_settings("srt://127.0.0.1:9", timeout_s=2.0))


def test_metadata_of_a_stream_need_not_be_utf_8(write_video, grey_images) -> None:
    data = write_video("cam.ts", grey_images(20)).read_bytes()
    assert b"Service01" in data
    packets = [data[at : at + 188] for at in range(0, len(data), 188)]
    # The table that names the service carries a checksum: without it the name is read as it is.
    odd = b"".join(_named(packet) for packet in packets)
    with _serving(lambda handler: _answer(handler, odd)) as url:
        frames, _ = _until_lost(open_source(_settings(url)))
    assert len(frames) == 20


def _named(packet: bytes) -> bytes:
    """Put a name that is not UTF-8 into a service description table and mend its checksum."""
    at = packet.find(b"Service01")
    if at < 0:
        return packet
    table = bytearray(packet[5 : 8 + int.from_bytes(packet[6:8]) % 4096])
    table[at - 5 : at - 5 + 9] = b"\xe9\xe8ervice1"
    crc = 0xFFFFFFFF
    for byte in table[:-4]:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7 if crc & 0x80000000 else crc << 1) & 0xFFFFFFFF
    table[-4:] = crc.to_bytes(4)
    return packet[:5] + bytes(table) + packet[5 + len(table) :]


def test_a_network_playlist_opens_no_file_of_this_machine(write_video, grey_images) -> None:
    path = write_video("secret.ts", grey_images(30))
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{path}\n#EXT-X-ENDLIST\n".encode()
    with (
        _serving(lambda handler: _answer(handler, playlist)) as url,
        pytest.raises(SourceError),
    ):
        list(open_source(_settings(url.replace("cam.ts", "list.m3u8"), timeout_s=3.0)))
