"""One's own 16-bit frames, arranged by ``data convert``: both networks train on them, with every count as recorded."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from lpnet_rt.cli import main
from lpnet_rt.training.commands.train import load_recipe
from lpnet_rt.training.crops.lpnet_rt import CropDataset
from lpnet_rt.training.data.roles import training_frames

SIDE_PX = 72
RECIPES = {
    "lpnet-rt": """
task = "lpnet-rt"
precision = "f32"
[network]
channels = [4, 6, 8]
blocks = [1, 1, 1]
hints = 1
local_channels = 4
local_blocks = 1
patches = 4
[data]
crop_px = 64
mask_crops = 4
empty_crops = 2
[optimiser]
epochs = 1
batch = 2
validate_every = 2
""",
    "lpnetga": """
task = "lpnetga"
precision = "f32"
[network]
patch_px = 12
stride_px = 6
padding_px = 0
[data]
side_px = 24
[loss]
patches = 1
[optimiser]
epochs = 1
batch = 2
validate_every = 2
""",
}


def counts(seed: int, target: bool) -> tuple[np.ndarray, np.ndarray]:
    """14-bit counts around 8,000 with a deviation of 6, perhaps with a target of 60 counts, and the mask."""
    ys, xs = np.mgrid[0:SIDE_PX, 0:SIDE_PX]
    blob = np.exp(-0.5 * ((xs - 20 - 4 * seed) ** 2 + (ys - 40) ** 2) / 1.5**2) * target
    image = 8000 + 0.5 * ys + np.random.default_rng(seed).normal(0, 6, (SIDE_PX, SIDE_PX)) + 60 * blob
    return image.astype(np.uint16), np.where(blob >= 0.5, 255, 0).astype(np.uint8)


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four frames to train on, one of them without a target, and two to validate on."""
    root = tmp_path_factory.mktemp("own")
    for folder in ("images", "masks"):
        (root / "recorded" / folder).mkdir(parents=True)
    for i in range(6):
        for folder, picture in zip(("images", "masks"), counts(i, i != 1), strict=True):
            assert cv2.imwrite(str(root / "recorded" / folder / f"mast_{i}.png"), picture)
    (root / "recorded" / "train.txt").write_text("".join(f"mast_{i}\n" for i in range(4)))
    (root / "recorded" / "val.txt").write_text("mast_4\nmast_5\n")
    assert main(["data", "convert", str(root / "recorded"), str(root / "data")]) == 0
    return root / "data"


@pytest.mark.parametrize("network", RECIPES)
def test_both_networks_train_on_what_data_convert_writes(network: str, converted: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "own.toml"
    recipe.write_text(RECIPES[network])
    out = tmp_path / "run"
    assert main(["train", "--recipe", str(recipe), "--data", str(converted), "--out", str(out), "--device", "cpu"]) == 0
    assert (out / "last.pt").is_file()
    frames = list(training_frames(load_recipe(str(recipe), str(converted), []).data))
    assert [frame.name for frame in frames] == [f"mast_{i}" for i in range(4)]
    for seed, frame in enumerate(frames):
        assert (frame.image.dtype, frame.bit_depth) == (np.uint16, 16)
        np.testing.assert_array_equal(frame.image, counts(seed, seed != 1)[0])
        assert frame.role == ("target-free" if seed == 1 else "targets")


def test_the_frames_that_crops_are_cut_of_hold_the_recorded_counts(converted: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "own.toml"
    recipe.write_text(RECIPES["lpnet-rt"])
    data = load_recipe(str(recipe), str(converted), []).data
    crops = CropDataset.of(training_frames(data), data, seed=0)  # type: ignore[arg-type]
    assert (len(crops.masked), len(crops.empty), len(crops)) == (3, 1, 6)
    for frame in (*crops.masked, *crops.empty):
        assert frame.image.dtype == np.uint16
        assert 7900 < int(frame.image.min()) < int(frame.image.max()) < 8200
        assert len(np.unique(frame.image)) > 50  # squashed to 8 bits, two or three would be left
    # A target of ten deviations is as plain in the crop as in the recording.
    targets = [crops[i] for i in range(6) if (crops[i][1] == 255).any()]
    assert targets
    assert max(float(image[0][truth[0] == 255].max() - image[0].median()) for image, truth in targets) > 3
