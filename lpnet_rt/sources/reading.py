"""Read one image file as grey counts, within limits on its size and memory."""

from __future__ import annotations

import mmap
from pathlib import Path

import cv2
import numpy as np

from lpnet_rt.errors import SourceError
from lpnet_rt.frames import GreyImage
from lpnet_rt.sources.colour import channel_spread
from lpnet_rt.sources.headers import HeaderError, ImageHeader, image_headers, is_complete
from lpnet_rt.sources.limits import MAX_PIXELS, check_decoded_bytes, check_size

__all__ = ["IMAGE_FORMATS", "image_colour", "image_pages", "image_size", "read_image"]

IMAGE_FORMATS = "PNG, BMP, JPEG or TIFF"
# Grey at the depth of the file. OpenCV then holds the picture once and converts colours line by line.
_FLAGS = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION


def image_pages(path: Path) -> tuple[int, ...]:
    """Return the numbers of the pages of an image file, from 0: more than one only in a TIFF.

    Raises:
        SourceError: It cannot be read or is not an image.
    """
    with _Mapped(path) as data:
        return tuple(header.page for header in _headers(data, path))


def image_size(path: Path) -> tuple[int, int]:
    """Return height and width of an image file's first page, as its header states them.

    Raises:
        SourceError: It cannot be read, is not an image, or is too small or too large.
    """
    with _Mapped(path) as data:
        size_hw = _headers(data, path)[0].size_hw
    check_size(size_hw, str(path))
    return size_hw


def read_image(path: Path, page: int | None = None) -> GreyImage:
    """Read one image as grey counts at its own depth.

    A picture over the limits on size and memory is refused by its header, before it is decoded. Alpha is dropped;
    palettes and colours become grey.

    Args:
        path: PNG, BMP, JPEG or TIFF file, 8 or 16 bits per channel.
        page: Page, one of :func:`image_pages`; None reads the only one.

    Returns:
        (H, W) uint8 or uint16.

    Raises:
        SourceError: It cannot be read, is not an image, is truncated or damaged, is too small or too large, does not
            have 8 or 16 bits, or has several pages and ``page`` is None.
    """
    with _Mapped(path) as data:
        headers = _headers(data, path)
        if page is None and len(headers) > 1:
            raise SourceError(f"{path}: expected one page, found {len(headers)}; save each page as a file")
        header = next((header for header in headers if header.page == page), headers[0])
        check_size(header.size_hw, str(path))
        check_decoded_bytes(header.decoded_bytes, str(path))
        _check_whole(data, path)
        return _decode(data, path, header)


def image_colour(path: Path) -> float | None:
    """Return how colourful the first picture of a file is, see :class:`lpnet_rt.frames.Frame`; None if unreadable.

    Call it for files only that :func:`read_image` has read: limits are checked there.
    """
    with _Mapped(path) as data:
        encoded = np.frombuffer(data, np.uint8)
        try:
            small = cv2.imdecode(encoded, cv2.IMREAD_REDUCED_COLOR_8)
        except cv2.error:
            small = None
        finally:
            del encoded  # the file cannot be closed while an array refers to it
    return None if small is None else channel_spread(small.astype(np.uint8, copy=False))


class _Mapped:
    """A file mapped into memory; raises SourceError."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> mmap.mmap:
        try:
            with self._path.open("rb") as file:
                if file.seek(0, 2) == 0:
                    raise SourceError(f"{self._path}: expected a {IMAGE_FORMATS} image, found an empty file")
                self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise SourceError(f"{self._path}: cannot read the image: {error.strerror}") from error
        return self._data

    def __exit__(self, *_: object) -> None:
        self._data.close()


def _headers(data: mmap.mmap, path: Path) -> list[ImageHeader]:
    try:
        return image_headers(data)
    except HeaderError as error:
        raise SourceError(f"{path}: expected a {IMAGE_FORMATS} image, found {error}") from error


def _check_whole(data: mmap.mmap, path: Path) -> None:
    if not is_complete(data):
        raise SourceError(f"{path}: the image is truncated ({len(data)} bytes are there); copy it again")
    if data[:2] == b"\xff\xd8" and not _jpeg_is_whole(data):
        raise SourceError(f"{path}: the image is damaged or cut off (its JPEG data end too early); copy it again")


def _jpeg_is_whole(data: mmap.mmap) -> bool:
    """Return whether JPEG data reach the last pixel; OpenCV's decoder fills in grey if not."""
    import av  # slow to load, and only JPEG needs it

    from lpnet_rt.sources.containers import silence_ffmpeg

    silence_ffmpeg()
    decoder = av.CodecContext.create("mjpeg", "r")
    decoder.options = {"err_detect": "crccheck+bitstream+buffer+explode", "max_pixels": str(MAX_PIXELS)}
    decoder.thread_count = 1
    try:
        decoder.decode(av.Packet(bytes(data)))
    except av.InvalidDataError:
        return False
    except av.FFmpegError:
        return True  # an unsupported kind of JPEG need not be damaged
    return True


def _decode(data: mmap.mmap, path: Path, header: ImageHeader) -> GreyImage:
    # libpng, libtiff and OpenCV write to stderr; the errors below say the same.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    encoded = np.frombuffer(data, np.uint8)
    try:
        if header.page == 0:
            image = cv2.imdecode(encoded, _FLAGS)
        else:
            pages = cv2.imdecodemulti(encoded, _FLAGS, range=(header.page, header.page + 1))[1]
            image = pages[0] if pages else None
    except cv2.error as error:
        raise SourceError(f"{path}: the image cannot be decoded: {error.err}") from error
    finally:
        del encoded  # the file cannot be closed while an array refers to it
    if image is None:
        raise SourceError(f"{path}: the image is damaged, or holds pixels that are not read; copy or convert it")
    if image.dtype == np.uint8:
        return image.astype(np.uint8, copy=False)
    if image.dtype == np.uint16:
        return image.astype(np.uint16, copy=False)
    raise SourceError(f"{path}: expected 8 or 16 bit counts, found {image.dtype}; convert it to 16 bit")
