from __future__ import annotations

import numpy as np
import pytest

from lpnet_rt.models import InputRule
from lpnet_rt.preprocessing.frame_and_local import model_input
from lpnet_rt.preprocessing.rules import prepare, restore
from lpnet_rt.preprocessing.unit_range import unit_range

RESIZE = InputRule(normalisation="paper-resize")
TILES = InputRule(normalisation="paper-tiles")


def picture(size_hw: tuple[int, int], dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, size_hw).astype(dtype)


def test_frame_and_local_is_the_networks_own_input() -> None:
    rule, image = InputRule(multiple=16, min_side_px=64), picture((50, 70))
    np.testing.assert_array_equal(prepare(image, rule), model_input(image, 16, 64))
    scores = np.arange(64 * 80, dtype=np.float32).reshape(1, 1, 64, 80)
    np.testing.assert_array_equal(restore(scores, (50, 70), rule), scores[0, 0, :50, :70])


def test_resizing_back_samples_at_the_corner_and_takes_zero_beyond() -> None:
    scores = np.array([[[[1.0, 3.0], [5.0, 7.0]]]], np.float32)
    assert restore(scores, (2, 4), RESIZE).tolist() == [[1, 2, 3, 1.5], [5, 6, 7, 3.5]]
    np.testing.assert_array_equal(restore(scores, (2, 2), RESIZE), scores[0, 0])


def test_what_is_resized_is_the_eight_bit_picture() -> None:
    batch = prepare(picture((256, 320)), RESIZE)
    assert (batch.shape, batch.dtype) == ((1, 1, 120, 120), np.float32)
    np.testing.assert_allclose(batch * 255, np.rint(batch * 255), atol=1e-4)
    same = picture((120, 120))
    np.testing.assert_array_equal(prepare(same, RESIZE)[0, 0], same / np.float32(255))


@pytest.mark.parametrize(("size_hw", "tiles"), [((50, 70), 1), ((120, 120), 1), ((121, 300), 8), ((512, 640), 48)])
def test_tiles_of_a_frame(size_hw: tuple[int, int], tiles: int) -> None:
    batch = prepare(picture(size_hw), TILES)
    assert (batch.shape, batch.dtype) == ((tiles, 1, 120, 120), np.float32)
    assert batch.flags.c_contiguous


def test_tiles_blend_back_to_the_frame_without_a_seam() -> None:
    image = picture((512, 640))
    np.testing.assert_allclose(restore(prepare(image, TILES), (512, 640), TILES), unit_range(image), atol=1e-6)


@pytest.mark.parametrize("normalisation", ["paper-resize", "paper-tiles"])
def test_a_rule_that_stretches_fills_the_range(normalisation: str) -> None:
    rule = InputRule(normalisation=normalisation, stretch=True)  # type: ignore[arg-type]
    batch = prepare(picture((120, 120)) // 4 + 50, rule)
    score_map = restore(batch, (120, 120), rule)
    assert (score_map.min(), score_map.max()) == (0, 1)
    flat = restore(np.full_like(batch, 0.5), (120, 120), rule)
    assert not flat.any()


@pytest.mark.parametrize("rule", [RESIZE, TILES])
def test_sixteen_bits_are_never_rounded_to_eight(rule: InputRule) -> None:
    image = np.linspace(7000, 7600, 200 * 240).reshape(200, 240).astype(np.uint16)
    batch = prepare(image, rule)
    assert 0 <= batch.min() < batch.max() <= 1
    assert len(np.unique(batch)) > 256  # more than eight bits can tell apart
