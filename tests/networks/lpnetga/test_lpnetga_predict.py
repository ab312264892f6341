from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from lpnet_rt.errors import SettingsError
from lpnet_rt.models.lpnetga_card import Statistics
from lpnet_rt.networks.lpnetga.network import LPNetGA
from lpnet_rt.networks.lpnetga.patches import PatchGrid
from lpnet_rt.networks.lpnetga.predict import Procedure, predict, resample, unit_range
from lpnet_rt.networks.lpnetga.tiling import TileGrid
from lpnet_rt.networks.lpnetga.weights import import_weights, load_lpnetga

TILES = TileGrid(32, 12, 2)


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
    score = predict(load_lpnetga(tmp_path / "sirst.safetensors"), image, Procedure(statistics=statistics))
    difference = np.abs(np.rint(score * 255).astype(int) - expected.astype(int))
    assert difference.max() <= 1


def test_resize_fits_any_frame(small: LPNetGA, picture: np.ndarray) -> None:
    score = predict(small, picture, Procedure(fusing="dense"))
    assert score.shape == picture.shape
    assert score.dtype == np.float32
    assert 0 <= score.min() < score.max() <= 1


@pytest.mark.parametrize("fusing", ["mean", "dense"])
def test_tiles_of_one_frame_do_not_depend_on_their_batch(small: LPNetGA, picture: np.ndarray, fusing: str) -> None:
    at_once = predict(small, picture, Procedure("tile", fusing, tiles=TILES, tiles_per_batch=99))
    in_pairs = predict(small, picture, Procedure("tile", fusing, tiles=TILES, tiles_per_batch=2))
    assert at_once.shape == picture.shape
    np.testing.assert_allclose(at_once, in_pairs, rtol=0, atol=1e-5)


def test_a_frame_of_one_tile_is_the_network_itself(small: LPNetGA, picture: np.ndarray) -> None:
    frame = picture[:32, :32].copy()
    tiled = predict(small, frame, Procedure("tile", "mean", tiles=TILES))
    with torch.inference_mode():
        direct = small(torch.from_numpy(frame / np.float32(255))[None, None], "mean")
    np.testing.assert_allclose(tiled, direct[0, 0].numpy(), rtol=0, atol=1e-6)


def test_tiles_are_stretched_as_one_frame(small: LPNetGA, picture: np.ndarray) -> None:
    mean = predict(small, picture, Procedure("tile", "mean", tiles=TILES))
    stretched = predict(small, picture, Procedure("tile", "sum_minmax", tiles=TILES))
    assert (stretched.min(), stretched.max()) == (0, 1)
    np.testing.assert_allclose(stretched, (mean - mean.min()) / np.ptp(mean), rtol=0, atol=1e-4)


def test_statistics_of_the_image_are_used_and_put_back(small: LPNetGA, picture: np.ndarray) -> None:
    running = predict(small, picture, Procedure("tile", "mean", tiles=TILES))
    image = predict(small, picture, Procedure("tile", "mean", "image", tiles=TILES))
    assert np.abs(running - image).max() > 1e-3
    np.testing.assert_array_equal(predict(small, picture, Procedure("tile", "mean", tiles=TILES)), running)


def test_resample_samples_at_the_corner_and_takes_zero_beyond() -> None:
    score = torch.tensor([[[[1.0, 3.0], [5.0, 7.0]]]])
    assert resample(score, (2, 4))[0, 0].tolist() == [[1, 2, 3, 1.5], [5, 6, 7, 3.5]]
    assert torch.equal(resample(score, (2, 2)), score)


def test_eight_bit_counts_are_divided_by_255() -> None:
    assert unit_range(np.array([[0, 51, 255]], np.uint8)).tolist() == [[0, pytest.approx(0.2), 1]]


def test_deep_counts_keep_what_eight_bits_would_lose() -> None:
    frame = np.full((64, 64), 7000, np.uint16)
    frame[10, 10] = 7005
    unit = unit_range(frame)
    assert unit[10, 10] == pytest.approx(5 / 64, abs=0.02)
    assert np.unique(unit).size == 2
    ramp = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)
    assert (unit_range(ramp).min(), unit_range(ramp).max()) == (0, 1)
    assert np.unique(unit_range(ramp)).size > 4000


def test_sixteen_bit_frames_are_scored(small: LPNetGA, picture: np.ndarray) -> None:
    deep = picture.astype(np.uint16) * 100
    for fitting in ("resize", "tile"):
        score = predict(small, deep, Procedure(fitting, "dense", tiles=TILES))
        assert score.shape == deep.shape
        assert 0 <= score.min() < score.max() <= 1


def test_impossible_procedures_are_refused(small: LPNetGA, picture: np.ndarray) -> None:
    with pytest.raises(SettingsError, match="fitting: expected resize or tile, found 'crop'"):
        Procedure("crop")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="fusing: expected sum_minmax, mean or dense, found 'max'"):
        Procedure(fusing="max")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="tiles_per_batch: expected at least 1, found 0"):
        Procedure(tiles_per_batch=0)
    with pytest.raises(SettingsError, match="height must be"):
        predict(small, picture, Procedure("tile", "mean", tiles=TileGrid(30, 10, 2)))
    with pytest.raises(SettingsError, match="found training mode"):
        predict(LPNetGA(), picture)
