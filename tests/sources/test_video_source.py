from __future__ import annotations

import os
import threading
from pathlib import Path

import av
import numpy as np
import pytest

from lpnet_rt.errors import SourceError
from lpnet_rt.settings import SourceSettings
from lpnet_rt.sources import open_source
from lpnet_rt.sources.video import VideoSource


def test_16_bit_ffv1_is_exact(write_video, grey_images) -> None:
    images = grey_images(7, dtype=np.uint16)
    path = write_video("clip.mkv", images, "ffv1", "gray16le")
    source = open_source(SourceSettings(spec=str(path)))
    frames = list(source)
    assert source.name == "clip"
    assert source.rate_hz == pytest.approx(30)
    assert not source.live
    assert len(frames) == 7
    for index, (frame, image) in enumerate(zip(frames, images, strict=True)):
        np.testing.assert_array_equal(frame.image, image)
        assert (frame.index, frame.bit_depth, frame.dropped, frame.stem) == (index, 16, 0, None)
        assert frame.pts_s == pytest.approx(index / 30, abs=1e-3)
        assert not frame.image.flags.writeable


@pytest.mark.parametrize(("pix_fmt", "bit_depth"), [("gray10le", 10), ("gray12le", 12), ("yuv420p10le", 10)])
def test_10_and_12_bit_counts_stay(write_video, grey_images, pix_fmt: str, bit_depth: int) -> None:
    images = grey_images(3, dtype=np.uint16)
    path = write_video("deep.mkv", images, "ffv1", pix_fmt)
    with av.open(str(path)) as container:
        planes = [np.frombuffer(frame.planes[0], "<u2") for frame in container.decode(video=0)]
    frames = list(open_source(SourceSettings(spec=str(path))))
    assert {(frame.bit_depth, frame.image.dtype) for frame in frames} == {(bit_depth, np.dtype(np.uint16))}
    for frame, plane in zip(frames, planes, strict=True):
        lines = plane.reshape(-1, len(plane) // 48)
        np.testing.assert_array_equal(frame.image, lines[:48, :64])


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("a.mp4", "libx264", "yuv420p"),
        ("a.mkv", "libx264", "gray"),
        ("a.ts", "libx264", "yuv420p"),
        ("a.avi", "mjpeg", "yuvj420p"),
        ("a.avi", "rawvideo", "bgr24"),
        ("a.avi", "rawvideo", "gray"),
        ("a.webm", "libvpx-vp9", "yuv420p"),
        ("a.mov", "png", "rgb24"),
        ("a.mkv", "libx265", "yuv420p10le"),
    ],
)
def test_codecs_and_containers(write_video, grey_images, name: str, codec: str, pix_fmt: str) -> None:
    images = grey_images(12)
    frames = list(open_source(SourceSettings(spec=str(write_video(name, images, codec, pix_fmt)))))
    assert [frame.index for frame in frames] == list(range(12))
    assert {frame.size_hw for frame in frames} == {(48, 64)}
    times = [frame.pts_s for frame in frames]
    np.testing.assert_allclose(np.diff(times), 1 / 30, atol=2e-3)
    # The right way up, and the right frame: each looks like its own original more than like any other.
    counts = np.stack([frame.image.ravel() for frame in frames]).astype(float)
    likeness = np.corrcoef(counts, np.stack([image.ravel() for image in images]).astype(float))[:12, 12:]
    np.testing.assert_array_equal(likeness.argmax(axis=1), np.arange(12))


def test_times_of_a_variable_frame_rate(write_video, grey_images) -> None:
    path = write_video("vfr.mkv", grey_images(4), "ffv1", "gray", pts=[0, 3, 4, 30])
    times = [frame.pts_s for frame in open_source(SourceSettings(spec=str(path)))]
    np.testing.assert_allclose(times, [0.0, 0.1, 4 / 30, 1.0], atol=1e-3)


def test_the_limit_and_the_declared_count(write_video, grey_images) -> None:
    path = write_video("a.mp4", grey_images(9))
    assert open_source(SourceSettings(spec=str(path))).frame_count == 9
    source = open_source(SourceSettings(spec=str(path), frames=4, name="cam-1"))
    assert source.frame_count == 4
    assert [(frame.index, frame.source) for frame in source] == [(index, "cam-1") for index in range(4)]
    assert open_source(SourceSettings(spec=str(path), frames=40)).frame_count == 9


def test_the_file_is_closed_when_its_frames_have_come(write_video, grey_images) -> None:
    path = write_video("a.mkv", grey_images(3), "ffv1", "gray")
    source = open_source(SourceSettings(spec=str(path)))
    assert _opened(path) == 1
    assert len(list(source)) == 3
    assert _opened(path) == 0
    assert list(source) == []


def _opened(path: Path) -> int:
    links = Path("/proc/self/fd").iterdir()
    return sum(os.path.realpath(link) == str(path) for link in links)


def test_realtime_delivers_when_frames_are_due(write_video, grey_images, clock) -> None:
    path = write_video("a.mkv", grey_images(4), "ffv1", "gray", pts=[0, 3, 6, 36])
    source = VideoSource(path, SourceSettings(spec=str(path), realtime=True), clock)
    assert source.live
    start_ns = clock.now_ns
    due, captured = [], []
    for frame in source:
        due.append((frame.t_read_ns - start_ns) / 1e9)
        captured.append(frame.t_capture_us)
        if frame.index == 1:
            clock.now_ns += 250_000_000  # a slow reader: the third frame was due 150 ms ago
    np.testing.assert_allclose(due, [0.0, 0.1, 0.2, 1.2], atol=1e-3)
    np.testing.assert_allclose(np.diff(captured) / 1e6, [0.1, 0.1, 1.0], atol=1e-3)
    assert sum(clock.naps_s) == pytest.approx(0.1 + 0.85, abs=2e-3)


def test_a_file_is_read_as_fast_as_it_is_asked_for(write_video, grey_images, clock) -> None:
    path = write_video("a.mkv", grey_images(4), "ffv1", "gray")
    frames = list(VideoSource(path, SourceSettings(spec=str(path)), clock))
    assert clock.naps_s == []
    assert {frame.t_read_ns for frame in frames} == {clock.now_ns}


def test_close_from_another_thread_ends_a_realtime_wait(write_video, grey_images) -> None:
    path = write_video("slow.mkv", grey_images(2), "ffv1", "gray", pts=[0, 18_000])
    source = open_source(SourceSettings(spec=str(path), realtime=True))
    frames = iter(source)
    next(frames)
    closer = threading.Timer(0.1, source.close)
    closer.start()
    assert list(frames) == []
    closer.join()
    source.close()


def test_a_file_name_is_never_read_as_a_protocol_or_a_pattern(write_video, grey_images, monkeypatch) -> None:
    path = write_video("a.mkv", grey_images(2), "ffv1", "gray")
    odd = path.with_name("concat:%03d é.mkv")
    os.rename(path, odd)
    monkeypatch.chdir(odd.parent)
    source = open_source(SourceSettings(spec=odd.name))
    assert source.name == "concat-03d"
    assert len(list(source)) == 2


def test_a_playlist_opens_no_other_file(tmp_path: Path, write_video, grey_images) -> None:
    write_video("other.ts", grey_images(5))
    (tmp_path / "list.m3u8").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.1,\nhttp://127.0.0.1:9/other.ts\n#EXT-X-ENDLIST\n"
    )
    with pytest.raises(SourceError):
        list(open_source(SourceSettings(spec=str(tmp_path / "list.m3u8"))))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.mp4", b"", "found an empty file"),
        ("text.mp4", b"this is no video\n" * 50, "not a video that can be read"),
        ("text.txt", b"letters and lines\n" * 50, "text.txt"),
        ("binary", bytes(range(256)) * 9, "binary"),
    ],
)
def test_what_is_no_video(tmp_path: Path, capfd, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SourceError, match=message) as refused:
        list(open_source(SourceSettings(spec=str(path))))
    assert "\n" not in str(refused.value)
    assert capfd.readouterr().err == ""


def test_a_file_without_a_video_stream(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        stream.layout = "mono"
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    with pytest.raises(SourceError, match="expected a video stream, found streams: audio"):
        open_source(SourceSettings(spec=str(path)))


def test_an_unknown_codec(write_video, grey_images) -> None:
    path = write_video("a.avi", grey_images(3), "mpeg4")
    data = path.read_bytes()
    assert b"FMP4" in data
    path.write_bytes(data.replace(b"FMP4", b"Zz9!"))
    with pytest.raises(SourceError, match="unknown video codec; convert"):
        open_source(SourceSettings(spec=str(path)))


def test_a_video_of_a_size_out_of_bounds(write_video, grey_images) -> None:
    path = write_video("tiny.mkv", grey_images(2, size_hw=(4, 6)), "ffv1", "gray")
    with pytest.raises(SourceError, match="at least 8x8"):
        open_source(SourceSettings(spec=str(path)))


def test_a_folder_that_may_not_be_read_or_a_file_that_vanished(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot read the file"):
        VideoSource(tmp_path / "gone.mp4", SourceSettings(spec="gone.mp4"))
