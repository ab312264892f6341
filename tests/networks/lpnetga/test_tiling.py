from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lpnet_rt.errors import SettingsError
from lpnet_rt.networks.lpnetga.tiling import TileGrid, blend, cut


@st.composite
def layouts(draw: st.DrawFn) -> tuple[TileGrid, tuple[int, int]]:
    tile = draw(st.integers(2, 12))
    overlap = draw(st.integers(0, tile - 1))
    margin = draw(st.integers(0, overlap // 2))
    return TileGrid(tile, overlap, margin), (draw(st.integers(1, 40)), draw(st.integers(1, 40)))


@given(layouts())
@settings(max_examples=150, deadline=None)
def test_cut_then_blend_is_the_identity(case: tuple[TileGrid, tuple[int, int]]) -> None:
    tiles, size_hw = case
    frames = torch.rand(2, 3, *size_hw, dtype=torch.float64)
    cells = cut(frames, tiles)
    assert cells.shape == (2 * tiles.count(size_hw), 3, tiles.tile_px, tiles.tile_px)
    torch.testing.assert_close(blend(cells, size_hw, tiles), frames, rtol=0, atol=1e-12)


@given(layouts())
@settings(max_examples=100, deadline=None)
def test_tiles_reach_from_edge_to_edge_and_overlap_enough(case: tuple[TileGrid, tuple[int, int]]) -> None:
    tiles, (size_px, _) = case
    starts = tiles.starts(size_px)
    assert starts[0] == 0
    assert starts[-1] == max(0, size_px - tiles.tile_px)
    steps = [after - before for before, after in itertools.pairwise(starts)]
    assert all(0 < step <= tiles.tile_px - tiles.overlap_px for step in steps)


@given(layouts())
@settings(max_examples=60, deadline=None)
def test_what_a_tile_computes_is_where_a_loop_would_put_it(case: tuple[TileGrid, tuple[int, int]]) -> None:
    tiles, size_hw = case
    assume(min(size_hw) >= tiles.tile_px)
    frame = torch.arange(float(size_hw[0] * size_hw[1])).reshape(1, 1, *size_hw)
    side = tiles.tile_px
    loop = [frame[0, :, y : y + side, x : x + side] for y in tiles.starts(size_hw[0]) for x in tiles.starts(size_hw[1])]
    assert torch.equal(cut(frame, tiles), torch.stack(loop))


def test_tiles_that_disagree_blend_without_a_seam() -> None:
    tiles = TileGrid(120, 40, 8)
    size_hw = (120, 200)
    maps = torch.zeros(tiles.count(size_hw), 1, 120, 120)
    maps[1] = 1.0
    row = blend(maps, size_hw, tiles)[0, 0, 60]
    assert torch.equal(row[:88], torch.zeros(88))
    assert torch.equal(row[112:], torch.ones(88))
    steps = row.diff()
    assert steps.min() >= 0
    assert steps.max() < 0.07
    torch.testing.assert_close(row, 1 - row.flip(0))


def test_what_needs_less_context_than_the_margin_equals_the_untiled_answer() -> None:
    tiles = TileGrid(32, 16, 3)
    generator = torch.Generator().manual_seed(7)
    frame = torch.rand(1, 1, 75, 110, generator=generator, dtype=torch.float64)
    kernel = torch.rand(1, 1, 7, 7, generator=generator, dtype=torch.float64)
    untiled = torch.nn.functional.conv2d(frame, kernel, padding=3)
    tiled = blend(torch.nn.functional.conv2d(cut(frame, tiles), kernel, padding=3), (75, 110), tiles)
    torch.testing.assert_close(tiled, untiled, rtol=0, atol=1e-12)


def test_a_small_frame_repeats_its_last_row_and_column() -> None:
    cell = cut(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), TileGrid(4, 0, 0))
    assert cell[0, 0].tolist() == [[1, 2, 2, 2], [3, 4, 4, 4], [3, 4, 4, 4], [3, 4, 4, 4]]


@pytest.mark.parametrize("numbers", [(10, 10, 0), (10, 4, 3), (10, 4, -1), (0, 0, 0)])
def test_an_impossible_grid_is_refused(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(SettingsError, match=r"expected tile > overlap >= 2 \* margin >= 0, found"):
        TileGrid(*numbers)


def test_maps_that_do_not_fit_are_refused() -> None:
    with pytest.raises(
        SettingsError, match=r"expected maps \(a multiple of 6, C, 10, 10\) for a frame of 20x30, found"
    ):
        blend(torch.zeros(5, 1, 10, 10), (20, 30), TileGrid(10, 0, 0))
    with pytest.raises(SettingsError, match="a frame of at least 1 px, found 0"):
        TileGrid().starts(0)
