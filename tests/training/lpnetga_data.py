"""A small generated data set in the plain layout, and a recipe of LPNetGA that trains on it within a second."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from lpnet_rt.training.commands.train import load_recipe
from lpnet_rt.training.recipes.lpnetga import LPNetGARecipe


def frame(seed: int, size_hw: tuple[int, int] = (60, 90)) -> tuple[np.ndarray, np.ndarray]:
    """A noisy sky with one blob, and its mask."""
    rng = np.random.default_rng(seed)
    ys, xs = np.mgrid[0 : size_hw[0], 0 : size_hw[1]]
    y, x = rng.uniform(12, size_hw[0] - 12), rng.uniform(12, size_hw[1] - 12)
    shape = np.exp(-0.5 * ((xs - x) ** 2 + (ys - y) ** 2) / 2.0**2)
    image = (90 + rng.normal(0, 3, size_hw) + 120 * shape).clip(0, 255).astype(np.uint8)
    return image, np.where(shape > 0.5, 255, 0).astype(np.uint8)


def write_plain(root: Path) -> Path:
    """A data set in the plain layout: six training frames, two for validation."""
    for name in ("images", "masks", "splits"):
        (root / name).mkdir()
    names = [f"f{i}" for i in range(8)]
    for i, name in enumerate(names):
        image, mask = frame(i)
        assert cv2.imwrite(str(root / "images" / f"{name}.png"), image)
        assert cv2.imwrite(str(root / "masks" / f"{name}.png"), mask)
    (root / "splits" / "train.txt").write_text("\n".join(names[:6]))
    (root / "splits" / "val.txt").write_text("\n".join(names[6:]))
    (root / "splits" / "test.txt").write_text(names[0])
    return root


def small_lpnetga_recipe(root: Path, *changes: str) -> LPNetGARecipe:
    """Patches of 12 px in crops of 24, batches of 2: three steps an epoch."""
    recipe = load_recipe(
        "lpnetga-sirst",
        str(root),
        [
            "network.patch_px=12",
            "network.stride_px=6",
            "network.padding_px=0",
            "data.side_px=24",
            "optimiser.batch=2",
            "optimiser.epochs=3",
            "optimiser.validate_every=3",
            "precision=f32",
            *changes,
        ],
    )
    assert isinstance(recipe, LPNetGARecipe)
    return recipe
