"""Frames with truth, held in memory: single frames with pixel masks, video frames with boxes."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from lpnet_rt.errors import DataError, SourceError, reason
from lpnet_rt.frames import GreyImage
from lpnet_rt.sources.limits import check_size
from lpnet_rt.sources.pixels import grey_pixels
from lpnet_rt.training.data.pairs import IMAGE_SUFFIXES, files_by_stem, find_mask, read_grey, read_split
from lpnet_rt.training.recipes.lpnet_rt import DataRecipe

__all__ = [
    "IGNORE",
    "Sample",
    "clip_is_held_back",
    "load_masked",
    "load_split",
    "load_training_samples",
    "load_video",
    "read_boxes",
    "spread_over",
]

IGNORE = 128
"""Truth value of pixels that count neither as target nor as background."""

Boxes = NDArray[np.float64]
_T = TypeVar("_T")

_BOX_LIMIT_PX = 1e6
# Clips are files of one of these formats; a playlist with a clip's name could open anything.
_CLIP_OPTIONS = {"format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts", "protocol_whitelist": "file"}


@dataclass(frozen=True, slots=True)
class Sample:
    """One frame with its truth.

    Attributes:
        name: For messages.
        image: (H, W) uint8 or uint16, raw counts at the depth of the file.
        truth: (H, W) uint8: 255 target, 0 background, ``IGNORE`` neither.
        boxes: (N, 4) x, y, width, height of hand-drawn boxes; empty where the truth is a pixel mask.
    """

    name: str
    image: GreyImage
    truth: NDArray[np.uint8]
    boxes: Boxes

    @property
    def has_target(self) -> bool:
        """Whether any pixel is a target's."""
        return bool((self.truth == 255).any())


def load_split(root: Path, split: str) -> list[str]:
    """Names of a split file, one a line.

    Raises:
        DataError: The file is missing, cannot be read, is empty or names an image twice.
    """
    path = root / "splits" / f"{split}.txt"
    if not path.is_file():
        raise DataError(f"{path}: expected a split file with one name a line, found none; check the data folder")
    return list(read_split(path))


def load_masked(root: Path, splits: tuple[str, ...]) -> list[Sample]:
    """Read frames with pixel masks, at the depth that their files have.

    An image is ``images/NAME`` with the ending of any format that is read, its mask ``masks/NAME``, or ``NAME_gt`` or
    ``NAME_pixels0``.

    Raises:
        DataError: A file is missing or damaged, or a mask's size is not its image's.
    """
    named = [name for split in splits for name in load_split(root, split)]
    images, masks = files_by_stem(root / "images"), files_by_stem(root / "masks")
    samples = []
    for name in named:
        image_file, mask_file = images.get(name), find_mask(masks, name)
        if image_file is None or mask_file is None:
            missing = root / ("images" if image_file is None else "masks") / name
            raise DataError(f"{missing}: expected {', '.join(IMAGE_SUFFIXES)}, found no such file; copy the data again")
        image, mask = read_grey(image_file), read_grey(mask_file)
        if image.shape != mask.shape:
            raise DataError(f"{name}: expected a mask of the image's size {image.shape}, found {mask.shape}")
        truth = np.where(mask > 0, 255, 0).astype(np.uint8)
        samples.append(Sample(name, image, truth, np.zeros((0, 4))))
    return samples


def clip_is_held_back(name: str, remainder: int, divisor: int) -> bool:
    """Whether a clip's number leaves ``remainder`` when divided by ``divisor``."""
    found = re.search(r"(\d+)$", name)
    return bool(found) and int(found.group(1)) % divisor == remainder if found else False


def read_boxes(path: Path) -> dict[int, Boxes]:
    """Boxes of a clip by frame number: (N, 4) x, y, width, height in pixels, top-left corner first.

    Raises:
        DataError: The file is missing or a line is not ``frame,x,y,w,h``.
    """
    rows: dict[int, list[list[float]]] = defaultdict(list)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for line in csv.DictReader(file):
                box = [float(line[key]) for key in ("x", "y", "w", "h")]
                if not all(abs(value) < _BOX_LIMIT_PX for value in box):  # NaN is not less either
                    raise ValueError(f"a box of {box}")
                rows[int(line["frame"])].append(box)
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise DataError(f"{path}: expected lines of frame,x,y,w,h: {reason(error)}") from error
    return {frame: np.array(boxes) for frame, boxes in rows.items()}


def spread_over(items: Sequence[_T], limit: int) -> list[_T]:
    """At most ``limit`` of the items, evenly spread over all of them; 0 takes all."""
    if not 0 < limit < len(items):
        return list(items)
    return [items[index * len(items) // limit] for index in range(limit)]


def load_video(
    root: Path, stride: int, held_back: tuple[int, int], keep_held_back: bool, limit: int = 0
) -> list[Sample]:
    """Read every ``stride``-th labelled frame of the clips, with truth made from the boxes.

    Args:
        root: Folder with ``clips/*.mp4`` and ``boxes/*.csv``.
        stride: Keep every n-th labelled frame of a clip.
        held_back: Remainder and divisor that mark the clips held back.
        keep_held_back: Read those clips, or all others.
        limit: At most so many clips, evenly spread; 0 reads all.

    Raises:
        DataError: A clip or its boxes are missing or damaged, or a clip holds more than 8 bits.
    """
    clips = sorted((root / "clips").glob("*.mp4"))
    if not clips:
        raise DataError(f"{root}: expected clips/*.mp4, found none")
    samples = []
    for clip in spread_over([c for c in clips if clip_is_held_back(c.stem, *held_back) == keep_held_back], limit):
        boxes = read_boxes(root / "boxes" / f"{clip.stem}.csv")
        wanted = set(sorted(boxes)[::stride])
        for index, image in _read_frames(clip, wanted):
            truth = _truth_from_boxes(image, boxes[index])
            samples.append(Sample(f"{clip.stem}:{index}", image, truth, boxes[index]))
    return samples


def _read_frames(clip: Path, wanted: set[int]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield the wanted frames of a clip with their numbers, in the counts that a source delivers at run time."""
    try:
        with av.open(str(clip), container_options=_CLIP_OPTIONS) as container:
            context = container.streams.video[0].codec_context
            check_size((context.height, context.width), str(clip))
            for index, frame in enumerate(container.decode(video=0)):
                if index in wanted:
                    image, bit_depth = grey_pixels(frame)
                    if bit_depth != 8:
                        raise DataError(f"{clip}: expected 8-bit frames, found {bit_depth} bits; convert the clip")
                    yield index, image.astype(np.uint8, copy=False)
    except (av.FFmpegError, IndexError, SourceError) as error:
        raise DataError(f"{clip}: expected a video that can be read: {error}; copy it anew") from error


def load_training_samples(recipe: DataRecipe) -> tuple[list[Sample], list[Sample], list[Sample]]:
    """Everything a run trains on: frames with targets, target-free frames, video frames."""
    masked = load_masked(Path(recipe.sirst), recipe.train_splits)
    video: list[Sample] = []
    if recipe.video and recipe.video_crops:
        held_back = (recipe.held_back, recipe.held_back_of)
        video = load_video(Path(recipe.video), recipe.video_stride, held_back, keep_held_back=False)
        video = [sample for sample in video if sample.has_target]
    return [s for s in masked if s.has_target], [s for s in masked if not s.has_target], video


def _truth_from_boxes(image: NDArray[np.uint8], boxes: Boxes) -> NDArray[np.uint8]:
    """Make pixel truth from loose boxes: pixels over half the contrast of the hot blob in the middle of the box.

    The rest of a box, and two pixels around it, is ignored; so is a whole box in which no blob stands out.
    """
    height, width = image.shape
    truth = np.zeros(image.shape, np.uint8)
    smooth = cv2.GaussianBlur(image, (3, 3), 0.8).astype(np.float32)
    for x, y, w, h in boxes:
        x1, y1 = max(0, round(x) - 2), max(0, round(y) - 2)
        x2, y2 = min(width, round(x + w) + 2), min(height, round(y + h) + 2)
        if x2 - x1 < 4 or y2 - y1 < 4:
            continue
        window = smooth[y1:y2, x1:x2]
        region = truth[y1:y2, x1:x2]
        region[region == 0] = IGNORE
        border = np.concatenate((window[0], window[-1], window[:, 0], window[:, -1]))
        background, spread = float(np.median(border)), float(np.subtract(*np.percentile(border, (84, 16)))) / 2
        inner = window[window.shape[0] // 4 : -(window.shape[0] // 4), window.shape[1] // 4 : -(window.shape[1] // 4)]
        peak_y, peak_x = np.unravel_index(int(inner.argmax()), inner.shape)
        seed = (int(peak_y) + window.shape[0] // 4, int(peak_x) + window.shape[1] // 4)
        contrast = float(window[seed]) - background
        if contrast < max(2.5 * spread, 3.0):
            continue
        hot = (image[y1:y2, x1:x2] >= background + contrast / 2).astype(np.uint8)
        hot[seed] = 1
        _, labels = cv2.connectedComponents(hot, connectivity=8)
        region[labels == labels[seed]] = 255
    return truth
