"""Images of clips, decoded at full depth, and kept: a run that starts again maps them instead of decoding them.

The key of a clip is its path, size and time of change and the frames that are wanted; truth is drawn at each start.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lpnet_rt.cache import CacheFolder, cache_folder
from lpnet_rt.errors import DataError, SourceError, reason
from lpnet_rt.frames import GreyImage

__all__ = ["cached_clip", "read_clip"]

_MAX_FILES = 4096
_MAX_BYTES = 16 << 30
_CLIP_BYTES = 1 << 30


def read_clip(path: Path, wanted: Collection[int] | None = None) -> Iterator[tuple[int, GreyImage, int]]:
    """Yield number, counts and bit depth of a clip's frames: the counts that a source delivers at run time.

    Args:
        path: Video file.
        wanted: Numbers of the frames to yield, from 0; None yields all.

    Yields:
        Number, (H, W) uint8 or uint16, significant bits of a count.

    Raises:
        DataError: It cannot be read, or ends before a wanted frame.
    """
    import av  # takes a while to load, and images do without it

    from lpnet_rt.sources.containers import av_reason, open_file, pick_video_stream
    from lpnet_rt.sources.pixels import grey_pixels

    index, last = -1, None if wanted is None else max(wanted, default=-1)
    try:
        with open_file(path) as container:
            for index, frame in enumerate(container.decode(pick_video_stream(container, str(path)))):
                if wanted is None or index in wanted:
                    yield index, *grey_pixels(frame)
                if last is not None and index >= last:
                    return
    except SourceError as error:
        raise DataError(str(error)) from error
    except av.FFmpegError as error:
        raise DataError(f"{path}: the clip is damaged ({av_reason(error)}); copy it again") from error
    if last is not None and last > index:
        raise DataError(f"{path}: expected frame {last}, which its boxes name, found {index + 1} frames; copy it again")


def cached_clip(path: Path, wanted: Collection[int]) -> Iterator[tuple[int, GreyImage, int]]:
    """Yield what :func:`read_clip` yields, decoded once; images may be read-only.

    Frames are kept in the cache folder, at most 16 GiB of all clips together, those used last; a clip whose frames take
    over 1 GiB is decoded every time.

    Args:
        path: Video file.
        wanted: Numbers of the frames to yield, from 0.

    Raises:
        DataError: It cannot be read, or ends before a wanted frame.
    """
    folder = CacheFolder(cache_folder() / "clips", _MAX_FILES, _MAX_BYTES)
    key = _key(path, wanted)
    images = folder.map_array(f"{key}.npy")
    if images is not None and images.ndim == 3 and len(images) == len(set(wanted)):
        bit_depths = folder.map_array(f"{key}.depths.npy")
        if bit_depths is not None and len(bit_depths) == len(images):
            yield from zip(sorted(set(wanted)), images, bit_depths.tolist(), strict=True)
            return
    frames = []
    for frame in read_clip(path, wanted):
        frames.append(frame)
        yield frame
    if frames and len({(image.shape, image.dtype) for _, image, _ in frames}) == 1:
        stack = np.stack([image for _, image, _ in frames])
        if stack.nbytes <= _CLIP_BYTES:
            folder.write(f"{key}.depths.npy", _encoded(np.array([depth for *_, depth in frames])))
            folder.write(f"{key}.npy", _encoded(stack))


def _key(path: Path, wanted: Collection[int]) -> str:
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"{path}: the clip cannot be read: {reason(error)}") from error
    text = f"{path.resolve()} {status.st_size} {status.st_mtime_ns} {sorted(set(wanted))}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _encoded(array: NDArray[np.generic]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
