"""Clips as browsers play them: MP4 with H.264."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from lpnet_rt.errors import SourceError, reason
from lpnet_rt.view.display_stretch import display_stretch

__all__ = ["mp4_of"]

_MAX_BYTES = 256 * 2**20
_DEEP = ("gray16le", "gray12le", "gray10le", "gray14le")


def mp4_of(path: Path) -> bytes:
    """Return a clip as MP4: H.264 is copied as it is, all else is encoded, deep frames stretched for the eye.

    Args:
        path: A clip of an event, a Matroska file; it may still be written.

    Raises:
        SourceError: It cannot be read, or is over 256 MB.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise SourceError(f"{path.name}: expected a clip of at most {_MAX_BYTES} bytes; play the file itself")
        target = io.BytesIO()
        with (
            av.open(str(path), format="matroska") as source,
            av.open(target, "w", format="mp4") as out,
        ):
            video = source.streams.video[0]
            copy = video.codec_context.name == "h264" and video.codec_context.pix_fmt in ("yuv420p", "yuvj420p")
            (_copy if copy else _encode)(source, out)
        return target.getvalue()
    except (av.error.FFmpegError, OSError, IndexError, ValueError) as error:
        raise SourceError(f"{path.name}: the clip cannot be read: {reason(error)}") from error


def _copy(source: av.container.InputContainer, out: av.container.OutputContainer) -> None:
    video = source.streams.video[0]
    stream = out.add_stream_from_template(video)
    packets = [(packet, packet.pts) for packet in source.demux(video) if packet.pts is not None]
    # Matroska knows when pictures are shown, not in which order they are decoded; MP4 needs both.
    shown = sorted(pts for _, pts in packets)
    late = max((at - pts for at, (_, pts) in zip(shown, packets, strict=True)), default=0)
    for at, (packet, pts) in zip(shown, packets, strict=True):
        packet.pts, packet.dts = pts - shown[0], at - late - shown[0]
        packet.stream = stream
        out.mux(packet)


def _encode(source: av.container.InputContainer, out: av.container.OutputContainer) -> None:
    video = source.streams.video[0]
    stream = None
    begins_s: float | None = None
    time_base = Fraction(1, 90_000)
    for frame in source.decode(video):
        if stream is None:
            stream = out.add_stream(
                "libx264", rate=video.average_rate or 30, options={"preset": "ultrafast", "crf": "20"}
            )
            stream.width, stream.height = frame.width // 2 * 2, frame.height // 2 * 2
            stream.pix_fmt, stream.codec_context.time_base = "yuv420p", time_base
        begins_s = frame.time if begins_s is None else begins_s
        shown = _shown(frame).reformat(stream.width, stream.height, "yuv420p")
        shown.pts, shown.time_base = round((frame.time - begins_s) / time_base), time_base
        out.mux(stream.encode(shown))
    if stream is not None:
        out.mux(stream.encode(None))


def _shown(frame: av.VideoFrame) -> av.VideoFrame:
    """The frame as it is shown, in RGB, whatever the range of its brightness was."""
    if frame.format.name in _DEEP:
        deep = np.asarray(frame.to_ndarray(format="gray16le"), np.uint16)
        return av.VideoFrame.from_ndarray(display_stretch(deep), "gray")
    return av.VideoFrame.from_ndarray(frame.to_ndarray(format="rgb24"), "rgb24")
