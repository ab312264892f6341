"""The files that are measured: H.264, made of the demo scene, so that decoding is part of what is timed."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import av

from lpnet_rt.errors import LpnetError, reason
from lpnet_rt.frames import Frame
from lpnet_rt.settings import SourceSettings
from lpnet_rt.sources import open_source
from lpnet_rt.sources.demo import DemoScene
from lpnet_rt.view.display_stretch import display_stretch

__all__ = ["count_frames", "decode_rate_hz", "first_frames", "repeat_video", "write_demo_video"]


def write_demo_video(path: Path, size_hw: tuple[int, int], frames: int, rate_hz: int = 30) -> None:
    """Write the demo scene, stretched to eight bits, as H.264.

    Args:
        path: File to write.
        size_hw: Height and width in pixels, even.
        frames: How many.
        rate_hz: Frames per second.
    """
    scene = DemoScene(seed=1, size_hw=size_hw)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate_hz, options={"preset": "veryfast", "crf": "23"})
        stream.height, stream.width = size_hw
        stream.pix_fmt = "yuv420p"
        for index in range(frames):
            picture = av.VideoFrame.from_ndarray(display_stretch(scene.frame(index)), format="gray")
            container.mux(stream.encode(picture.reformat(format="yuv420p")))
        container.mux(stream.encode(None))


def repeat_video(path: Path, out: Path, times: int) -> None:
    """Write a video's packets several times over, as they are: long runs need no long encoding.

    Args:
        path: Video that begins with a key frame.
        out: File to write.
        times: How often.
    """
    with av.open(str(out), "w") as container:
        target, offset = None, 0
        for _ in range(times):
            with av.open(str(path)) as original:
                stream = original.streams.video[0]
                target = target or container.add_stream_from_template(stream)
                end = offset
                for packet in original.demux(stream):
                    if packet.dts is None or packet.pts is None:
                        continue  # the empty packet at the end
                    packet.pts, packet.dts, packet.stream = packet.pts + offset, packet.dts + offset, target
                    end = max(end, packet.pts + (packet.duration or 0))
                    container.mux(packet)
                offset = end


def count_frames(path: Path) -> tuple[int, float]:
    """Frames in a video, and how many there are in a second.

    Raises:
        LpnetError: It is no video with a frame rate.
    """
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            rate = stream.average_rate
            frames = sum(packet.pts is not None for packet in container.demux(stream))
    except (av.FFmpegError, IndexError, OSError) as error:
        raise LpnetError(f"{path}: expected a video, found none: {reason(error)}") from error
    if not frames or not rate:
        raise LpnetError(f"{path}: expected a video with a frame rate, found {frames} frames without one")
    return frames, float(rate)


def first_frames(path: Path, most: int) -> list[Frame]:
    """Read up to ``most`` frames of a source, as the main job would."""
    source = open_source(SourceSettings(spec=str(path)))
    try:
        return list(itertools.islice(source, most))
    finally:
        source.close()


def decode_rate_hz(path: Path) -> float:
    """Frames per second of a file that is decoded and thrown away, with as many threads as FFmpeg likes."""
    count, began_s = 0, time.perf_counter()
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for _ in container.decode(video=0):
            count += 1
    return count / (time.perf_counter() - began_s)
