"""Small generated data in the layout that LPNet-RT is trained on, and a recipe that trains on it within a second."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from lpnet_rt.training.recipes.data import PartRecipe
from lpnet_rt.training.recipes.lpnet_rt import DataRecipe, NetworkRecipe, OptimiserRecipe, Recipe

SIDE_PX = 96


def frame(seed: int, has_target: bool, dtype: type = np.uint8) -> tuple[np.ndarray, np.ndarray]:
    """A noisy sky, with a blob or without, and its mask; 16-bit frames span thousands of counts."""
    rng = np.random.default_rng(seed)
    ys, xs = np.mgrid[0:SIDE_PX, 0:SIDE_PX]
    sky = 80 + 0.3 * ys + rng.normal(0, 2, (SIDE_PX, SIDE_PX))
    blob = np.exp(-0.5 * ((xs - 20 - 9 * (seed % 5)) ** 2 + (ys - 40) ** 2) / 1.5**2) * has_target
    counts = sky + 90 * blob
    image = counts.clip(0, 255).astype(np.uint8) if dtype is np.uint8 else (6000 + 40 * counts).astype(np.uint16)
    return image, np.where(blob >= 0.5, 255, 0).astype(np.uint8)


def write_set(root: Path, dtype: type = np.uint8, suffix: str = ".png") -> Path:
    """Four frames with targets and three without to train on, one of each to validate on."""
    for folder in ("images", "masks", "splits"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    splits = {"v1_train": range(4), "v2_train": range(10, 13), "v1_val": (20,), "v2_val": (21,)}
    for split, seeds in splits.items():
        for seed in seeds:
            image, mask = frame(seed, split.startswith("v1"), dtype)
            assert cv2.imwrite(str(root / "images" / f"s{seed}{suffix}"), image)
            assert cv2.imwrite(str(root / "masks" / f"s{seed}.png"), mask)
        (root / "splits" / f"{split}.txt").write_text("".join(f"s{seed}\n" for seed in seeds))
    return root


def small_recipe(root: Path, **optimiser: object) -> Recipe:
    """Two steps an epoch, two epochs."""
    values = {"epochs": 2, "batch": 3, "warmup_steps": 2, "hard_every": 1, "validate_every": 1} | optimiser
    return Recipe(
        network=NetworkRecipe(
            channels=(4, 6, 8), blocks=(1, 1, 1), hints=1, local_channels=4, local_blocks=1, patches=4
        ),
        data=DataRecipe(
            root=str(root),
            train=(PartRecipe(splits=("v1_train", "v2_train")),),
            validation=(
                PartRecipe(splits=("v1_val",), role="targets"),
                PartRecipe(splits=("v2_val",), role="target-free"),
            ),
            crop_px=64,
            mask_crops=4,
            empty_crops=2,
        ),
        optimiser=OptimiserRecipe(**values),  # type: ignore[arg-type]
        precision="f32",
        seed=5,
    )
