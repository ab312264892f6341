"""A contact sheet of masks that are drawn from boxes, to be judged by eye.

``python -m lpnet_rt.training.data.box_sheet DATA/irvideo --out sheet.png --seed 1`` shows boxes of clips that are
trained on, a third each of small, middling and large ones: the picture, and beside it the target outlined in red and
what is ignored in blue.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lpnet_rt.console import exit_code_of
from lpnet_rt.errors import DataError
from lpnet_rt.files import write_whole
from lpnet_rt.frames import GreyImage
from lpnet_rt.training.data.clips import clip_is_held_back, read_boxes, read_clip
from lpnet_rt.training.data.data_set import Entry
from lpnet_rt.training.data.frames import IGNORE, Truth
from lpnet_rt.training.data.layouts import open_data_set

__all__ = ["contact_sheet", "main"]

_TILE_PX = 150
_COLUMNS = 6
_LEAST_VIEW_PX = 36
_SMALL_PX, _LARGE_PX = 14.0, 32.0
_HELD_BACK = (1, 5)
_RED, _BLUE = (60, 60, 255), (255, 120, 60)

_Choice = tuple[Entry, int, NDArray[np.float64]]


def contact_sheet(root: Path, count: int, seed: int) -> NDArray[np.uint8]:
    """Draw a sheet of boxes that are chosen at random, at most one of a clip.

    Args:
        root: Folder of a data set in the layout ``clips``.
        count: How many boxes.
        seed: Of the choice.

    Returns:
        (H, W, 3) uint8, BGR.

    Raises:
        DataError: The data set has no boxes, or a clip cannot be read.
    """
    tiles = []
    for number, (clip, frame, box) in enumerate(_chosen(root, count, seed), start=1):
        if clip.image is None:
            continue
        for _, image, _ in read_clip(clip.image, {frame}):
            tiles.append(_tile(image, box, f"{number} {clip.name}:{frame}"))
    if not tiles:
        raise DataError(f"{root}: expected clips with boxes, found none")
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % _COLUMNS)
    rows = [np.hstack(tiles[start : start + _COLUMNS]) for start in range(0, len(tiles), _COLUMNS)]
    return np.vstack(rows)


def _chosen(root: Path, count: int, seed: int) -> list[_Choice]:
    """Boxes of training clips, a third of each size class as far as there are enough."""
    rng = np.random.default_rng(seed)
    clips = [one for one in open_data_set(root).entries if not clip_is_held_back(one.name, *_HELD_BACK)]
    classes: list[list[_Choice]] = [[], [], []]
    for place in rng.permutation(len(clips)):
        clip = clips[place]
        boxes = [
            (frame, box) for frame, found in read_boxes(root / "boxes" / f"{clip.name}.csv").items() for box in found
        ]
        if boxes:
            frame, box = boxes[int(rng.integers(len(boxes)))]
            side_px = float(max(box[2:]))
            classes[int(side_px > _SMALL_PX) + int(side_px > _LARGE_PX)].append((clip, frame, box))
    share = -(-count // 3)
    chosen = [one for group in classes for one in group[:share]]
    rest = [one for group in classes for one in group[share:]]
    return [*chosen, *rest][:count]


def _tile(image: GreyImage, box_xywh: NDArray[np.float64], title: str) -> NDArray[np.uint8]:
    """The surroundings of a box, plain and with its mask."""
    truth = Truth.from_boxes(image, box_xywh[None])
    x, y, width, height = box_xywh
    half = int(max(_LEAST_VIEW_PX, 1.6 * max(width, height)) / 2)
    left = int(np.clip(x + width / 2 - half, 0, max(0, image.shape[1] - 2 * half)))
    top = int(np.clip(y + height / 2 - half, 0, max(0, image.shape[0] - 2 * half)))
    window = (slice(top, top + 2 * half), slice(left, left + 2 * half))
    view = image[window].astype(np.float32)
    grey = ((view - view.min()) / max(float(np.ptp(view)), 1.0) * 255).astype(np.uint8)
    plain = cv2.resize(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), (_TILE_PX, _TILE_PX), interpolation=cv2.INTER_NEAREST)
    drawn = plain.copy()
    for value, colour in ((IGNORE, _BLUE), (255, _RED)):
        part = (truth.mask[window] >= value).astype(np.uint8)
        large = cv2.resize(part, (_TILE_PX, _TILE_PX), interpolation=cv2.INTER_NEAREST)
        contours, _ = cv2.findContours(large, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(drawn, contours, -1, colour, 1)
    both = np.hstack((plain, drawn))
    bar = np.zeros((14, both.shape[1], 3), np.uint8)
    cv2.putText(bar, title, (2, 11), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (220, 220, 220), 1, cv2.LINE_AA)
    return np.vstack((bar, both)).astype(np.uint8)


def main(argv: Sequence[str] | None = None) -> int:
    """Write a sheet; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m lpnet_rt.training.data.box_sheet", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR", help="data set in the layout clips")
    parser.add_argument("--out", type=Path, required=True, metavar="PNG", help="picture to write")
    parser.add_argument("--count", type=int, default=30, metavar="N", help="boxes (30)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="seed of the choice (1)")
    args = parser.parse_args(argv)

    def work() -> int:
        sheet = contact_sheet(args.folder, args.count, args.seed)
        write_whole(args.out, cv2.imencode(".png", sheet)[1].tobytes(), "--out")
        return 0

    return exit_code_of(work)


if __name__ == "__main__":
    sys.exit(main())
