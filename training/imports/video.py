"""Video for data sets: its size, and sequences of images as one lossless file."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from lpnet_rt.errors import DataError, SinkError, SourceError, reason
from lpnet_rt.training.data.files import read_grey, size_text

__all__ = ["video_size", "write_lossless"]


def video_size(path: Path) -> tuple[int, int]:
    """Return width and height of a video.

    Raises:
        DataError: It cannot be read.
    """
    from lpnet_rt.sources.containers import open_file, pick_video_stream

    try:
        with open_file(path) as container:
            stream = pick_video_stream(container, str(path))
            return stream.codec_context.width, stream.codec_context.height
    except SourceError as error:
        raise DataError(str(error)) from error


def write_lossless(path: Path, images: Sequence[Path], rate_hz: float) -> None:
    """Write images as FFV1 in MKV: every count stays as it is, at 8 or 16 bits.

    Args:
        path: File to write.
        images: Images of one size and depth, in order.
        rate_hz: Frames per second.

    Raises:
        DataError: An image cannot be read, or is of another size or depth than the first.
        SinkError: The file cannot be written.
    """
    import av  # takes a while to load

    first = read_grey(images[0])
    pixels = "gray" if first.dtype == np.uint8 else "gray16le"
    try:
        with av.open(str(path), "w") as container:
            stream = container.add_stream("ffv1", rate=Fraction(rate_hz).limit_denominator(1001))
            stream.height, stream.width = first.shape
            stream.pix_fmt = pixels
            for file in images:
                image = read_grey(file)
                if image.shape != first.shape or image.dtype != first.dtype:
                    wanted, found = (f"{size_text(one.shape)} {one.dtype}" for one in (first, image))
                    raise DataError(f"{file}: expected the sequence's size and depth {wanted}, found {found}")
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, pixels)))
            container.mux(stream.encode(None))
    except av.FFmpegError as error:
        raise SinkError(f"{path}: the video cannot be written: {reason(error)}") from error
