from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lpnet_rt.preprocessing.tiles import Span, aligned_spans, blending_weights, fuse, split, spread_spans

Layout = tuple[list[Span], list[Span]]


@st.composite
def blended(draw: st.DrawFn) -> tuple[tuple[int, int], int, int, int]:
    """Size of a frame, side of a tile, overlap and margin."""
    tile = draw(st.integers(2, 12))
    overlap = draw(st.integers(0, tile - 1))
    size_hw = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    return size_hw, tile, overlap, draw(st.integers(0, overlap // 2))


@st.composite
def aligned(draw: st.DrawFn) -> tuple[tuple[int, int], int, int, int]:
    """Size of a frame, largest side of a tile, margin and grid."""
    grid = draw(st.sampled_from([1, 2, 4]))
    margin = draw(st.integers(0, 4))
    tile = draw(st.integers(2 * margin + 1, 2 * margin + 12))
    sides = st.integers(1, 40)
    return (draw(sides) * grid, draw(sides) * grid), tile * grid, margin * grid, grid


@given(blended())
@settings(max_examples=100, deadline=None)
def test_to_split_and_to_fuse_with_weights_is_the_identity(case: tuple[tuple[int, int], int, int, int]) -> None:
    size_hw, tile, overlap, margin = case
    frame = np.random.default_rng(0).random((2, *size_hw), np.float32)
    spans: Layout = (spread_spans(size_hw[0], tile, overlap), spread_spans(size_hw[1], tile, overlap))
    down, across = (
        blending_weights(one, size, overlap - 2 * margin, margin) for one, size in zip(spans, size_hw, strict=True)
    )
    out = np.zeros((2, max(size_hw[0], tile), max(size_hw[1], tile)), np.float32)
    fuse(split(frame, *spans), out, spans, (down, across))
    np.testing.assert_allclose(out[:, : size_hw[0], : size_hw[1]], frame, rtol=0, atol=1e-6)


@given(aligned())
@settings(max_examples=100, deadline=None)
def test_to_split_and_to_fuse_what_is_taken_is_the_identity(case: tuple[tuple[int, int], int, int, int]) -> None:
    size_hw, tile, margin, grid = case
    frame = np.random.default_rng(0).random((1, 2, *size_hw), np.float32)
    spans: Layout = (aligned_spans(size_hw[0], tile, margin, grid), aligned_spans(size_hw[1], tile, margin, grid))
    out = np.zeros_like(frame)
    fuse(split(frame, *spans), out, spans)
    np.testing.assert_array_equal(out, frame)


@given(blended())
@settings(max_examples=100, deadline=None)
def test_spread_tiles_reach_from_edge_to_edge_and_overlap_enough(case: tuple[tuple[int, int], int, int, int]) -> None:
    (size_px, _), tile, overlap, _ = case
    starts = [span.start for span in spread_spans(size_px, tile, overlap)]
    assert starts[0] == 0
    assert starts[-1] == max(0, size_px - tile)
    assert all(0 < after - before <= tile - overlap for before, after in itertools.pairwise(starts))


@pytest.mark.parametrize("size_px", [64, 3072, 3088, 4096, 5504, 8192, 16_384, 100_000])
def test_aligned_tiles_cover_a_side_once_and_keep_what_has_seen_enough(size_px: int) -> None:
    found = aligned_spans(size_px, 3072, 320, 16)
    assert [found[0].first, found[-1].last] == [0, size_px]
    assert all(left.last == right.first for left, right in itertools.pairwise(found))
    assert len({span.end - span.start for span in found}) == 1
    for span in found:
        assert 0 <= span.start < span.end <= size_px
        assert span.end - span.start <= 3072
        assert span.start % 16 == span.end % 16 == span.first % 16 == 0
        assert span.start == 0 or span.first - span.start >= 320
        assert span.end == size_px or span.end - span.last >= 320


def test_tiles_that_disagree_blend_without_a_seam() -> None:
    spans = [spread_spans(120, 120, 40), spread_spans(200, 120, 40)]
    down, across = (blending_weights(one, size, 24, 8) for one, size in zip(spans, (120, 200), strict=True))
    out = np.zeros((120, 200), np.float32)
    fuse([np.zeros((120, 120), np.float32), np.ones((120, 120), np.float32)], out, (spans[0], spans[1]), (down, across))
    row = out[60]
    assert not row[:88].any()
    assert (row[112:] == 1).all()
    assert 0 <= np.diff(row).min() <= np.diff(row).max() < 0.07
    np.testing.assert_allclose(row, 1 - row[::-1], atol=1e-6)


def test_a_small_frame_repeats_its_last_row_and_column() -> None:
    (cell,) = split(np.array([[1.0, 2.0], [3.0, 4.0]]), spread_spans(2, 4, 0), spread_spans(2, 4, 0))
    assert cell.tolist() == [[1, 2, 2, 2], [3, 4, 4, 4], [3, 4, 4, 4], [3, 4, 4, 4]]


def test_too_few_tiles_are_not_fused() -> None:
    spans = spread_spans(20, 10, 0)
    with pytest.raises(ValueError, match="shorter"):
        fuse([np.zeros((10, 10), np.float32)] * 3, np.zeros((20, 20), np.float32), (spans, spans))
