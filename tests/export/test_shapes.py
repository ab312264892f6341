from __future__ import annotations

import pytest

from lpnet_rt.errors import SettingsError
from lpnet_rt.export.shapes import Shapes, any_size, read_shapes
from lpnet_rt.models import InputRule

RULE = InputRule(multiple=16, min_side_px=64)


def test_without_flags_one_file_takes_every_size() -> None:
    shapes = read_shapes(None, None, 1, RULE)
    assert shapes == any_size(RULE)
    assert shapes.free == (False, True, True)
    assert (shapes.min_bhw, shapes.max_bhw) == ((1, 64, 64), (1, 8192, 8192))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("512x640", (3, 512, 640)), ("500x639", (3, 512, 640)), ("7x9", (3, 64, 64)), ("2x512x640", (2, 512, 640))],
)
def test_a_size_is_padded_to_what_the_stride_divides(text: str, expected: tuple[int, int, int]) -> None:
    shapes = read_shapes(text, None, 3, RULE)
    assert shapes.min_bhw == shapes.opt_bhw == shapes.max_bhw == expected
    assert shapes.is_fixed
    assert shapes.dynamic() == {}
    assert tuple(shapes.sample().shape) == (expected[0], 2, *expected[1:])


def test_from_least_to_most() -> None:
    shapes = read_shapes(None, ["1x128x128", "4x512x640", "8x1000x1280"], 1, RULE)
    assert (shapes.min_bhw, shapes.opt_bhw, shapes.max_bhw) == ((1, 128, 128), (4, 512, 640), (8, 1008, 1280))
    assert shapes.free == (True, True, True)
    assert set(shapes.dynamic()) == {0, 2, 3}
    batch, _, height, width = shapes.sample().shape
    assert batch > 1
    assert height != width


def test_only_what_differs_is_free() -> None:
    shapes = read_shapes(None, ["128x640", "512x640", "1024x640"], 2, RULE)
    assert shapes.free == (False, True, False)
    assert set(shapes.dynamic()) == {2}
    assert shapes.sample().shape[0] == 2


@pytest.mark.parametrize("text", ["", "640", "0x64", "64x0", "axb", "1x2x3x4", "64x9000", "-64x64"])
def test_a_size_that_is_none(text: str) -> None:
    with pytest.raises(SettingsError, match=r"--size .*expected"):
        read_shapes(text, None, 1, RULE)


def test_sizes_in_the_wrong_order() -> None:
    with pytest.raises(SettingsError, match="height: expected 1 <= min <= opt <= max, found 512, 256, 1024"):
        read_shapes(None, ["512x640", "256x640", "1024x640"], 1, RULE)


def test_a_batch_of_nothing() -> None:
    with pytest.raises(SettingsError, match="--batch 0: expected at least 1"):
        read_shapes(None, None, 0, RULE)
    with pytest.raises(SettingsError, match="batch: expected"):
        Shapes((0, 64, 64), (1, 64, 64), (1, 64, 64), 16)


def test_size_and_dynamic_together() -> None:
    with pytest.raises(SettingsError, match="found both"):
        read_shapes("64x64", ["64x64", "64x64", "64x64"], 1, RULE)
