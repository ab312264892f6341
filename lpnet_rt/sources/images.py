"""Images: a file, a folder or a glob of PNG, BMP, JPEG and TIFF files, one frame each."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from threading import Event

import numpy as np

from lpnet_rt.clock import SYSTEM_CLOCK, Clock
from lpnet_rt.errors import LostError, SourceError, TruncatedError
from lpnet_rt.frames import Frame, GreyImage
from lpnet_rt.sources.blocking import BlockingCalls, FinishedError
from lpnet_rt.sources.colour import is_sampled
from lpnet_rt.sources.naming import natural_key
from lpnet_rt.sources.reading import IMAGE_FORMATS, image_colour, image_pages, read_image

__all__ = ["IMAGE_SUFFIXES", "ImageSource", "find_images"]

IMAGE_SUFFIXES = frozenset({".png", ".bmp", ".jpg", ".jpeg", ".tif", ".tiff"})
# Only these hold more than one picture.
_PAGED_SUFFIXES = frozenset({".tif", ".tiff"})
_READ_S = 120.0


class ImageSource:
    """Delivers one frame per picture, in the given order: one per file, and one per page of a TIFF.

    A separate thread reads the files, so that a disk that does not respond blocks nothing else.
    """

    def __init__(self, paths: Sequence[Path], name: str, limit: int | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        """Read only the headers of TIFF files.

        Args:
            paths: Image files; their sizes may differ.
            name: Name for message topics.
            limit: Stop after this many frames.
            clock: Clock for read times.
        """
        self._paths = tuple(paths)
        self._name = name
        self._limit = limit
        self._clock = clock
        self._closed = Event()
        self._calls = BlockingCalls(f"images {name}")
        pictures = sum(self._page_count(path) for path in self._paths)
        self._pictures = pictures if limit is None else min(pictures, limit)

    @property
    def name(self) -> str:
        """Name for message topics."""
        return self._name

    @property
    def live(self) -> bool:
        """False: files wait for their reader."""
        return False

    @property
    def frame_count(self) -> int:
        """Number of pictures, up to the limit."""
        return self._pictures

    @property
    def rate_hz(self) -> None:
        """None: images have no times."""
        return None

    @property
    def files(self) -> tuple[Path, ...]:
        """The images."""
        return self._paths

    def __iter__(self) -> Iterator[Frame]:
        """Yield one frame per picture, with ``file`` set; pages of one file share its name.

        A picture that cannot be read is left out, counted in ``dropped`` and leaves a gap in ``index``.

        Raises:
            TruncatedError: At the end, if some could not be read; the others were delivered.
            LostError: A file could not be read within two minutes; the frames before it were delivered.
            SourceError: None could be read.
        """
        delivered = 0
        refused: list[SourceError] = []
        try:
            for path, page in self._pictures_of(refused):
                image = self._read(path, page, delivered, refused)
                if self._closed.is_set():
                    return
                if image is None:
                    continue
                yield self._frame(image, path, delivered + len(refused), len(refused))
                delivered += 1
                if delivered == self._limit:
                    break
        finally:
            self.close()
        _judge(delivered, refused)

    def close(self) -> None:
        """End the iteration before its next file; a reader in another thread ends at once."""
        self._closed.set()
        self._calls.finish(lambda: None)

    def _page_count(self, path: Path) -> int:
        if path.suffix.lower() not in _PAGED_SUFFIXES:
            return 1
        try:
            return len(self._calls.call(lambda: image_pages(path), _READ_S))
        except (SourceError, TimeoutError):
            return 1  # reported when it is read

    def _pictures_of(self, refused: list[SourceError]) -> Iterator[tuple[Path, int]]:
        """Yield file and page of every picture; files that are not images are appended to ``refused``."""
        for path in self._paths:
            if self._closed.is_set():
                return
            try:
                pages = self._calls.call(partial(image_pages, path), _READ_S)
            except FinishedError:
                return
            except SourceError as error:
                refused.append(error)
                continue
            yield from ((path, page) for page in pages)

    def _read(self, path: Path, page: int, delivered: int, refused: list[SourceError]) -> GreyImage | None:
        try:
            return self._calls.call(lambda: read_image(path, page), _READ_S)
        except FinishedError:
            return None
        except TimeoutError as error:
            kind = LostError if delivered else SourceError
            raise kind(f"{path}: could not be read within {_READ_S:g} s; check the disk") from error
        except SourceError as error:
            refused.append(error)
            return None

    def _colour(self, path: Path) -> float | None:
        """Return how colourful the first picture of a file is, or None if that cannot be read."""
        try:
            return self._calls.call(lambda: image_colour(path), _READ_S)
        except (SourceError, FinishedError, TimeoutError):
            return None

    def _frame(self, image: GreyImage, path: Path, index: int, dropped: int) -> Frame:
        return Frame(
            image=image,
            index=index,
            source=self._name,
            pts_s=None,
            t_capture_us=self._clock.unix_us(),
            t_read_ns=self._clock.monotonic_ns(),
            bit_depth=8 if image.dtype == np.uint8 else 16,
            dropped=dropped,
            file=path.name,
            colour=self._colour(path) if is_sampled(index) else None,
        )


def _judge(delivered: int, refused: list[SourceError]) -> None:
    """Raise if anything was left out, with the first reason."""
    if not refused:
        return
    if not delivered and len(refused) == 1:
        raise refused[0]
    if not delivered:
        raise SourceError(f"none of {len(refused)} images could be read, the first: {refused[0]}") from refused[0]
    left_out = "1 image was left out" if len(refused) == 1 else f"{len(refused)} images were left out, the first"
    raise TruncatedError(f"{left_out}: {refused[0]}; {delivered} frames were delivered") from refused[0]


def find_images(spec: str) -> list[Path]:
    """List the images of a folder, of a glob or a single file, sorted naturally (``f2`` before ``f10``).

    Raises:
        SourceError: There are none.
    """
    given = Path(spec)
    if given.is_file():
        return [given]
    files = given.iterdir() if given.is_dir() else map(Path, glob.glob(spec, recursive=True))
    try:
        shown = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")]
    except OSError as error:
        raise SourceError(f"{spec}: cannot read the folder: {error.strerror}") from error
    images = sorted((path for path in shown if path.is_file()), key=natural_key)
    if not images:
        raise SourceError(
            f"{spec}: expected {IMAGE_FORMATS} images, found none; name a folder or a glob that holds some"
        )
    return images
