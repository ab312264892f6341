"""Exports of labelling tools, written by hand in the form that their documentation gives, over small real images."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

SIZE_WH = (56, 40)


def counts(seed: int, xy: tuple[float, float] | None = (22, 11), deep: bool = True) -> np.ndarray:
    """14-bit counts with a target of 400 counts at a place, or none; every frame another."""
    ys, xs = np.mgrid[0 : SIZE_WH[1], 0 : SIZE_WH[0]]
    image = 8000 + 2.0 * ys + np.random.default_rng(seed).normal(0, 6, (SIZE_WH[1], SIZE_WH[0]))
    if xy is not None:
        image += 400 * np.exp(-0.5 * ((xs - xy[0]) ** 2 + (ys - xy[1]) ** 2) / 1.5**2)
    return image.astype(np.uint16) if deep else ((image - 7900) / 3).clip(0, 255).astype(np.uint8)


def write_image(path: Path, seed: int = 0, xy: tuple[float, float] | None = (22, 11), deep: bool = True) -> Path:
    """Write such an image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), counts(seed, xy, deep))
    return path


def write_json(path: Path, tree: object) -> Path:
    """Write a JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(tree))
    return path


def write_text(path: Path, text: str) -> Path:
    """Write a text file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def coco(names: list[str], annotations: list[dict[str, object]]) -> dict[str, object]:
    """A COCO file over images of the usual size."""
    images = [{"id": n, "file_name": name, "width": 56, "height": 40} for n, name in enumerate(names, start=1)]
    full = [{"id": n, "category_id": 1, "iscrowd": 0, **one} for n, one in enumerate(annotations, start=1)]
    return {
        "images": images,
        "annotations": full,
        "categories": [{"id": 1, "name": "target"}, {"id": 2, "name": "sun"}],
    }
