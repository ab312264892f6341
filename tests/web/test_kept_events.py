"""Events that are kept on disk, as the page shows them: earlier ones, pictures and clips."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest

from lpnet_rt.errors import SourceError
from lpnet_rt.web.browser_video import mp4_of

RunningPage = Callable[[], AbstractContextManager[httpx.Client]]


def write_clip(path: Path, codec: str, pix_fmt: str, frames: int = 12) -> list[int]:
    """A clip whose left half is as bright as the number of the frame; returns the brightness of each."""
    levels = [40 + 12 * index for index in range(frames)]
    with av.open(str(path), "w", format="matroska") as out:
        stream = out.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
        for level in levels:
            image = np.zeros((48, 64), np.uint16 if pix_fmt == "gray16le" else np.uint8)
            image[:, :32] = level * 20 if pix_fmt == "gray16le" else level
            image[:4] = 255 * 20 if pix_fmt == "gray16le" else 255
            frame = av.VideoFrame.from_ndarray(image, "gray16le" if pix_fmt == "gray16le" else "gray")
            out.mux(stream.encode(frame.reformat(format=pix_fmt)))
        out.mux(stream.encode(None))
    return levels


def read(content: bytes) -> tuple[str, list[float], list[float]]:
    with av.open(io.BytesIO(content), format="mp4") as source:
        pictures = [
            (frame.time, frame.to_ndarray(format="gray")[20:40, 8:24].mean()) for frame in source.decode(video=0)
        ]
        times_s, levels = zip(*pictures, strict=True)
        return source.streams.video[0].codec_context.name, list(times_s), list(levels)


@pytest.mark.parametrize(
    ("codec", "pix_fmt"), [("libx264", "yuv420p"), ("ffv1", "gray"), ("ffv1", "gray16le"), ("mjpeg", "yuvj420p")]
)
def test_any_clip_becomes_what_browsers_play(tmp_path: Path, codec: str, pix_fmt: str) -> None:
    levels = write_clip(tmp_path / "clip.mkv", codec, pix_fmt)
    found, times_s, shown = read(mp4_of(tmp_path / "clip.mkv"))
    assert found == "h264"
    assert times_s == pytest.approx(0.1 * np.arange(len(levels)), abs=0.011)
    assert shown == sorted(shown)
    if pix_fmt != "gray16le":
        assert shown == pytest.approx(levels, abs=8)


def test_what_is_no_clip_is_said(tmp_path: Path) -> None:
    (tmp_path / "clip.mkv").write_bytes(b"nothing")
    with pytest.raises(SourceError, match=r"clip\.mkv: the clip cannot be read: "):
        mp4_of(tmp_path / "clip.mkv")
    with pytest.raises(SourceError, match="the clip cannot be read: "):
        mp4_of(tmp_path / "missing.mkv")


def rows_with_clips(client: httpx.Client) -> list[dict[str, Any]]:
    """The events that have a clip, once there is one."""
    ends_at, found = time.monotonic() + 90, []
    while not found and time.monotonic() < ends_at:
        time.sleep(0.2)
        found = [row for row in client.get("/api/events").json() if row["has_clip"]]
    return found


@pytest.mark.slow
def test_the_page_plays_the_clips_of_a_run_and_of_the_one_before(running_page: RunningPage) -> None:
    with running_page() as client:
        done = rows_with_clips(client)
        answer = client.get(f"/api/events/{done[-1]['id']}/clip")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4")
        codec, times_s, _ = read(answer.content)
        assert codec == "h264"
        assert times_s
    with running_page() as client:
        same = min(rows_with_clips(client), key=lambda row: abs(row["began_us"] - done[-1]["began_us"]))
        assert client.get(f"/api/events/{same['id']}/clip").content[4:8] == b"ftyp"
        assert client.get(f"/api/events/{same['id']}/chip.png").content.startswith(b"\x89PNG")
