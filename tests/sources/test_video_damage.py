from __future__ import annotations

import math
from pathlib import Path

import av
import av.logging
import numpy as np
import pytest

from lpnet_rt.errors import SourceError, TruncatedError
from lpnet_rt.frames import Frame
from lpnet_rt.settings import SourceSettings
from lpnet_rt.sources import open_source
from lpnet_rt.sources.damage import lacks_index

_FRAMES = 60
_GROUPS = {"g": "15"}


def _read(path: Path) -> tuple[int, str | None]:
    """How many frames came undamaged, and the message of the truncation, if any."""
    frames, message = _delivered(path)
    return sum(frame.damage is None for frame in frames), message


def _delivered(path: Path) -> tuple[list[Frame], str | None]:
    """The frames that came, with their places checked, and the message of the truncation, if any."""
    frames: list[Frame] = []
    message = None
    try:
        for frame in open_source(SourceSettings(spec=str(path))):
            frames.append(frame)
    except TruncatedError as error:
        message = str(error)
        assert f"{len(frames)} frames were delivered" in message

    assert [frame.index for frame in frames] == sorted({frame.index for frame in frames})
    assert all(frame.pts_s is None or math.isfinite(frame.pts_s) for frame in frames)
    return frames, message


def _packets(path: Path) -> list[tuple[int, int]]:
    """Where each packet lies in the file, and its size."""
    with av.open(str(path)) as container:
        packets = container.demux(video=0)
        return [(packet.pos, packet.size) for packet in packets if packet.size and packet.pos is not None]


_KINDS = [
    ("a.mkv", "libx264", "yuv420p", {}),
    ("a.mkv", "ffv1", "gray16le", {}),
    ("a.avi", "mjpeg", "yuvj420p", {}),
    ("a.avi", "ffv1", "gray", {}),
    ("a.mp4", "libx264", "yuv420p", {"movflags": "faststart"}),
    ("a.mp4", "mpeg4", "yuv420p", {"movflags": "faststart"}),
]


@pytest.mark.parametrize(("name", "codec", "pix_fmt", "muxer"), _KINDS)
@pytest.mark.parametrize("share", [0.35, 0.8])
def test_a_cut_file_delivers_what_is_there_and_says_truncated(
    write_video, cut, grey_images, name: str, codec: str, pix_fmt: str, muxer: dict[str, str], share: float
) -> None:
    path = write_video(name, grey_images(_FRAMES), codec, pix_fmt, muxer, codec_options=_GROUPS)
    assert _read(path) == (_FRAMES, None)
    shorter = cut(path, share)
    end = shorter.stat().st_size
    whole = sum(start + size <= end for start, size in _packets(path))
    count, message = _read(shorter)
    assert message is not None
    # One less where the container's own framing of the last packet is cut.
    assert 1 < whole - 1 <= count <= whole


def test_an_avi_cut_between_two_frames_is_told_by_its_count(write_video, grey_images) -> None:
    path = write_video("a.avi", grey_images(20), "mjpeg", "yuvj420p")
    start, size = _packets(path)[11]
    path.write_bytes(path.read_bytes()[: start + size])
    count, message = _read(path)
    assert count == 12
    assert message is not None


def test_a_cut_fragmented_mp4_delivers_its_frames(write_video, cut, grey_images) -> None:
    muxer = {"movflags": "frag_keyframe+empty_moov"}
    path = write_video("a.mp4", grey_images(_FRAMES), muxer=muxer, codec_options=_GROUPS)
    assert _read(path) == (_FRAMES, None)
    count, message = _read(cut(path, 0.7))
    assert count > 25
    assert message is not None


def test_an_mp4_cut_before_its_index_says_so(write_video, cut, grey_images) -> None:
    whole = write_video("a.mp4", grey_images(_FRAMES))
    path = cut(whole, 0.7)
    assert lacks_index(path)
    assert not lacks_index(whole)
    with pytest.raises(SourceError, match=r"truncated: its index \(moov\) is missing"):
        open_source(SourceSettings(spec=str(path)))


def test_a_recording_whose_writer_was_killed_is_whole(write_video, grey_images, tmp_path: Path) -> None:
    # What a killed writer leaves: no duration in the header, no index, all packets.
    path = write_video("live.mkv", grey_images(_FRAMES), muxer={"live": "1"}, codec_options=_GROUPS)
    assert _read(path) == (_FRAMES, None)


def test_a_few_frames_at_the_tail_are_rounding_and_more_are_not(write_video, grey_images, tmp_path: Path) -> None:
    whole = write_video("whole.mkv", grey_images(_FRAMES), "ffv1", "gray")
    assert _read(_without_tail(whole, tmp_path / "two.mkv", 2)) == (_FRAMES - 2, None)
    count, message = _read(_without_tail(whole, tmp_path / "five.mkv", 5))
    assert count == _FRAMES - 5
    assert message is not None


def _without_tail(whole: Path, path: Path, missing: int) -> Path:
    """Cut a Matroska file exactly before one of its last blocks, so that nothing but its header tells."""
    start, _ = _packets(whole)[-missing]
    path.write_bytes(whole.read_bytes()[:start])
    return path


def test_b_frames_and_an_edit_list_are_no_truncation(write_video, grey_images, tmp_path: Path) -> None:
    whole = write_video("b.mp4", grey_images(_FRAMES), codec_options={"bf": "4", "g": "20", "b-pyramid": "normal"})
    assert _read(whole) == (_FRAMES, None)
    # A copy from the middle of a group of pictures on: the container hides its first frames by an edit list.
    path = tmp_path / "edited.mp4"
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        shift = 25 / 30
        for packet in source.demux(video=0):
            if packet.dts is None or float(packet.pts * packet.time_base) < 19 / 30:
                continue
            packet.pts -= round(shift / packet.time_base)
            packet.dts -= round(shift / packet.time_base)
            packet.stream = stream
            target.mux(packet)
    count, message = _read(path)
    assert message is None
    assert 30 <= count <= 41


def test_a_damaged_group_is_left_out_and_the_rest_is_delivered(write_video, grey_images) -> None:
    images = grey_images(30, dtype="uint16")
    path = write_video("a.mkv", images, "ffv1", "gray16le", codec_options={"g": "6"})
    data = bytearray(path.read_bytes())
    start, size = _packets(path)[12]
    data[start + 40 : start + size - 8] = bytes(size - 48)
    path.write_bytes(data)
    frames, message = _delivered(path)
    good = [frame.index for frame in frames if frame.damage is None]
    assert good == [*range(12), *range(18, 30)]
    assert message is not None
    assert "damaged" in message
    for index in good:
        np.testing.assert_array_equal(frames[[f.index for f in frames].index(index)].image, images[index])


def test_a_recording_that_starts_between_key_frames_counts_what_it_leaves_out(write_video, grey_images) -> None:
    path = write_video("a.ts", grey_images(_FRAMES), codec_options={"g": "20", "bf": "0"})
    data = path.read_bytes()
    packets = [data[at : at + 188] for at in range(0, len(data), 188)]
    start, _ = _packets(path)[7]
    path.write_bytes(b"".join([*packets[:3], *packets[start // 188 :]]))
    frames = list(open_source(SourceSettings(spec=str(path))))
    assert frames[-1].pts_s is not None
    assert len(frames) >= 40
    assert [frame.index for frame in frames] == list(range(frames[0].index, frames[0].index + len(frames)))
    assert frames[0].dropped == frames[0].index


def test_nothing_but_damage_is_no_truncation(write_video, grey_images) -> None:
    path = write_video("a.avi", grey_images(6), "ffv1", "gray")
    data = bytearray(path.read_bytes())
    for start, size in _packets(path):
        data[start : start + size] = b"\xff" * size
    path.write_bytes(data)
    with pytest.raises(SourceError, match="no frame can be decoded") as refused:
        list(open_source(SourceSettings(spec=str(path))))
    assert not isinstance(refused.value, TruncatedError)


def test_closing_in_the_middle_of_damage_never_hangs(write_video, grey_images) -> None:
    """FFmpeg's decoder threads must not call into Python: closing waits for them with the interpreter held."""
    path = write_video("a.mkv", grey_images(12, dtype="uint16"), "ffv1", "gray16le")
    data = bytearray(path.read_bytes())
    for start, size in _packets(path)[1:]:
        data[start + 40 : start + size - 8] = bytes(size - 48)
    path.write_bytes(data)
    for _ in range(40):
        source = open_source(SourceSettings(spec=str(path)))
        assert av.logging.get_level() is None
        next(iter(source))
        source.close()
