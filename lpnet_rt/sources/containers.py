"""Containers: opening files and streams with FFmpeg, within limits on formats, protocols and sizes."""

from __future__ import annotations

import os
from pathlib import Path

import av
import av.logging

from lpnet_rt.errors import SourceError
from lpnet_rt.sources.damage import lacks_index
from lpnet_rt.sources.limits import MAX_PIXELS, check_size

__all__ = [
    "FILE_FORMATS",
    "NO_PROTOCOL",
    "STREAM_FORMATS",
    "STREAM_SCHEMES",
    "av_reason",
    "open_file",
    "open_stream",
    "pick_video_stream",
    "silence_ffmpeg",
]

# Containers and raw video streams. Playlists, scripts and session descriptions are excluded: a small text file could
# open other files, or itself recursively. So are formats that render plain text as pictures.
# fmt: off
FILE_FORMATS = frozenset({
    "amv", "apng", "asf", "av1", "avi", "avs2", "avs3", "cavsvideo", "cine", "dhav", "dirac", "dnxhd", "dv",
    "evc", "flic", "flv", "gif", "gxf", "h261", "h263", "h264", "hevc", "ivf", "jpegxl_anim", "m4v", "matroska",
    "mjpeg", "mjpeg_2000", "mlv", "mov", "mp4", "mpeg", "mpegts", "mpegvideo", "mpjpeg", "mxf", "nsv", "nut",
    "obu", "ogg", "r3d", "rm", "ser", "smjpeg", "vc1", "vc1test", "vvc", "webm", "webp", "wtv", "wav", "xmv",
    "yuv4mpegpipe",
    # concatenated pictures
    "bmp_pipe", "j2k_pipe", "jpeg_pipe", "pgm_pipe", "png_pipe", "tiff_pipe", "webp_pipe",
})
# fmt: on
# A network stream may also be described by its protocol, or by a playlist of the same server.
STREAM_FORMATS = FILE_FORMATS | {"rtsp", "rtp", "sdp", "rtp_mpegts", "hls", "dash", "live_flv", "aac", "webvtt"}
STREAM_SCHEMES = frozenset({"rtsp", "rtsps", "http", "https", "udp", "rtp", "srt", "tcp", "rtmp"})
# Not every build of FFmpeg has these.
_OPTIONAL_SCHEMES = frozenset({"srt"})
NO_PROTOCOL = (
    f"this build of FFmpeg (PyAV {av.__version__}) lacks the protocol; "
    f"use one of {', '.join(sorted(STREAM_SCHEMES - _OPTIONAL_SCHEMES))}"
)

_LIMITS = {"max_pixels": str(MAX_PIXELS)}
_FILE_OPTIONS = _LIMITS | {
    "protocol_whitelist": "file",
    "format_whitelist": ",".join(sorted(FILE_FORMATS)),
    # Deliver every stored frame; frames hidden by an edit list have times before 0.
    "advanced_editlist": "0",
}
_STREAM_OPTIONS = _LIMITS | {
    "rtsp_flags": "prefer_tcp",
    # By default FFmpeg measures the frame rate over 20 frames before it returns the first one.
    "fpsprobesize": "4",
    # A playlist or session description from the network must not open local files.
    "protocol_whitelist": "rtsp,rtsps,http,https,udp,rtp,srtp,srt,tcp,tls,rtmp,crypto,httpproxy",
    "format_whitelist": ",".join(sorted(STREAM_FORMATS)),
}


def silence_ffmpeg() -> None:
    """Keep FFmpeg's log, which contains whole URLs and repeats our errors, out of stderr and logs.

    Only level None works: at any other level, PyAV passes FFmpeg's log to Python, and a decoder thread that waits for
    the interpreter there deadlocks when the interpreter waits for that thread to end.
    """
    av.logging.set_level(None)


def av_reason(error: av.FFmpegError) -> str:
    """Return FFmpeg's reason without the file name or URL that PyAV adds to it."""
    return (error.strerror or type(error).__name__).lower()


def open_file(path: Path) -> av.container.InputContainer:
    """Open a video file; no other file is read, whatever its content.

    Raises:
        SourceError: It cannot be read, or is not a container of :data:`FILE_FORMATS`.
    """
    try:
        if path.stat().st_size == 0:
            raise SourceError(f"{path}: expected a video, found an empty file")
        silence_ffmpeg()
        # The prefix prevents a file name from being parsed as a protocol. Metadata may not be UTF-8.
        return av.open(f"file:{os.fspath(path)}", options=_FILE_OPTIONS, metadata_errors="replace")
    except av.FFmpegError as error:
        if isinstance(error, av.InvalidDataError) and lacks_index(path):
            reason = "the video is truncated: its index (moov) is missing; record to MKV or fragmented MP4 instead"
            raise SourceError(f"{path}: {reason}") from error
        reason = "an unknown or damaged format" if isinstance(error, av.ArgumentError) else av_reason(error)
        raise SourceError(f"{path}: not a video that can be read ({reason}); name a video file") from error
    except OSError as error:
        raise SourceError(f"{path}: cannot read the file: {error.strerror}") from error


def open_stream(url: str, timeout_s: float) -> av.container.InputContainer | str:
    """Open a network stream.

    Returns:
        The container, or why opening failed: an exception would contain the whole URL with its password.
    """
    silence_ffmpeg()
    try:
        timeouts = (timeout_s, timeout_s)
        return av.open(url, timeout=timeouts, options=_STREAM_OPTIONS, metadata_errors="replace")
    except av.ProtocolNotFoundError:
        return NO_PROTOCOL
    except av.ArgumentError:
        return "its format is not one that is read from a network"
    except av.FFmpegError as error:
        return av_reason(error)
    except (OSError, ValueError) as error:
        return type(error).__name__


def pick_video_stream(container: av.container.InputContainer, what: str) -> av.VideoStream:
    """Return the first video stream that is not a cover picture, and check its size.

    Raises:
        SourceError: There is none, its codec is unknown or its size is out of bounds.
    """
    covers = av.stream.Disposition.attached_pic
    streams = [stream for stream in container.streams.video if not stream.disposition & covers]
    if not streams:
        kinds = ", ".join(stream.type for stream in container.streams) or "none"
        raise SourceError(f"{what}: expected a video stream, found streams: {kinds}; name a video file")
    stream = streams[0]
    if stream.codec_context is None:
        raise SourceError(f"{what}: unknown video codec; convert the video, to H.264 or FFV1 for example")
    check_size((stream.height, stream.width), what)
    return stream
