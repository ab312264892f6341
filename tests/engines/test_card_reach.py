"""What an engine must know of a network stands in the card: how far it sees, and its grid."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

from lpnet_rt.engines.scorer import make_scorer
from lpnet_rt.engines.tiled import TILE_PX
from lpnet_rt.errors import ModelError
from lpnet_rt.models import ModelCard, find_model

LARGE_HW = (4112, 4112)


class Zero:
    """An engine that scores everything 0, and remembers the inputs it was given."""

    name, precision = "zero", "f32"

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def score(self, batch: np.ndarray) -> np.ndarray:
        self.shapes.append(batch.shape)
        return np.zeros((len(batch), 1, *batch.shape[2:]), np.float32)


def tiles_of(card: ModelCard) -> list[tuple[int, ...]]:
    engine = Zero()
    make_scorer(engine, card).score_map(np.zeros(LARGE_HW, np.uint8))
    return engine.shapes


def test_a_card_without_a_reach_is_tiled_as_its_config_says() -> None:
    stated = find_model("lpnet-rt").card
    card = msgspec.structs.replace(stated, reach_px=None)
    assert card.known_reach_px() == stated.reach_px
    assert len(tiles_of(card)) > 1
    assert tiles_of(card) == tiles_of(stated)


def test_the_reach_and_the_grid_of_the_card_decide() -> None:
    card = find_model("lpnet-rt").card
    other = msgspec.structs.replace(card, network="Other", config={}, reach_px=None)
    assert tiles_of(other) == [(1, 2, *LARGE_HW)], "nothing is known of how far it sees"
    near, far = (msgspec.structs.replace(other, reach_px=reach_px) for reach_px in (16, 1024))
    assert 1 < len(tiles_of(near)) < len(tiles_of(far))
    rule = msgspec.structs.replace(card.input, multiple=128, min_side_px=128)
    coarse = msgspec.structs.replace(other, input=rule, reach_px=128, grid_px=128)
    shapes = tiles_of(coarse)
    assert len(shapes) > 1
    assert all(side % 128 == 0 and side <= TILE_PX for shape in shapes for side in shape[2:])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reach_px": 20}, "expected reach_px to be a multiple of grid_px, 16, found 20"),
        ({"reach_px": 64, "grid_px": 64}, "expected input.multiple to be a multiple of grid_px, 64, found 16"),
        ({"reach_px": 100_000}, "reach_px"),
        ({"grid_px": 7}, "grid_px"),
    ],
)
def test_a_reach_that_cannot_be_tiled_is_refused(tmp_path: Path, changes: dict[str, int], message: str) -> None:
    packaged = find_model("lpnet-rt").path
    path = tmp_path / "mine.onnx"
    shutil.copy(packaged, path)
    path.with_suffix(".json").write_text(json.dumps(json.loads(packaged.with_suffix(".json").read_text()) | changes))
    with pytest.raises(ModelError, match="not a model card: ") as caught:
        find_model(str(path))
    assert message in str(caught.value)
