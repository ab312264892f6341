"""Pixels of objects: polygons and run lengths, compared with the tools that made them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpnet_rt.errors import DataError
from lpnet_rt.training.imports.regions import Region, brush_region, cvat_region, fill_rings, row_runs_region

# What label_studio_sdk 2.1.2 makes of a mask of 56x40 pixels (mask2rle) in which rows 10 to 12, columns 20 to 24 are
# set, and the pixels (25, 12) and (7, 30), x and y.
BRUSH = [0, 0, 35, 0, 57, 27, 255, 9, 15, 0, 194, 127, 251, 44, 3, 9, 255, 236, 176, 12, 47, 255, 195, 220, 192, 35]
BRUSH += [255, 225, 19, 224, 0]


def drawn(region: Region | None, size_hw: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(size_hw, np.uint8)
    if region is not None:
        region.draw(mask)
    return mask == 255


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 30))
def test_run_lengths_are_those_of_pycocotools(seed: int, height: int, width: int) -> None:
    coder = pytest.importorskip("pycocotools.mask", reason="pycocotools, the reference, is not installed")
    mask = np.random.default_rng(seed).random((height, width)) < 0.4
    encoded = coder.encode(np.asfortranarray(mask.astype(np.uint8)))
    np.testing.assert_array_equal(drawn(row_runs_region(encoded["counts"], (height, width)), mask.shape), mask)
    text = encoded["counts"].decode()
    np.testing.assert_array_equal(drawn(row_runs_region(text, (height, width)), mask.shape), mask)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_polygons_are_nearly_those_of_pycocotools() -> None:
    coder = pytest.importorskip("pycocotools.mask", reason="pycocotools, the reference, is not installed")
    ring = np.array([[10.2, 5.1], [40.7, 9.3], [33.0, 36.4], [12.5, 30.2]])
    ours = drawn(fill_rings([ring], (60, 50)), (50, 60))
    theirs = coder.decode(coder.frPyObjects([ring.ravel().tolist()], 50, 60))[:, :, 0] > 0
    assert (ours & theirs).sum() / (ours | theirs).sum() > 0.95  # it takes the pixels that the edge touches, too


def test_a_polygon_takes_the_pixels_whose_centres_it_holds() -> None:
    square = np.array([[3.0, 4.0], [6.0, 4.0], [6.0, 6.0], [3.0, 6.0]])
    mask = drawn(fill_rings([square], (12, 10)), (10, 12))
    assert mask.sum() == 6
    assert mask[4:6, 3:6].all()
    tiny = np.array([[3.1, 4.1], [3.3, 4.1], [3.2, 4.3]])
    assert np.argwhere(drawn(fill_rings([tiny], (12, 10)), (10, 12))).tolist() == [[4, 3]]
    assert fill_rings([square + 20], (12, 10)) is None


@given(st.integers(0, 2**32 - 1))
def test_cvat_masks_come_back(seed: int) -> None:
    mask = np.random.default_rng(seed).random((7, 9)) < 0.5
    flat = np.concatenate(([False], mask.ravel(), [not mask.ravel()[-1]]))
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    runs = np.diff(np.concatenate(([0], edges))).tolist()
    np.testing.assert_array_equal(drawn(cvat_region(runs, 3, 5, (9, 7)), (20, 20))[5:12, 3:12], mask)


def test_brush_masks_are_those_of_label_studio() -> None:
    expected = np.zeros((40, 56), bool)
    expected[10:13, 20:25] = expected[12, 25] = expected[30, 7] = True
    np.testing.assert_array_equal(drawn(brush_region(BRUSH, (56, 40)), (40, 56)), expected)


@pytest.mark.parametrize(
    "packed", [[], BRUSH[:9], BRUSH[:-12], [0, 0, 35, 1, *BRUSH[4:]], [300, 2], ["a"], [255] * 40, 2**31]
)
def test_damaged_brush_masks_are_refused(packed: list[int]) -> None:
    with pytest.raises(DataError):
        brush_region(packed, (56, 40))


@pytest.mark.parametrize("counts", ["\x00", "P" * 40, "o" * 40, [1, 2], [-1, 5], [4.5], [10**30], "0!"])
def test_damaged_run_lengths_are_refused(counts: object) -> None:
    with pytest.raises(DataError):
        row_runs_region(counts, (2, 2))
