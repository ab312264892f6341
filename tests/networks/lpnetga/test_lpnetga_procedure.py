"""The paper's whole procedure around LPNetGA: a frame of any size in, a score for each of its pixels out."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from lpnet_rt.engines.scorer import HostScorer
from lpnet_rt.engines.torch_module import TorchModuleEngine
from lpnet_rt.errors import SettingsError
from lpnet_rt.models.lpnetga_card import Fitting, Fusing, LPNetGACard, Statistics
from lpnet_rt.models.weights import model_card
from lpnet_rt.networks.lpnetga.network import LPNetGA
from lpnet_rt.networks.lpnetga.patches import PatchGrid
from lpnet_rt.networks.lpnetga.weights import import_weights, load_lpnetga

SIDE_PX = 32


def predict(
    model: LPNetGA,
    image: np.ndarray,
    fitting: Fitting = "resize",
    fusing: Fusing = "sum_minmax",
    statistics: Statistics = "running",
    side_px: int = SIDE_PX,
) -> np.ndarray:
    """Score a frame with the network as it is: batch norm not folded, every patch run."""
    card = LPNetGACard(name="x", sha256="", licence="", input_hw=(side_px, side_px), fitting=fitting, fusing=fusing)
    absolute = "mean" if fitting == "tile" and fusing == "sum_minmax" else fusing
    with model.normalising_by(statistics):
        return HostScorer(TorchModuleEngine(lambda x: model(x, absolute)), model_card(card)).score_map(image)


@pytest.fixture(scope="module")
def small(seeded_lpnetga: LPNetGA) -> LPNetGA:
    """The seeded weights over patches that fit tiles of 32 px."""
    model = LPNetGA(PatchGrid(8, 8, 0))
    model.load_state_dict(seeded_lpnetga.state_dict())
    return model.eval()


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.random.default_rng(8).integers(0, 256, (45, 70), np.uint8)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "statistics", "folder"),
    [
        ("Misc_112", "running", "maps_v1_val_bn_eval"),
        ("Misc_103", "image", "maps_v1_val_bn_batch"),
    ],
)
def test_whole_procedure_draws_the_published_map(
    reference: Path, sirst_images: Path, tmp_path: Path, name: str, statistics: Statistics, folder: str
) -> None:
    image = cv2.imread(str(sirst_images / f"{name}.png"), cv2.IMREAD_UNCHANGED)
    expected = cv2.imread(str(reference / folder / f"{name}.png"), cv2.IMREAD_UNCHANGED)
    if image is None or expected is None:
        pytest.skip(f"{name}.png is not among the images of this machine")
    import_weights(reference / "LPNetGA-SIRST.pth", tmp_path / "sirst.safetensors")
    score = predict(load_lpnetga(tmp_path / "sirst.safetensors"), image, statistics=statistics, side_px=120)
    difference = np.abs(np.rint(score * 255).astype(int) - expected.astype(int))
    assert difference.max() <= 1


def test_resize_fits_any_frame(small: LPNetGA, picture: np.ndarray) -> None:
    score = predict(small, picture, fusing="dense")
    assert score.shape == picture.shape
    assert score.dtype == np.float32
    assert 0 <= score.min() < score.max() <= 1


def test_a_frame_of_one_tile_is_the_network_itself(small: LPNetGA, picture: np.ndarray) -> None:
    frame = picture[:32, :32].copy()
    tiled = predict(small, frame, "tile", "mean")
    with torch.inference_mode():
        direct = small(torch.from_numpy(frame / np.float32(255))[None, None], "mean")
    np.testing.assert_allclose(tiled, direct[0, 0].numpy(), rtol=0, atol=1e-6)


def test_tiles_are_stretched_as_one_frame(small: LPNetGA, picture: np.ndarray) -> None:
    mean = predict(small, picture, "tile", "mean")
    stretched = predict(small, picture, "tile", "sum_minmax")
    assert (stretched.min(), stretched.max()) == (0, 1)
    np.testing.assert_allclose(stretched, (mean - mean.min()) / np.ptp(mean), rtol=0, atol=1e-4)


def test_statistics_of_the_image_are_used_and_put_back(small: LPNetGA, picture: np.ndarray) -> None:
    running = predict(small, picture, "tile", "mean")
    image = predict(small, picture, "tile", "mean", "image")
    assert np.abs(running - image).max() > 1e-3
    np.testing.assert_array_equal(predict(small, picture, "tile", "mean"), running)


def test_sixteen_bit_frames_are_scored(small: LPNetGA, picture: np.ndarray) -> None:
    deep = picture.astype(np.uint16) * 100
    for fitting in ("resize", "tile"):
        score = predict(small, deep, fitting, "dense")
        assert score.shape == deep.shape
        assert 0 <= score.min() < score.max() <= 1


def test_patches_that_do_not_fit_the_square_are_refused(small: LPNetGA, picture: np.ndarray) -> None:
    with pytest.raises(SettingsError, match="height must be"):
        predict(small, picture, "tile", "mean", side_px=30)
