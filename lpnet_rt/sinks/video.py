"""Save the overlay as an H.264 video that stays playable if the program is killed."""

from __future__ import annotations

import math
import os
from fractions import Fraction
from pathlib import Path

import av
from av.container import OutputContainer
from av.video.stream import VideoStream

from lpnet_rt.errors import SinkError, reason
from lpnet_rt.files import create_file
from lpnet_rt.frames import Frame
from lpnet_rt.reports import Report
from lpnet_rt.view.overlay import Painter, Picture

__all__ = ["VideoSink"]

_ENCODERS = ("libx264", "libopenh264", "mpeg4")
_RATE_HZ = 25.0
_TIME_BASE = Fraction(1, 90_000)
_FRAGMENT_S = 1.0
_LONGEST_STEP_S = 10.0
# Fragments (.mp4) and clusters (.mkv) are flushed to disk when complete: a kill loses only the last one.
_CONTAINER_OPTIONS = {
    ".mp4": {"movflags": "frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"},
    ".mkv": {"cluster_time_limit": "1000", "flush_packets": "1"},
}
_ENCODER_OPTIONS = {
    "libx264": {"preset": "superfast", "crf": "20", "tune": "zerolatency"},
    "libopenh264": {},
    "mpeg4": {"qscale": "3"},
}


class VideoSink:
    """Writes the overlay of every frame.

    The first frame sets the picture size; frames of another size are fitted into it with bars before drawing. Frames
    keep their own times in the video.
    """

    def __init__(self, path: str, rate_hz: float | None, painter: Painter, overwrite: bool = False) -> None:
        """Open the file.

        Args:
            path: File to write, ending in .mp4 or .mkv.
            rate_hz: Nominal frames per second of the source; None: 25.
            painter: Draws the overlay.
            overwrite: Replace an existing file when the first frame is written; else it is refused.

        Raises:
            SinkError: The name has another ending, or the file exists, cannot be written or is being written by another
                process.
        """
        self._path = Path(path)
        if self._path.suffix.lower() not in _CONTAINER_OPTIONS:
            raise SinkError(f"video: {path}: expected a name that ends in .mp4 or .mkv")
        self._rate_hz = rate_hz if rate_hz and math.isfinite(rate_hz) and rate_hz > 0 else _RATE_HZ
        self._painter = painter
        self._opened: tuple[OutputContainer, VideoStream] | None = None
        self._last: Frame | None = None
        self._time_s = 0.0
        self._last_pts = -1
        self._is_closed = False
        self._was_there = self._path.exists()
        # Held until the end: the lock keeps a second run off the file; its content stays until the first frame.
        self._lock = create_file(self._path, "video", overwrite)

    def write(self, report: Report) -> None:
        """Encode one frame.

        Raises:
            SinkError: The encoder fails, the disk is full or the sink is closed.
        """
        if self._is_closed:
            raise SinkError(f"video: {self._path}: expected an open file, found it closed; open a new sink")
        try:
            container, stream = self._opened or self._open(self._painter.paint(report))
            picture = self._painter.paint(report, (stream.height, stream.width))
            image = av.VideoFrame.from_ndarray(picture, format="bgr24")
            image.time_base = _TIME_BASE
            image.pts = self._pts_of(report.frame)
            container.mux(stream.encode(image))
        except (av.FFmpegError, OSError) as error:
            raise SinkError(f"video: {self._path}: cannot be written: {reason(error)}") from error

    def tick(self) -> None:
        """Do nothing."""

    def close(self, outcome: str = "end") -> None:
        """Finish the file; a new one without any frame is removed. Harmless when called twice.

        Raises:
            SinkError: The end of the video cannot be written.
        """
        if self._is_closed:
            return
        self._is_closed = True
        try:
            if self._opened is None:
                if not self._was_there:
                    self._path.unlink(missing_ok=True)
                return
            container, stream = self._opened
            with container:
                container.mux(stream.encode(None))
        except (av.FFmpegError, OSError) as error:
            raise SinkError(f"video: {self._path}: cannot be finished: {reason(error)}") from error
        finally:
            os.close(self._lock)

    def _open(self, picture: Picture) -> tuple[OutputContainer, VideoStream]:
        """Open the encoder at the size of the first picture, rounded up to even sides for H.264."""
        height, width = (side + side % 2 for side in picture.shape[:2])
        name = _installed_encoder()
        options = _CONTAINER_OPTIONS[self._path.suffix.lower()]
        container = av.open(str(self._path), "w", options=options)
        stream = container.add_stream(name, rate=Fraction(self._rate_hz).limit_denominator(1001))
        assert isinstance(stream, VideoStream)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        stream.time_base = stream.codec_context.time_base = _TIME_BASE
        stream.codec_context.gop_size = max(1, round(self._rate_hz * _FRAGMENT_S))
        stream.codec_context.options = _ENCODER_OPTIONS[name]
        self._opened = (container, stream)
        return self._opened

    def _pts_of(self, frame: Frame) -> int:
        """Return the frame's time in the video, in units of the time base; strictly increasing."""
        nominal_s = 1.0 / self._rate_hz
        last, self._last = self._last, frame
        if last is not None:
            if frame.pts_s is not None and last.pts_s is not None:
                step_s = frame.pts_s - last.pts_s
            else:
                step_s = (frame.index - last.index) * nominal_s
            # A reopened stream restarts its clock; a long outage would become a frozen picture.
            self._time_s += step_s if 0.0 < step_s <= _LONGEST_STEP_S else nominal_s
        self._last_pts = max(self._last_pts + 1, round(self._time_s / _TIME_BASE))
        return self._last_pts


def _installed_encoder() -> str:
    """Return the first of our encoders in this build of FFmpeg.

    Raises:
        SinkError: It has none of them.
    """
    for name in _ENCODERS:
        if name in av.codecs_available:
            return name
    raise SinkError(f"video: expected an FFmpeg with one of {', '.join(_ENCODERS)}, found none; pip install av")
