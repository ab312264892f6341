"""Images, masks and predictions on disk: found, paired by stem, and read."""

from __future__ import annotations

import io
import math
import os
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from lpnet_rt.errors import DataError, SourceError, reason
from lpnet_rt.files import read_limited
from lpnet_rt.frames import GreyImage
from lpnet_rt.sources.reading import read_image
from lpnet_rt.training.evaluation.components import Prediction

__all__ = [
    "IMAGE_SUFFIXES",
    "MASK_ENDINGS",
    "Pair",
    "files_by_stem",
    "find_mask",
    "pair_files",
    "read_grey",
    "read_mask",
    "read_prediction",
    "read_split",
]

IMAGE_SUFFIXES = (".png", ".bmp", ".jpg", ".jpeg", ".tif", ".tiff")
PREDICTION_SUFFIXES = (*IMAGE_SUFFIXES, ".npy")

_SPLIT_LIMIT_BYTES = 16 << 20
_HEADER_LIMIT_BYTES = 1 << 16
_SCORE_TYPES = tuple(np.dtype(kind) for kind in ("bool", "u1", "u2", "f2", "f4", "f8"))

# A mask has its image's stem, alone or with the ending of the paper's layout or of SIRST v1.
MASK_ENDINGS = ("", "_gt", "_pixels0")


@dataclass(frozen=True, slots=True)
class Pair:
    """The files that belong together.

    Attributes:
        stem: Stem of the image's file name.
        image: Grey or colour image, 8 or 16 bit.
        mask: Truth; anything but 0 is target.
        prediction: Mask or score map of a detector, or None.
    """

    stem: str
    image: Path
    mask: Path
    prediction: Path | None = None


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


def read_split(path: Path) -> tuple[str, ...]:
    """Return the stems a split file names, one a line; a file suffix and blank lines are dropped.

    Raises:
        DataError: The file cannot be read, names nothing, or names a stem twice.
    """
    content = read_limited(path, _SPLIT_LIMIT_BYTES, "text file with one image name a line", DataError)
    try:
        lines = content.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected a text file with one image name a line: {reason(error)}") from error
    names = (line.strip() for line in lines)
    stems = tuple(name[: -len(Path(name).suffix)] if _has_suffix(name) else name for name in names if name)
    if not stems:
        raise DataError(f"{path}: expected one image name a line, found none")
    if len(set(stems)) < len(stems):
        twice = next(stem for i, stem in enumerate(stems) if stem in stems[:i])
        raise DataError(f"{path}: {twice} stands there twice; name every image once")
    return stems


def _has_suffix(name: str) -> bool:
    return Path(name).suffix.lower() in IMAGE_SUFFIXES


def find_mask(masks: dict[str, Path], stem: str) -> Path | None:
    """Return the mask of an image's stem: NAME, NAME_gt or NAME_pixels0."""
    return next((masks[stem + ending] for ending in MASK_ENDINGS if stem + ending in masks), None)


def pair_files(images: Path, masks: Path, split: Path | None = None, predictions: Path | None = None) -> list[Pair]:
    """Pair the files of up to three folders by stem.

    Args:
        images: Folder of images.
        masks: Folder of masks: NAME, NAME_gt or NAME_pixels0 for an image NAME.
        split: Text file with the stems to take, in its order; None takes every image.
        predictions: Folder of a detector's masks or score maps.

    Raises:
        DataError: A folder or the split cannot be read, or an image, a mask or a prediction is missing.
    """
    image_files, mask_files = files_by_stem(images), files_by_stem(masks)
    judged = files_by_stem(predictions, PREDICTION_SUFFIXES) if predictions else None
    stems = (
        read_split(split)
        if split
        else tuple(s for s in image_files if not _is_mask_beside(s, image_files, images, masks))
    )
    if not stems:
        raise DataError(f"{images}: expected images ({', '.join(IMAGE_SUFFIXES)}), found none")
    _refuse_missing([s for s in stems if s not in image_files], "image", images, len(stems))
    found = {stem: find_mask(mask_files, stem) for stem in stems}
    _refuse_missing([s for s in stems if found[s] is None], "mask", masks, len(stems))
    if judged is not None:
        _refuse_missing([s for s in stems if s not in judged], "prediction", predictions or images, len(stems))
    return [
        Pair(stem, image_files[stem], mask, judged[stem] if judged is not None else None)
        for stem, mask in found.items()
        if mask is not None
    ]


def _is_mask_beside(stem: str, files: dict[str, Path], images: Path, masks: Path) -> bool:
    """Whether a file of a folder that holds images and masks together is a mask."""
    if images.resolve() != masks.resolve():
        return False
    return any(ending and stem.endswith(ending) and stem[: -len(ending)] in files for ending in MASK_ENDINGS)


def _refuse_missing(stems: list[str], kind: str, folder: Path, total: int) -> None:
    if stems:
        some = ", ".join(stems[:3]) + (", ..." if len(stems) > 3 else "")
        raise DataError(f"{folder}: expected one {kind} for each of {total} images, {len(stems)} missing: {some}")


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


def read_mask(path: Path, size_hw: tuple[int, ...]) -> NDArray[np.bool_]:
    """Read a truth mask as (H, W) bool; anything but 0 is target.

    Args:
        path: Image file.
        size_hw: Size of the image it belongs to.

    Raises:
        DataError: The file is no image, or of another size.
    """
    mask = read_grey(path)
    if mask.shape != size_hw:
        raise DataError(f"{path}: expected the image's size {_size(size_hw)}, found {_size(mask.shape)}")
    return np.asarray(mask != 0)


def read_prediction(path: Path, size_hw: tuple[int, ...]) -> Prediction:
    """Read a detector's answer: an 8 or 16 bit mask or score map, or a .npy of floats from 0 to 1.

    Args:
        path: Image or .npy file.
        size_hw: Size of the image it belongs to.

    Raises:
        DataError: The file cannot be read, is of another size, or holds scores outside 0..1.
    """
    prediction = _read_array(path, size_hw) if path.suffix.lower() == ".npy" else read_grey(path)
    if prediction.shape != size_hw:
        raise DataError(f"{path}: expected the image's size {_size(size_hw)}, found {_size(prediction.shape)}")
    return prediction


def _read_array(path: Path, size_hw: tuple[int, ...]) -> Prediction:
    """Read a .npy file whose header says that it holds scores of this size; nothing else is loaded."""
    try:
        with path.open("rb") as file:
            array = _array_of(file, path, size_hw)
    # What a header is parsed with raises one or the other for text that is no header.
    except (OSError, ValueError, EOFError, SyntaxError, TypeError, RecursionError, tokenize.TokenError) as error:
        raise DataError(
            f"{path}: expected a NumPy array of numbers, found a file that cannot be read: {reason(error)}"
        ) from error
    # min and max of NaN are NaN, which no comparison accepts.
    if array.dtype.kind == "f" and array.size and not (array.min() >= 0.0 and array.max() <= 1.0):
        raise DataError(f"{path}: expected scores from 0 to 1, found {array.min():g} to {array.max():g}")
    return cast(Prediction, array.astype(np.float32) if array.dtype == np.float16 else array)


def _array_of(file: BinaryIO, path: Path, size_hw: tuple[int, ...]) -> NDArray[np.generic]:
    # A header may claim to be gigabytes long; of one that is, only this much is read.
    start = io.BytesIO(file.read(_HEADER_LIMIT_BYTES))
    read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(npy.read_magic(start))
    if read_header is None:
        raise ValueError("a .npy format other than 1.0 and 2.0")
    shape, by_columns, dtype = read_header(start)
    file.seek(start.tell())
    kind = dtype.newbyteorder("=")
    if kind not in _SCORE_TYPES:
        raise DataError(f"{path}: expected float scores or a mask, found {kind}")
    if shape != size_hw:
        raise DataError(f"{path}: expected the image's size {_size(size_hw)}, found {_size(shape)}")
    count = math.prod(shape)
    there = os.fstat(file.fileno()).st_size - file.tell()
    if there != count * dtype.itemsize:
        raise DataError(f"{path}: expected {count * dtype.itemsize:,} bytes of scores, found {there:,}; copy it again")
    array = np.fromfile(file, dtype, count).reshape(shape, order="F" if by_columns else "C")
    return np.ascontiguousarray(array, kind)


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(str(n) for n in (shape[1], shape[0])) if len(shape) == 2 else str(shape)
