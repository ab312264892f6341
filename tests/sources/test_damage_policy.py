"""What becomes of damage: nothing damaged passes as good where it can be seen, and the rest of a file is delivered."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from lpnet_rt.errors import SourceError, TruncatedError
from lpnet_rt.frames import Frame
from lpnet_rt.settings import SourceSettings
from lpnet_rt.sources.checksums import Ffv1Checksums
from lpnet_rt.sources.video import VideoSource

_FRAMES = 90


def _scene(count: int) -> list[np.ndarray]:
    """A still scene with little noise and a moving target, as cameras see it."""
    rng = np.random.default_rng(3)
    still = rng.normal(100, 20, (96, 128))
    frames = []
    for index in range(count):
        image = still + rng.normal(0, 5, still.shape)
        image[40:44, index : index + 4] += 90
        frames.append(np.clip(image, 0, 255).astype(np.uint8))
    return frames


def _packets(path: Path) -> list[tuple[int, int]]:
    with av.open(str(path)) as container:
        packets = container.demux(video=0)
        return [(packet.pos, packet.size) for packet in packets if packet.size and packet.pos is not None]


def _read(path: Path) -> tuple[list[Frame], str | None]:
    frames: list[Frame] = []
    message = None
    try:
        for frame in VideoSource(path, SourceSettings(spec=str(path))):
            frames.append(frame)
    except TruncatedError as error:
        message = str(error)
    assert all(frame.pts_s is None or math.isfinite(frame.pts_s) for frame in frames)
    return frames, message


def _flip(path: Path, packet: int, share: float, flipped: int = 1) -> None:
    """Flip bits inside one packet, some way into it."""
    start, size = _packets(path)[packet]
    data = bytearray(path.read_bytes())
    for byte in range(flipped):
        data[start + int(size * share) + byte] ^= 0x10
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mkv", "libx264", {"g": "15", "bf": "2"}),
        ("a.mp4", "libx264", {"g": "15", "bf": "0"}),
        ("a.mkv", "libx265", {"x265-params": "keyint=15:log-level=none"}),
        ("a.mkv", "mpeg2video", {"g": "12"}),
    ],
)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_one_flipped_bit_costs_at_most_its_group_of_pictures(
    write_video: Callable[..., Path], name: str, codec: str, options: dict[str, str], share: float
) -> None:
    path = write_video(name, _scene(_FRAMES), codec, codec_options=options)
    whole, message = _read(path)
    assert (len(whole), message) == (_FRAMES, None)
    _flip(path, 35, share)
    frames, message = _read(path)
    left_out = _FRAMES - len(frames)
    marked = sum(frame.damage is not None for frame in frames)
    assert left_out + marked <= 15
    assert (message is None) == (left_out + marked == 0)
    # Groups that the bit does not lie in are as they were.
    good = {frame.pts_s: frame for frame in frames if frame.damage is None}
    for frame in [*whole[:28], *whole[48:]]:
        np.testing.assert_array_equal(good[frame.pts_s].image, frame.image)


def test_h264_damage_that_the_decoder_sees_is_marked_until_the_next_key_frame(
    write_video: Callable[..., Path],
) -> None:
    path = write_video("a.mkv", _scene(_FRAMES), codec_options={"g": "15", "bf": "0"})
    start, size = _packets(path)[35]
    data = bytearray(path.read_bytes())
    data[start + 12 : start + size] = bytes(size - 12)
    path.write_bytes(data)
    frames, message = _read(path)
    damaged = {frame.index for frame in frames if frame.damage} | (set(range(_FRAMES)) - {f.index for f in frames})
    assert damaged == set(range(35, 45))
    assert message is not None
    assert f"{len(frames)} frames were delivered" in message


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
@pytest.mark.parametrize("pix_fmt", ["gray", "gray16le"])
def test_every_flipped_bit_of_ffv1_is_seen(write_video: Callable[..., Path], share: float, pix_fmt: str) -> None:
    images = [image.astype(np.uint16) * 90 if pix_fmt != "gray" else image for image in _scene(30)]
    path = write_video("a.mkv", images, "ffv1", pix_fmt, codec_options={"g": "6", "level": "3"})
    _flip(path, 13, share)
    frames, message = _read(path)
    assert message is not None
    good = [frame for frame in frames if frame.damage is None]
    assert {frame.index for frame in good} == set(range(30)) - set(range(13, 18))
    for frame in good:
        np.testing.assert_array_equal(frame.image, images[frame.index])


def test_ffv1_without_checksums_is_read_as_it_is(write_video: Callable[..., Path]) -> None:
    for options in ({"slicecrc": "0", "level": "3"}, {"level": "1"}):
        path = write_video("a.mkv", _scene(6), "ffv1", "gray", codec_options=options)
        frames, message = _read(path)
        assert (len(frames), message) == (6, None)
        assert all(frame.damage is None for frame in frames)


def test_ffv1_slices_whose_sizes_do_not_add_up() -> None:
    checksums = Ffv1Checksums(b"\1")
    assert checksums.damage(b"\xff" * 40) is not None
    assert Ffv1Checksums(b"").damage(b"\xff" * 40) is None


def test_a_cut_jpeg_in_an_avi_is_left_out(write_video: Callable[..., Path]) -> None:
    path = write_video("a.avi", _scene(20), "mjpeg", "yuvj420p")
    start, size = _packets(path)[7]
    data = bytearray(path.read_bytes())
    data[start + size // 2 : start + size] = b"\xff\xd9" + bytes(size - size // 2 - 2)
    path.write_bytes(data)
    frames, message = _read(path)
    assert [frame.index for frame in frames if frame.damage is None] == [*range(7), *range(8, 20)]
    assert message is not None
    assert "1 left out" in message


def test_transport_streams_one_after_the_other_are_read_to_the_end(write_video: Callable[..., Path]) -> None:
    small = write_video("a.ts", _scene(40), codec_options={"g": "20"}).read_bytes()
    other = [cv2.resize(image, (192, 160)) for image in _scene(40)]
    large = write_video("b.ts", other, codec_options={"g": "20"}).read_bytes()
    path = write_video("c.ts", _scene(2))
    path.write_bytes(small + large + small)
    frames, _ = _read(path)
    assert len(frames) == 120
    assert {frame.size_hw for frame in frames[:40]} == {(96, 128)}
    assert {frame.size_hw for frame in frames} == {(96, 128), (160, 192)}
    assert sum(frame.damage is not None for frame in frames) <= 6


def test_frames_with_negative_times_are_delivered(write_video: Callable[..., Path]) -> None:
    path = write_video("a.mp4", _scene(40), pts=list(range(-100, -60)), codec_options={"bf": "0"})
    frames, message = _read(path)
    assert (len(frames), message) == (40, None)
    times = [frame.pts_s or 0.0 for frame in frames]
    np.testing.assert_allclose(np.diff(times), 1 / 30, atol=1e-3)


@pytest.mark.parametrize(("codec", "options"), [("libx264", {"bf": "3", "g": "20"}), ("mpeg4", {"bf": "2"})])
def test_a_whole_avi_with_b_frames_is_whole_and_its_times_rise(
    write_video: Callable[..., Path], codec: str, options: dict[str, str]
) -> None:
    path = write_video("a.avi", _scene(40), codec, codec_options=options)
    frames, message = _read(path)
    assert (len(frames), message) == (40, None)
    np.testing.assert_allclose(np.diff([frame.pts_s or 0.0 for frame in frames]), 1 / 30, atol=1e-3)


def test_an_avi_with_empty_packets_is_whole(write_video: Callable[..., Path]) -> None:
    # Frames at every second place of the container's clock: the writer puts empty packets between them.
    path = write_video("a.avi", _scene(30), "mjpeg", "yuvj420p", pts=list(range(0, 60, 2)))
    frames, message = _read(path)
    assert (len(frames), message) == (30, None)


def test_a_huge_picture_inside_a_small_stream_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    """In a process of its own, whose memory is limited to far less than the picture takes."""
    small = cv2.imencode(".jpg", _scene(1)[0])[1].tobytes()
    head = small.index(b"\xff\xc0")
    huge = small[: head + 5] + (15_900).to_bytes(2) * 2 + small[head + 9 :]
    path = tmp_path / "a.mjpeg"
    path.write_bytes(small * 10 + huge + small * 10)
    program = (
        "import resource, sys; from pathlib import Path; from lpnet_rt.errors import TruncatedError;"
        "from lpnet_rt.settings import SourceSettings; from lpnet_rt.sources.video import VideoSource;"
        "source = VideoSource(Path(sys.argv[1]), SourceSettings());"
        "used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize();"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 200_000_000, -1));\n"
        "count = 0\n"
        "try:\n    for frame in source: count += 1\n"
        "except TruncatedError as error: print(count, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("20 "), done.stderr
    assert "1 left out; 20 frames were delivered" in done.stdout


def test_a_playlist_that_names_itself_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.m3u8"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nlist.m3u8\n")
    program = (
        "import resource, sys; from pathlib import Path; from lpnet_rt.errors import SourceError;"
        "from lpnet_rt.settings import SourceSettings; from lpnet_rt.sources.video import VideoSource;"
        "used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize();"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 200_000_000, -1));\n"
        "try: VideoSource(Path(sys.argv[1]), SourceSettings(open_timeout_s=8.0))\n"
        "except SourceError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=20)
    assert "not a video that can be read" in done.stdout, done.stderr


def test_metadata_need_not_be_utf_8(write_video: Callable[..., Path]) -> None:
    path = write_video("a.mkv", _scene(5), "ffv1", "gray")
    data = path.read_bytes()
    assert b"ENCODER" in data
    path.write_bytes(data.replace(b"ENCODER", b"ENCO\xe9ER"))
    frames, message = _read(path)
    assert (len(frames), message) == (5, None)


def test_a_file_that_never_answers_holds_nobody(tmp_path: Path) -> None:
    """A pipe that nobody writes to stands for a network file system that hangs."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    keeper = os.open(pipe, os.O_RDWR)
    try:
        os.write(keeper, b"\0")
        with pytest.raises(SourceError):
            VideoSource(pipe, SourceSettings(spec=str(pipe), open_timeout_s=0.3))
    finally:
        os.close(keeper)


def test_close_ends_a_reader_that_waits(write_video: Callable[..., Path]) -> None:
    source = VideoSource(write_video("a.mkv", _scene(30)), SourceSettings())
    frames = iter(source)
    next(frames)
    hangs = threading.Event()
    # The reading thread is held up by a call that does not return, as a disk would.
    holder = threading.Thread(target=lambda: source._calls.call(lambda: hangs.wait(10), 10.0), daemon=True)
    threading.excepthook, before = (lambda _: None), threading.excepthook
    try:
        holder.start()
        source.close()
        assert list(frames) == []
    finally:
        hangs.set()
        holder.join(5)
        threading.excepthook = before
