"""Labelled frames: what they may hold, and truth that is drawn from loose boxes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from lpnet_rt_data import SIZE, blob, sky

from lpnet_rt.training.data.frames import IGNORE, LabelledFrame, Truth


@pytest.mark.parametrize("gain", [1, 40])
def test_truth_is_drawn_from_loose_boxes_at_any_depth(gain: int) -> None:
    counts = sky(3) + 100 * blob(42, 47)
    image = counts.clip(0, 255).astype(np.uint8) if gain == 1 else (6000 + gain * counts).astype(np.uint16)
    truth = Truth.from_boxes(image, np.array([[35.0, 40.0, 14.0, 14.0]]))
    expected, target = np.argwhere(blob(42, 47) >= 0.5), np.argwhere(truth.mask == 255)
    np.testing.assert_allclose(target.mean(axis=0), expected.mean(axis=0), atol=0.5)
    assert len(target) == pytest.approx(len(expected), abs=4)
    grown = np.zeros((SIZE, SIZE), bool)
    grown[38:56, 33:51] = True
    assert (truth.mask[~grown] == 0).all()
    assert set(np.unique(truth.mask[grown])) == {IGNORE, 255}


def test_a_box_around_nothing_is_ignored_as_a_whole() -> None:
    image = sky(0).astype(np.uint8)
    truth = Truth.from_boxes(image, np.array([[60.0, 10.0, 12.0, 12.0], [-20.0, -20.0, 5.0, 5.0]]))
    assert not truth.has_target
    assert (truth.mask == IGNORE).sum() == 16 * 16


def test_what_lies_near_an_ignored_place_counts_neither_way() -> None:
    image = (sky(1) + 100 * blob(42, 47)).clip(0, 255).astype(np.uint8)
    box = np.array([[35.0, 40.0, 14.0, 14.0]])
    plain, truth = Truth.from_boxes(image, box), Truth.from_boxes(image, box, np.array([[42.0, 47.0], [10.0, 80.0]]))
    assert (truth.mask[80, [0, 20]] == IGNORE).all()
    assert (truth.mask[80, 21], truth.mask[69, 10], truth.mask[70, 10]) == (0, 0, IGNORE)
    np.testing.assert_array_equal(truth.mask == 255, plain.mask == 255)  # a labelled target stays one


def test_a_frame_that_is_none_is_refused() -> None:
    image, truth = np.zeros((9, 8), np.uint16), Truth.from_mask(np.zeros((9, 8), np.uint8))
    assert LabelledFrame(name="a", image=image, truth=truth, bit_depth=14).bit_depth == 14
    with pytest.raises(ValueError, match="a: expected the bit depth of uint16, found 8"):
        LabelledFrame(name="a", image=image, truth=truth)
    with pytest.raises(ValueError, match=r"a: expected .* and a mask of its size, found \(8, 9\) uint16"):
        LabelledFrame(name="a", image=image.T, truth=truth, bit_depth=16)


@pytest.mark.parametrize("offset", [70, 86, 95])
def test_a_target_beside_a_bright_edge_is_drawn_and_the_edge_is_not(offset: int) -> None:
    edge = np.where(np.arange(SIZE)[:, None] + 0.4 * np.arange(SIZE)[None] > offset, 80.0, 0.0)
    scene = sky(3) + cv2.GaussianBlur(edge, (0, 0), 1.0)
    box = np.array([[36.0, 44.0, 24.0, 24.0]])
    nothing = Truth.from_boxes(scene.clip(0, 255).astype(np.uint8), box)
    assert not nothing.has_target
    truth = Truth.from_boxes((scene + 60 * blob(48, 56)).clip(0, 255).astype(np.uint8), box)
    assert truth.mask[56, 48] == 255
    if offset > 70:  # there, the target lies on the edge itself
        ys, xs = np.nonzero(truth.mask == 255)
        assert (abs(xs - 48) + abs(ys - 56)).max() <= 4
