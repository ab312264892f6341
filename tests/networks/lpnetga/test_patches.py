from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lpnet_rt.errors import SettingsError
from lpnet_rt.networks.lpnetga.patches import PatchGrid, coverage, fuse, split


@st.composite
def grids(draw: st.DrawFn, gaps: bool = True) -> tuple[PatchGrid, tuple[int, int]]:
    side = draw(st.integers(1, 7))
    step = draw(st.integers(1, 9 if gaps else side))
    padding = draw(st.integers(0, 9))
    first = [n for n in range(side - 2 * padding, 16 + step) if n >= 1 and (n + 2 * padding - side) % step == 0]
    size = st.sampled_from(first)
    return PatchGrid(side, step, padding), (draw(size), draw(size))


def naive_split(features: Tensor, grid: PatchGrid) -> Tensor:
    pad, side = grid.padding_px, grid.patch_px
    batch, channels, height, width = features.shape
    padded = torch.zeros(batch, channels, height + 2 * pad, width + 2 * pad)
    padded[:, :, pad : pad + height, pad : pad + width] = features
    return torch.stack(
        [
            padded[b, :, y : y + side, x : x + side]
            for b in range(batch)
            for y in range(0, padded.shape[2] - side + 1, grid.stride_px)
            for x in range(0, padded.shape[3] - side + 1, grid.stride_px)
        ]
    )


def naive_fuse(patches: Tensor, size_hw: tuple[int, int], grid: PatchGrid) -> Tensor:
    pad, side = grid.padding_px, grid.patch_px
    height, width = size_hw
    places = [
        (y, x)
        for y in range(0, height + 2 * pad - side + 1, grid.stride_px)
        for x in range(0, width + 2 * pad - side + 1, grid.stride_px)
    ]
    batch = patches.shape[0] // len(places)
    padded = torch.zeros(batch, patches.shape[1], height + 2 * pad, width + 2 * pad)
    for index, patch in enumerate(patches):
        y, x = places[index % len(places)]
        padded[index // len(places), :, y : y + side, x : x + side] += patch
    return padded[:, :, pad : pad + height, pad : pad + width]


def numbered(batch: int, channels: int, size_hw: tuple[int, int]) -> Tensor:
    return torch.arange(1.0, batch * channels * size_hw[0] * size_hw[1] + 1).reshape(batch, channels, *size_hw)


@given(grids())
@settings(max_examples=60, deadline=None)
def test_split_equals_a_loop(case: tuple[PatchGrid, tuple[int, int]]) -> None:
    grid, size_hw = case
    features = numbered(2, 3, size_hw)
    assert torch.equal(split(features, grid), naive_split(features, grid))


@given(grids())
@settings(max_examples=60, deadline=None)
def test_fuse_equals_a_loop_and_counts_what_it_added(case: tuple[PatchGrid, tuple[int, int]]) -> None:
    grid, size_hw = case
    rows, columns = grid.shape(size_hw)
    patches = numbered(2 * rows * columns, 2, (grid.patch_px, grid.patch_px)).remainder(97)
    total, count = fuse(patches, size_hw, grid)
    assert torch.equal(total, naive_fuse(patches, size_hw, grid))
    assert torch.equal(count[0], naive_fuse(torch.ones(rows * columns, 1, *patches.shape[2:]), size_hw, grid)[0])


@given(grids(gaps=False))
@settings(max_examples=60, deadline=None)
def test_split_then_fuse_over_count_is_the_identity(case: tuple[PatchGrid, tuple[int, int]]) -> None:
    grid, size_hw = case
    features = numbered(2, 2, size_hw)
    total, count = fuse(split(features, grid), size_hw, grid)
    assert count.min() >= 1
    torch.testing.assert_close(total / count, features)


@given(grids())
@settings(max_examples=60, deadline=None)
def test_patches_in_the_border_add_nothing(case: tuple[PatchGrid, tuple[int, int]]) -> None:
    grid, size_hw = case
    assert torch.equal(coverage(size_hw, grid, torch.ones(1)), coverage(size_hw, grid.without_border(), torch.ones(1)))


def test_the_paper_grid() -> None:
    grid = PatchGrid()
    assert grid.shape((120, 120)) == (16, 16)
    assert grid.without_border() == PatchGrid(30, 10, 20)
    assert grid.without_border().shape((120, 120)) == (14, 14)
    assert grid.inside().shape((120, 120)) == (10, 10)
    assert coverage((120, 120), grid, torch.ones(1)).unique().tolist() == [9.0]


def test_gaps_are_counted_as_zero() -> None:
    count = coverage((7, 7), PatchGrid(1, 3, 0), torch.ones(1))[0, 0]
    assert count[0].tolist() == [1, 0, 0, 1, 0, 0, 1]
    assert count[1].sum() == 0


def test_gradients_reach_every_pixel_as_often_as_it_is_covered() -> None:
    grid = PatchGrid(4, 2, 1)
    features = torch.rand(2, 3, 8, 10, requires_grad=True)
    split(features, grid).sum().backward()
    assert features.grad is not None
    assert torch.equal(features.grad, coverage((8, 10), grid, features).expand_as(features))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dtype_is_kept(dtype: torch.dtype) -> None:
    patches = split(torch.ones(1, 2, 8, 8, dtype=dtype), PatchGrid(4, 2, 0))
    total, count = fuse(patches, (8, 8), PatchGrid(4, 2, 0))
    assert patches.dtype == total.dtype == count.dtype == dtype
    assert torch.equal(total, count.expand_as(total))


@pytest.mark.parametrize(("size_hw", "side"), [((121, 120), "height"), ((120, 125), "width"), ((-5, 120), "height")])
def test_a_size_that_does_not_fit_is_refused(size_hw: tuple[int, int], side: str) -> None:
    with pytest.raises(SettingsError, match=rf"{side} must be 30 - 2\*30 \+ n\*10 px .* found"):
        PatchGrid().shape((max(size_hw[0], 1) if size_hw[0] > 0 else 1, size_hw[1]))


def test_the_size_that_is_proposed_fits() -> None:
    with pytest.raises(SettingsError, match=r"found 125; resize or pad it, for example to 120$"):
        split(torch.zeros(1, 1, 125, 120), PatchGrid())
    with pytest.raises(SettingsError, match=r"found 20; resize or pad it, for example to 30$"):
        split(torch.zeros(1, 1, 30, 20), PatchGrid(30, 10, 0))


@pytest.mark.parametrize("shape", [(3, 1, 4, 4), (4, 1, 4, 3), (4, 4, 4)])
def test_patches_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(SettingsError, match=r"patches: expected \(a multiple of 4, C, 4, 4\) for a map of 6x6, found"):
        fuse(torch.zeros(shape), (6, 6), PatchGrid(4, 2, 0))


@pytest.mark.parametrize("numbers", [(0, 1, 0), (1, 0, 0), (1, 1, -1)])
def test_an_impossible_grid_is_refused(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(SettingsError, match="patch >= 1, stride >= 1, padding >= 0, found"):
        PatchGrid(*numbers)
