"""Draw docs/failures.png: the ten worst misses and the ten worst false detections of the packaged model, one per clip.

    scripts/draw_failures.py --data DIR [--model lpnet-rt]

``DIR`` holds ``irvideo/``; only clips that the model was not trained on are looked at, every 6th frame. A miss is the
worse the more frames of its clip are missed, a false detection the higher its score, under the threshold, too.
docs/failures.md has a sentence on each.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lpnet_rt.detector import Detector
from lpnet_rt.frames import GreyImage
from lpnet_rt.settings import DetectorSettings
from lpnet_rt.tracking import WEAK_SCORE
from lpnet_rt.training.data.clips import clip_is_held_back, read_clip, read_clip_labels
from lpnet_rt.training.data.layouts import open_data_set
from lpnet_rt.training.tracks.truth import inside_boxes
from lpnet_rt.view.display_stretch import display_stretch

_PICTURE = Path(__file__).resolve().parent.parent / "docs" / "failures.png"
_SIDE_PX, _ZOOM, _ROW, _STRIDE = 64, 3, 5, 6
_GREEN, _RED, _WHITE = (80, 220, 80), (60, 60, 255), (255, 255, 255)


@dataclass(frozen=True, slots=True)
class _Failure:
    badness: float
    score: float
    clip: str
    frame: int
    crop: NDArray[np.uint8]


def _crop(image: GreyImage, xy: Sequence[float], box: Sequence[float] | None) -> NDArray[np.uint8]:
    """64x64 pixels around a place, enlarged, with the box in green or the place in red."""
    half = _SIDE_PX // 2
    grey = cv2.copyMakeBorder(display_stretch(image), half, half, half, half, cv2.BORDER_CONSTANT)
    x, y = round(xy[0]), round(xy[1])
    part = cv2.resize(grey[y : y + _SIDE_PX, x : x + _SIDE_PX], None, fx=_ZOOM, fy=_ZOOM)
    colour = cv2.cvtColor(part, cv2.COLOR_GRAY2BGR)
    middle = half * _ZOOM
    if box is None:
        cv2.circle(colour, (middle, middle), 18, _RED, 1, cv2.LINE_AA)
    else:
        sides = [round(side * _ZOOM / 2) + 3 for side in box[2:]]
        cv2.rectangle(colour, (middle - sides[0], middle - sides[1]), (middle + sides[0], middle + sides[1]), _GREEN, 1)
    return np.asarray(colour, np.uint8)


def _of_clip(detector: Detector, threshold: float, root: Path, name: str, path: Path) -> list[_Failure | None]:
    """The clip's worst miss and worst false detection."""
    labels, misses, labelled = read_clip_labels(root, name), [], 0
    worst: _Failure | None = None
    for index, image, _ in read_clip(path):
        boxes = labels.boxes_xywh.get(index, np.zeros((0, 4)))
        if index % _STRIDE or not len(boxes):
            continue
        labelled += 1
        found = detector.detect(image)
        inside = inside_boxes(found.centroid_xy.astype(np.float64), boxes)
        sure = found.score >= threshold
        if not inside[sure].any():
            score = float(found.score[inside.any(axis=1)].max(initial=0.0))
            x, y, width, height = boxes[0]
            misses.append(_Failure(0.0, score, name, index, _crop(image, (x + width / 2, y + height / 2), boxes[0])))
        ignored = labels.ignored_xy.get(index, np.zeros((0, 2)))
        near = np.hypot(*(found.centroid_xy[:, None] - ignored[None]).transpose(2, 0, 1)).min(axis=1, initial=np.inf)
        for place in np.flatnonzero(~inside.any(axis=1) & (near > 10))[:1]:
            score = float(found.score[place])
            if worst is None or score > worst.score:
                worst = _Failure(score, score, name, index, _crop(image, found.centroid_xy[place], None))
    share = len(misses) / max(labelled, 1)
    miss = min(misses, key=lambda one: one.score, default=None)
    return [miss and _Failure(share, miss.score, name, miss.frame, miss.crop), worst]


def _sheet(kind: str, failures: Sequence[_Failure]) -> NDArray[np.uint8]:
    side = _SIDE_PX * _ZOOM
    sheet = np.full((2 * (side + 22), _ROW * (side + 4), 3), 24, np.uint8)
    for number, one in enumerate(failures):
        x, y = number % _ROW * (side + 4), number // _ROW * (side + 22)
        sheet[y + 20 : y + 20 + side, x : x + side] = one.crop
        text = f"{kind}{number + 1} {one.clip.removeprefix('IR_')} {one.score:.2f}"
        cv2.putText(sheet, text, (x + 2, y + 14), cv2.FONT_HERSHEY_SIMPLEX, 0.38, _WHITE, 1, cv2.LINE_AA)
    return sheet


def main() -> None:
    """Look at every clip held back and draw the worst."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder with irvideo/")
    parser.add_argument("--model", default="lpnet-rt", metavar="M")
    args = parser.parse_args()
    root = args.data / "irvideo"
    threshold = Detector.load(DetectorSettings(model=args.model)).threshold
    detector = Detector.load(DetectorSettings(model=args.model, threshold=WEAK_SCORE))
    pairs = [
        _of_clip(detector, threshold, root, clip.name, clip.image)
        for clip in open_data_set(root, "clips").entries
        if clip.image and clip_is_held_back(clip.name, 1, 5)
    ]
    sheets = []
    for kind, column in (("M", 0), ("F", 1)):
        found = [one for one in (pair[column] for pair in pairs) if one is not None]
        worst = sorted(found, key=lambda one: one.badness, reverse=True)[:10]
        for number, one in enumerate(worst):
            print(f"{kind}{number + 1} {one.clip} frame {one.frame} score {one.score:.2f} badness {one.badness:.2f}")
        sheets.append(_sheet(kind, worst))
    cv2.imwrite(str(_PICTURE), np.vstack(sheets))


if __name__ == "__main__":
    main()
