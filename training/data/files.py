"""Image files and split files: found, paired by stem, and read at full depth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lpnet_rt.errors import DataError, SourceError, reason
from lpnet_rt.files import read_limited
from lpnet_rt.frames import GreyImage
from lpnet_rt.sources.reading import read_image

__all__ = [
    "IMAGE_SUFFIXES",
    "MASK_ENDINGS",
    "files_by_stem",
    "find_mask",
    "read_grey",
    "read_mask",
    "read_split",
    "size_text",
]

IMAGE_SUFFIXES = (".png", ".bmp", ".jpg", ".jpeg", ".tif", ".tiff")
# A mask has its image's stem, as it is or with the ending of the paper's layout or of SIRST v1.
MASK_ENDINGS = ("", "_gt", "_pixels0")

_SPLIT_LIMIT_BYTES = 16 << 20


def files_by_stem(folder: Path, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> dict[str, Path]:
    """Return the folder's files with one of the suffixes, by stem, sorted.

    Raises:
        DataError: The folder is none, or two files share a stem.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a folder, found {'a file' if folder.exists() else 'nothing'}")
    found: dict[str, Path] = {}
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: expected a folder that can be read: {reason(error)}") from error
    for path in paths:
        if path.suffix.lower() not in suffixes or not path.is_file():
            continue
        if path.stem in found:
            raise DataError(f"{folder}: {found[path.stem].name} and {path.name} share a stem; keep one of them")
        found[path.stem] = path
    return found


def find_mask(masks: dict[str, Path], stem: str) -> Path | None:
    """Return the mask of an image's stem: NAME, NAME_gt or NAME_pixels0."""
    return next((masks[stem + ending] for ending in MASK_ENDINGS if stem + ending in masks), None)


def read_split(path: Path, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> tuple[str, ...]:
    """Return the stems a split file names, one a line; a file suffix and blank lines are dropped.

    Raises:
        DataError: The file cannot be read, names nothing, or names a stem twice.
    """
    content = read_limited(path, _SPLIT_LIMIT_BYTES, "text file with one image name a line", DataError)
    try:
        lines = content.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected a text file with one image name a line: {reason(error)}") from error
    names = [line.strip() for line in lines if line.strip()]
    ends = (Path(name).suffix for name in names)
    stems = tuple(n.removesuffix(end) if end.lower() in suffixes else n for n, end in zip(names, ends, strict=True))
    if not stems:
        raise DataError(f"{path}: expected one image name a line, found none")
    if len(set(stems)) < len(stems):
        twice = next(stem for i, stem in enumerate(stems) if stem in stems[:i])
        raise DataError(f"{path}: {twice} stands there twice; name every image once")
    return stems


def read_grey(path: Path) -> GreyImage:
    """Read an image as (H, W) uint8 or uint16, at the depth it has.

    Its header is looked at first: a picture over the size limits is refused before it is decoded.

    Raises:
        DataError: The file is no image, is damaged, cut off, too small or too large, or has another depth.
    """
    try:
        return read_image(path)
    except SourceError as error:
        raise DataError(str(error)) from error


def read_mask(path: Path, size_hw: tuple[int, ...]) -> GreyImage:
    """Read a mask with the values it has.

    Args:
        path: Image file.
        size_hw: Size of the image it belongs to.

    Raises:
        DataError: The file is no image, or of another size.
    """
    mask = read_grey(path)
    if mask.shape != size_hw:
        raise DataError(f"{path}: expected the image's size {size_text(size_hw)}, found {size_text(mask.shape)}")
    return mask


def size_text(shape: tuple[int, ...]) -> str:
    """Return the size of an image as width x height, for messages; any other shape as it is."""
    return "x".join(str(n) for n in (shape[1], shape[0])) if len(shape) == 2 else str(shape)
