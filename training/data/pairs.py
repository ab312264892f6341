"""What ``evaluate`` judges: images with their masks and, beside them, a detector's predictions."""

from __future__ import annotations

import io
import math
import os
import tokenize
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from lpnet_rt.errors import DataError, reason
from lpnet_rt.training.data.data_set import Entry
from lpnet_rt.training.data.files import IMAGE_SUFFIXES, MASK_ENDINGS, files_by_stem, read_grey, size_text
from lpnet_rt.training.data.folders import pair_folders
from lpnet_rt.training.evaluation.components import Prediction

__all__ = ["Pair", "pair_files", "read_prediction"]

_PREDICTION_SUFFIXES = (*IMAGE_SUFFIXES, ".npy")
_HEADER_LIMIT_BYTES = 1 << 16
_SCORE_TYPES = tuple(np.dtype(kind) for kind in ("bool", "u1", "u2", "f2", "f4", "f8"))


@dataclass(frozen=True, slots=True)
class Pair:
    """An image with its mask, both there, and what is judged.

    Attributes:
        entry: Their files.
        prediction: Mask or score map of a detector, or None.
    """

    entry: Entry
    prediction: Path | None = None


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
    entries = pair_folders(images, "", (images, masks), {"": split} if split else {}).entries
    judged = files_by_stem(predictions, _PREDICTION_SUFFIXES) if predictions else {}
    if split is None and images.resolve() == masks.resolve():
        stems = {entry.name for entry in entries}
        entries = tuple(entry for entry in entries if not _is_mask_beside(entry.name, stems))
    if not entries:
        raise DataError(f"{images}: expected images ({', '.join(IMAGE_SUFFIXES)}), found none")
    total = len(entries)
    _refuse_missing([e.name for e in entries if e.image is None], "image", images, total)
    _refuse_missing([e.name for e in entries if e.mask is None], "mask", masks, total)
    if predictions:
        _refuse_missing([e.name for e in entries if e.name not in judged], "prediction", predictions, total)
    return [Pair(entry, judged.get(entry.name)) for entry in entries]


def _is_mask_beside(stem: str, stems: set[str]) -> bool:
    """Whether a file of a folder that holds images and masks together is a mask."""
    return any(ending and stem.endswith(ending) and stem[: -len(ending)] in stems for ending in MASK_ENDINGS)


def _refuse_missing(stems: list[str], kind: str, folder: Path, total: int) -> None:
    if stems:
        some = ", ".join(stems[:3]) + (", ..." if len(stems) > 3 else "")
        raise DataError(f"{folder}: expected one {kind} for each of {total} images, {len(stems)} missing: {some}")


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
        raise DataError(f"{path}: expected the image's size {size_text(size_hw)}, found {size_text(prediction.shape)}")
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
        raise DataError(f"{path}: expected the image's size {size_text(size_hw)}, found {size_text(shape)}")
    count = math.prod(shape)
    there = os.fstat(file.fileno()).st_size - file.tell()
    if there != count * dtype.itemsize:
        raise DataError(f"{path}: expected {count * dtype.itemsize:,} bytes of scores, found {there:,}; copy it again")
    array = np.fromfile(file, dtype, count).reshape(shape, order="F" if by_columns else "C")
    return np.ascontiguousarray(array, kind)
