"""Images of more than 8 bits keep their depth from the file to the network's input, in both networks' training."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from small_data import SIDE_PX, frame, small_recipe, write_set

from lpnet_rt.errors import DataError
from lpnet_rt.preprocessing.frame_and_local import STD_FLOOR_RAW, model_input
from lpnet_rt.training.crops.augment import count_unit, cut_crop
from lpnet_rt.training.crops.lpnetga import load_frames
from lpnet_rt.training.data.check import check
from lpnet_rt.training.data.frames import LabelledFrame, Truth
from lpnet_rt.training.data.roles import training_frames
from lpnet_rt.training.loop.loop import train
from lpnet_rt.training.recipes.data import PartRecipe
from lpnet_rt.training.recipes.lpnetga import LPNetGADataRecipe


class Calm:
    """A source of chance that draws no blur, no noise, no turn and no shift: what is left is the cut itself."""

    def random(self) -> float:
        return 0.999

    def integers(self, *_bounds: object) -> int:
        return 0

    def uniform(self, low: float, high: float) -> float:
        return 0.0 if low <= 0.0 <= high else low

    def normal(self, *_shape: object) -> float:
        return 0.0


def labelled(image: np.ndarray, mask: np.ndarray) -> LabelledFrame:
    return LabelledFrame(name="s", image=image, truth=Truth.from_mask(mask), bit_depth=8 * image.itemsize)


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("deep"), np.uint16)


def test_grey_levels_survive_from_the_file_to_the_crop(deep: Path) -> None:
    frames = list(training_frames(small_recipe(deep).data))
    written = cv2.imread(str(deep / "images" / "s0.png"), cv2.IMREAD_UNCHANGED)
    assert frames[0].image.dtype == np.uint16
    np.testing.assert_array_equal(frames[0].image, written)
    for sample in frames:
        levels = len(np.unique(sample.image))
        assert levels > 300  # at 8 bits, 13 to 40 are left
        crop, _ = cut_crop(sample, 64, None, False, Calm())  # type: ignore[arg-type]
        cut = sample.image[:64, :64]
        assert len(np.unique(crop[0])) == len(np.unique(cut))


def test_a_crop_is_on_the_scale_of_run_time() -> None:
    image, mask = frame(3, True, np.uint16)
    crop, _ = cut_crop(labelled(image, mask), 64, None, False, Calm())  # type: ignore[arg-type]
    np.testing.assert_allclose(crop[0], model_input(image, 16, 64)[0, 0, :64, :64], atol=1e-3)


def test_the_floor_of_a_deep_frame_is_that_of_deep_frames() -> None:
    image = np.full((64, 64), 9000, np.uint16)
    image[::2] += 10  # a deviation of 5 counts, under the floor of 12
    crop, _ = cut_crop(labelled(image, np.zeros((64, 64), np.uint8)), 64, None, False, Calm())  # type: ignore[arg-type]
    assert crop[0].max() == pytest.approx(5 / STD_FLOOR_RAW, rel=1e-3)


def test_noise_and_dead_pixels_grow_with_the_range_of_the_frame() -> None:
    """A frame and the same frame forty times as deep make crops that look alike, whatever spoils them."""
    eight, mask = frame(1, True)
    # What spoils a deep frame is stated against its own range: the 8-bit frame must use all of its own, too.
    eight = np.asarray(cv2.normalize(eight, None, 0, 255, cv2.NORM_MINMAX), np.uint8)
    sixteen = 6000 + 40 * eight.astype(np.uint16)
    assert count_unit(eight) == 1.0
    assert count_unit(sixteen) == pytest.approx(40 * np.ptp(np.percentile(eight, (0.01, 99.99))) / 255, rel=1e-6)
    apart = []
    for seed in range(20):
        crops = [
            cut_crop(labelled(image, mask), 64, None, False, np.random.default_rng(seed))[0][0]
            for image in (eight, sixteen)
        ]
        apart.append(float(crops[1].std() / crops[0].std()))
    assert min(apart) > 0.8
    assert max(apart) < 1.25


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_what_data_check_passes_trains(tmp_path: Path, suffix: str) -> None:
    root = write_set(tmp_path / "sirst", np.uint16, suffix)
    assert check(root, "plain").problems == ()
    best = train(small_recipe(root), tmp_path / "run")
    assert best.is_file()
    with (tmp_path / "run" / "log.csv").open(newline="") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert len(losses) == 2
    assert np.isfinite(losses).all()


def test_the_papers_network_gets_full_depth_too(deep: Path) -> None:
    train, validation = ((PartRecipe(splits=(split,)),) for split in ("v1_train", "v1_val"))
    recipe = LPNetGADataRecipe(root=str(deep), train=train, validation=validation, side_px=SIDE_PX)
    frames, _, judged = load_frames(recipe)
    assert all(len(np.unique(one.image)) > 300 for one in frames)
    assert judged[0].image.dtype == np.uint16


def test_damaged_images_are_named_before_training_begins(tmp_path: Path) -> None:
    root = write_set(tmp_path / "sirst")
    path = root / "images" / "s1.png"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"s1\.png: the image is truncated"):
        list(training_frames(small_recipe(root).data))
    assert DataError.exit_code == 9
