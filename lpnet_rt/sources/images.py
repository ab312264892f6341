"""Images: a file, a folder or a glob of PNG, BMP, JPEG and TIFF files, one frame each."""

from __future__ import annotations

import glob
import mmap
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event

import cv2
import numpy as np

from lpnet_rt.clock import SYSTEM_CLOCK, Clock
from lpnet_rt.errors import SourceError
from lpnet_rt.frames import Frame, GreyImage, to_grey
from lpnet_rt.sources.headers import HeaderError, image_size, is_complete
from lpnet_rt.sources.limits import check_size
from lpnet_rt.sources.naming import natural_key

__all__ = ["IMAGE_SUFFIXES", "ImageSource", "find_images", "read_image"]

IMAGE_SUFFIXES = frozenset({".png", ".bmp", ".jpg", ".jpeg", ".tif", ".tiff"})
_FORMATS = "PNG, BMP, JPEG or TIFF"


class ImageSource:
    """Delivers one frame a file, in the order given."""

    def __init__(self, paths: Sequence[Path], name: str, limit: int | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        """Nothing is read yet.

        Args:
            paths: Image files; their sizes may differ.
            name: Name for message topics.
            limit: Stop after this many frames.
            clock: Tells when each frame was read.
        """
        self._paths = tuple(paths[:limit])
        self._name = name
        self._clock = clock
        self._closed = Event()

    @property
    def name(self) -> str:
        """Name for message topics."""
        return self._name

    @property
    def live(self) -> bool:
        """False: files wait."""
        return False

    @property
    def frame_count(self) -> int:
        """Files that will be read."""
        return len(self._paths)

    @property
    def rate_hz(self) -> None:
        """None: images have no times."""
        return None

    @property
    def files(self) -> tuple[Path, ...]:
        """The images."""
        return self._paths

    def __iter__(self) -> Iterator[Frame]:
        """Yield one frame a file, its ``file`` set.

        Raises:
            SourceError: At the first file that cannot be read; the frames before it were delivered.
        """
        for index, path in enumerate(self._paths):
            if self._closed.is_set():
                return
            image = read_image(path)
            yield Frame(
                image=image,
                index=index,
                source=self._name,
                pts_s=None,
                t_capture_us=self._clock.unix_us(),
                t_read_ns=self._clock.monotonic_ns(),
                bit_depth=8 if image.dtype == np.uint8 else 16,
                file=path.name,
            )

    def close(self) -> None:
        """End the iteration before its next file."""
        self._closed.set()


def find_images(spec: str) -> list[Path]:
    """List the images of a folder, of a glob or a single file, sorted naturally (``f2`` before ``f10``).

    Raises:
        SourceError: There is none.
    """
    place = Path(spec)
    if place.is_file():
        return [place]
    files = place.iterdir() if place.is_dir() else map(Path, glob.glob(spec, recursive=True))
    try:
        shown = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")]
    except OSError as error:
        raise SourceError(f"{spec}: cannot read the folder: {error.strerror}") from error
    images = sorted((path for path in shown if path.is_file()), key=natural_key)
    if not images:
        raise SourceError(f"{spec}: expected {_FORMATS} images, found none; name a folder or a glob that holds some")
    return images


def read_image(path: Path) -> GreyImage:
    """Read one image as grey counts at the depth it has.

    The header is looked at first: a picture over the size limits is refused before it is decoded. Alpha is left
    out, palettes and colours become grey.

    Args:
        path: PNG, BMP, JPEG or TIFF file, 8 or 16 bits a channel.

    Returns:
        (H, W) uint8 or uint16.

    Raises:
        SourceError: It cannot be read, is no image, is cut off, is too small or too large, or is no 8 or 16 bit one.
    """
    try:
        with path.open("rb") as file:
            if file.seek(0, 2) == 0:
                raise SourceError(f"{path}: expected a {_FORMATS} image, found an empty file")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _decode(data, path)
    except OSError as error:
        raise SourceError(f"{path}: cannot read the image: {error.strerror}") from error


def _decode(data: mmap.mmap, path: Path) -> GreyImage:
    try:
        check_size(image_size(data), str(path))
        complete = is_complete(data)
    except HeaderError as error:
        raise SourceError(f"{path}: expected a {_FORMATS} image, found {error}") from error
    if not complete:
        raise SourceError(f"{path}: the image is truncated ({len(data)} bytes are there); copy it anew")
    # libpng, libtiff and OpenCV write to stderr what the error below says.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        image = cv2.imdecode(np.frombuffer(data[:], np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise SourceError(f"{path}: the image cannot be decoded: {error.err}") from error
    if image is None:
        raise SourceError(f"{path}: the image is damaged, or holds pixels that are not read; copy or convert it")
    if image.dtype == np.uint8:
        return to_grey(image.astype(np.uint8, copy=False))
    if image.dtype == np.uint16:
        return to_grey(image.astype(np.uint16, copy=False))
    raise SourceError(f"{path}: expected 8 or 16 bit counts, found {image.dtype}; convert it to 16 bit")
