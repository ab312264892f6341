"""The folder that labels and images lie in: what is there is listed once, and only what is listed is opened."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import TypeVar

from lpnet_rt.errors import DataError, reason
from lpnet_rt.sources.naming import natural_key
from lpnet_rt.training.data.clips import CLIP_SUFFIXES
from lpnet_rt.training.data.files import IMAGE_SUFFIXES

__all__ = ["LabelSource", "closest"]

_Item = TypeVar("_Item")
_Read = TypeVar("_Read")

_MAX_FILES = 2_000_000
# Label Studio puts eight hexadecimal digits before the name of a file that is uploaded.
_UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-(?=.)")


class LabelSource:
    """Labels, images and videos of an export. Links are not followed, so that nothing outside is read.

    Attributes:
        path: What was named: a folder, or a file of labels.
        root: The folder, or the folder of the file.
        media: Folder of the images and videos.
        notes: What was left out and why, a line each.
    """

    def __init__(self, path: Path, media: Path | None = None, skip_bad: bool = False) -> None:
        """List what is there.

        Args:
            path: Folder of an export, or one file of labels.
            media: Folder of images and videos; None: the folder of the labels.
            skip_bad: Leave out, and note, what cannot be read.

        Raises:
            DataError: Nothing is there, it cannot be read or holds too many files.
        """
        if not path.exists():
            raise DataError(f"{path}: expected a folder or a file of labels, found nothing")
        self.path = path
        self.root = path if path.is_dir() else path.parent
        self.media = media or self.root
        self.notes: list[str] = []
        self._skip_bad = skip_bad
        is_labels = path.is_file() and path.suffix.lower() in (".json", ".xml")
        self._files = [path] if is_labels else _listed(self.root)
        shown = self._files if media is None and not is_labels else _listed(self.media)
        self.images = [one for one in shown if one.suffix.lower() in IMAGE_SUFFIXES]
        videos = [one for one in shown if one.suffix.lower() in CLIP_SUFFIXES]
        self._images_by = _indexed(self.images)
        self._videos_by = _indexed(videos)

    def files(self, *suffixes: str) -> list[Path]:
        """Files of labels with one of the suffixes, sorted."""
        return [path for path in self._files if path.suffix.lower() in suffixes]

    def each(self, items: Iterable[_Item], read: Callable[[_Item], _Read]) -> list[_Read]:
        """Read items one by one; with ``skip_bad`` what cannot be read is noted instead of raised.

        Raises:
            DataError: As ``read``, without ``skip_bad``.
        """
        done = []
        for item in items:
            try:
                done.append(read(item))
            except DataError as error:
                if not self._skip_bad:
                    raise
                self.notes.append(str(error))
        return done

    def relative(self, path: Path) -> str:
        """A file's path below the folder of images, with forward slashes."""
        base = self.media if path.is_relative_to(self.media) else self.root
        return path.relative_to(base).as_posix() if path.is_relative_to(base) else path.name

    def image(self, name: str, where: str) -> Path:
        """Find an image by the path or the name that labels have for it.

        The name may have lost or gained folders, and its ending may be another one: labels that were drawn on 8-bit
        copies find the deep originals.

        Args:
            name: As the labels have it.
            where: File of the labels, for the message.

        Raises:
            DataError: The name leads out of the folder, or the image is missing or found twice.
        """
        return self._find(name, where, self._images_by, "image")

    def video(self, name: str, where: str) -> Path:
        """Find a video by its path or name; see :meth:`image`.

        Raises:
            DataError: As :meth:`image`.
        """
        return self._find(name, where, self._videos_by, "video")

    def has_video(self, name: str) -> bool:
        """Whether a video of this name is there."""
        return PurePosixPath(name.replace("\\", "/")).name in self._videos_by

    def images_in(self, folder: Path) -> tuple[Path, ...]:
        """The images of one folder, in the order of their numbers."""
        return tuple(sorted((path for path in self.images if path.parent == folder), key=natural_key))

    def _find(self, name: str, where: str, index: dict[str, list[Path]], kind: str) -> Path:
        given = PurePosixPath(name.replace("\\", "/"))
        if ".." in given.parts:
            raise DataError(f"{where}: expected the name of a file in {self.media}, found one that leads out: {name}")
        for base in (given.name, _UPLOAD_PREFIX.sub("", given.name)):
            found = index.get(base) or index.get(PurePosixPath(base).stem)
            if found:
                return closest(found, given, where)
        raise DataError(
            f"{where}: expected the {kind} {name} in {self.media}, found none; name its folder with --images"
        )


def _indexed(paths: Sequence[Path]) -> dict[str, list[Path]]:
    """Files by name and by name without ending."""
    index: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        index[path.name].append(path)
        if path.stem != path.name:
            index[path.stem].append(path)
    return dict(index)


def closest(found: Sequence[Path], given: PurePosixPath, where: str) -> Path:
    """Return the file that shares most of its folders with the name that was given.

    Args:
        found: Files of that name.
        given: Path that labels give.
        where: File of the labels, for the message.

    Raises:
        DataError: Several share as many.
    """
    shared = [_shared_parts(path, given) for path in found]
    best = [path for path, count in zip(found, shared, strict=True) if count == max(shared)]
    if len(best) > 1:
        places = " and ".join(str(path.parent) for path in best[:2])
        raise DataError(f"{where}: expected one file {given}, found it in {places}; name one folder with --images")
    return best[0]


def _shared_parts(path: Path, given: PurePosixPath) -> int:
    count = 0
    for ours, theirs in zip(reversed(path.parts[:-1]), reversed(given.parts[:-1]), strict=False):
        if ours != theirs:
            break
        count += 1
    return count


def _listed(folder: Path) -> list[Path]:
    """Every regular file below a folder, sorted; hidden ones, and what macOS adds to archives, are left out."""
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a folder, found {'a file' if folder.exists() else 'nothing'}")
    found: list[Path] = []
    try:
        for here, folders, names in os.walk(folder, followlinks=False, onerror=_raise):
            folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
            paths = (Path(here, name) for name in sorted(names) if not name.startswith("."))
            found += (path for path in paths if not path.is_symlink() and path.is_file())
            if len(found) > _MAX_FILES:
                raise DataError(f"{folder}: expected at most {_MAX_FILES:,} files, found more; name a smaller folder")
    except OSError as error:
        raise DataError(f"{folder}: expected a folder that can be read: {reason(error)}") from error
    return found


def _raise(error: OSError) -> None:
    raise error
