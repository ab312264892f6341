"""Events that are kept on disk, as the page shows them: earlier ones, pictures and clips."""

from __future__ import annotations

import contextlib
import io
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import av
import httpx
import numpy as np
import pytest

from lpnet_rt.errors import SourceError
from lpnet_rt.web.browser_video import mp4_of


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
        return source.streams.video[0].codec_context.name, *map(list, zip(*pictures, strict=True))


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


@contextlib.contextmanager
def running_page(config: Path) -> Iterator[httpx.Client]:
    """A real run with a page that keeps its events."""
    command = [sys.executable, "-m", "lpnet_rt", "run", "--config", str(config), "--web", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr is not None
        lines = iter(run.stderr.readline, "")
        url = next(line.rpartition(" ")[2].strip() for line in lines if "web page: " in line)
        reader = threading.Thread(target=run.stderr.read, daemon=True)  # so that the run never waits for its log
        reader.start()
        try:
            with httpx.Client(base_url=url, timeout=60) as client:
                yield client
        finally:
            run.terminate()
            assert run.wait(60) == 128 + signal.SIGTERM
            reader.join(10)


@pytest.mark.slow
def test_the_page_plays_the_clips_of_a_run_and_of_the_one_before(tmp_path: Path) -> None:
    config = tmp_path / "lpnet.toml"
    folder = tmp_path / "events"
    config.write_text(
        '[source]\nspec = "demo"\nname = "mast"\nrealtime = true\nframes = 100000\n'
        '[detector]\nmodel = "lpnet-rt-s"\nengine = "onnxruntime"\nthreads = 1\n'
        f'[events]\nfolder = "{folder}"\nbefore_s = 1\nafter_s = 1\nmax_clip_s = 3\n'
        "[publish]\nenabled = false\n[output]\nquiet = true\n"
    )
    with running_page(config) as client:
        ends_at, done = time.monotonic() + 90, []
        while not done and time.monotonic() < ends_at:
            time.sleep(0.2)
            done = [row for row in client.get("/api/events").json() if row["has_clip"]]
        answer = client.get(f"/api/events/{done[-1]['id']}/clip")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4")
        codec, times_s, _ = read(answer.content)
        assert codec == "h264"
        assert times_s
    with running_page(config) as client:
        same = next(row for row in client.get("/api/events").json() if row["began_us"] == done[-1]["began_us"])
        assert client.get(f"/api/events/{same['id']}/clip").content == answer.content
        assert client.get(f"/api/events/{same['id']}/chip.png").content.startswith(b"\x89PNG")
