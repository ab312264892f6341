from __future__ import annotations

from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lpnet_rt.agreement import MOVE_LIMIT_PX, SCORE_LIMIT, Agreement
from lpnet_rt.engines.torch_module import TorchModuleEngine
from lpnet_rt.errors import ModelError, SourceError
from lpnet_rt.export.gate_frames import GateFrame, batches, fit, gate_frames
from lpnet_rt.export.parity import Gate, run_gate
from lpnet_rt.export.shapes import any_size, read_shapes
from lpnet_rt.models import InputRule, ModelCard, find_model
from lpnet_rt.models.built import Built
from lpnet_rt.preprocessing.rules import prepare
from lpnet_rt.selftest import self_test_frame

RULE = InputRule(multiple=16, min_side_px=64)
FRAME = GateFrame("night 7", np.full((96, 128), 80, np.uint8))
SPOTS = ((20, 30, 0.9), (70, 60, 0.8), (100, 10, 0.53))


class Painted(nn.Module):
    """Scores of 3x3 spots of the given places, whatever comes in."""

    def __init__(self, *spots: tuple[float, float, float], background: float = 0.1) -> None:
        super().__init__()
        self.spots, self.background = spots, background

    def forward(self, image: Tensor) -> Tensor:
        scores = torch.full((image.shape[0], 1, *image.shape[2:]), self.background)
        for x, y, score in self.spots:
            column, row = int(x), int(y)
            scores[:, 0, row - 1 : row + 2, column - 1 : column + 2] = score
            if x != column:  # one more pixel at the right pulls the centroid over
                scores[:, 0, row, column + 2] = score
        return scores


def run(found: Painted, precision: str = "f32", expected: Painted | None = None) -> Agreement:
    gate = Gate([FRAME], any_size(RULE), card(precision))
    reference = TorchModuleEngine(expected or Painted(*SPOTS))
    return run_gate(reference, {"engine": TorchModuleEngine(found)}, gate)["engine"]


def card(precision: str = "f32") -> ModelCard:
    return msgspec.structs.replace(
        find_model("lpnet-rt").card, input=RULE, threshold=0.5, built=Built(precision=precision)
    )


def problem(found: Painted, precision: str = "f32") -> str:
    with pytest.raises(ModelError) as caught:
        run(found, precision)
    message = str(caught.value)
    assert message.startswith(f"parity gate: engine {precision}, frame night 7: ")
    assert "\n" not in message
    return message.partition("night 7: ")[2]


def test_the_same_passes() -> None:
    agreement = run(Painted(*SPOTS))
    assert (agreement.frames, agreement.detections, agreement.moved_px, agreement.score_apart) == (1, 3, 0.0, 0.0)
    assert "3 detections in 1 frames" in str(agreement)


def test_a_detection_that_vanishes() -> None:
    assert problem(Painted(*SPOTS[1:])) == "a detection at (20.0, 30.0) of score 0.900 vanished"


def test_a_detection_that_appears() -> None:
    assert problem(Painted(*SPOTS, (40, 40, 0.6))) == "a detection at (40.0, 40.0) of score 0.600 appeared"


def test_a_detection_that_moves() -> None:
    assert run(Painted((20.5, 30, 0.9), *SPOTS[1:])).moved_px == pytest.approx(0.2, abs=1e-5)
    message = problem(Painted((21, 30, 0.9), *SPOTS[1:]))
    assert message == f"the detection at (20.0, 30.0) moved by 1.00 px, at most {MOVE_LIMIT_PX} allowed"


def test_a_detection_elsewhere_is_another_one() -> None:
    assert "vanished" in problem(Painted((26, 30, 0.9), *SPOTS[1:]))


@pytest.mark.parametrize("precision", sorted(SCORE_LIMIT))
def test_a_score_that_differs(precision: str) -> None:
    limit = SCORE_LIMIT[precision]
    assert run(Painted((20, 30, 0.9 - 0.9 * limit), *SPOTS[1:]), precision).score_apart == pytest.approx(
        0.9 * limit, abs=1e-6
    )
    message = problem(Painted((20, 30, 0.9 - 1.1 * limit), *SPOTS[1:]), precision)
    assert message.startswith("the score of the detection at (20.0, 30.0) differs by")
    assert message.endswith(f"at most {limit} allowed")


def test_at_the_threshold_a_detection_may_come_and_go() -> None:
    gained = run(Painted(*SPOTS, (40, 40, 0.515)))
    assert (gained.gained, gained.lost) == (1, 0)
    assert "1 gained and 0 lost at the threshold" in str(gained)
    lost = run(Painted(*SPOTS), expected=Painted(*SPOTS, (40, 40, 0.515)))
    assert (lost.gained, lost.lost) == (0, 1)
    # 0.53 is further from 0.5 than f32's limit, but not than half precision's.
    assert "vanished" in problem(Painted(*SPOTS[:2]))
    assert run(Painted(*SPOTS[:2]), "f16").lost == 1


def test_a_frame_with_nothing_in_it_says_something_too() -> None:
    empty = Painted(background=0.3)
    assert run(Painted(background=0.31), expected=empty).score_apart == pytest.approx(0.01, abs=1e-6)
    with pytest.raises(ModelError, match="highest score of a frame without detections differs by 0"):
        run(Painted(background=0.35), expected=empty)


def test_scores_that_are_no_numbers() -> None:
    assert problem(Painted(*SPOTS, background=float("nan"))) == "expected finite scores, found NaN or infinity"


def test_scores_of_another_size() -> None:
    gate = Gate([FRAME], any_size(RULE), card())
    half = TorchModuleEngine(lambda image: image[:, :1, ::2, ::2])
    with pytest.raises(ModelError, match=r"expected scores of \(1, 1, 96, 128\), found \(1, 1, 48, 64\)"):
        run_gate(TorchModuleEngine(Painted()), {"engine": half}, gate)


def test_every_frame_of_a_batch_is_looked_at() -> None:
    frames = [GateFrame("first", FRAME.image), GateFrame("second", FRAME.image)]
    gate = Gate(frames, read_shapes("96x128", None, 2, RULE), card())

    def lame(image: Tensor) -> Tensor:
        scores = Painted(*SPOTS)(image)
        scores[1] = 0.1
        return scores

    with pytest.raises(ModelError, match=r"frame second: a detection at \(20.0, 30.0\) of score 0.900 vanished"):
        run_gate(TorchModuleEngine(Painted(*SPOTS)), {"engine": TorchModuleEngine(lame)}, gate)


def test_the_demo_scene_and_the_self_test_by_default() -> None:
    frames = gate_frames(None, 2)
    assert [frame.name for frame in frames] == ["self-test", "demo 0", "demo 45"]
    np.testing.assert_array_equal(frames[0].image, self_test_frame())
    np.testing.assert_array_equal(frames[2].image, gate_frames(None, 2)[2].image)
    assert (frames[1].image != frames[2].image).any()


def test_frames_of_ones_own_are_spread_over_the_source(tmp_path: Path) -> None:
    for index in range(6):
        cv2.imwrite(str(tmp_path / f"n{index}.png"), np.full((64, 80), 40 + index, np.uint8))
    frames = gate_frames(str(tmp_path), 3)
    assert [int(frame.image[0, 0]) for frame in frames[1:]] == [40, 42, 44]
    assert len({frame.name for frame in frames}) == 4


def test_no_frames_at_all(tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        gate_frames(str(tmp_path / "none"), 3)


@pytest.mark.parametrize(
    ("size_hw", "fitted_hw"),
    [((300, 400), (96, 128)), ((20, 30), (96, 128)), ((90, 120), (90, 120)), ((96, 9), (96, 128))],
)
def test_frames_are_fitted_to_a_file_of_one_size(size_hw: tuple[int, int], fitted_hw: tuple[int, int]) -> None:
    shapes = read_shapes("96x128", None, 1, RULE)
    frame = fit(GateFrame("x", np.random.default_rng(0).integers(0, 255, size_hw, np.uint8)), shapes)
    assert frame.image.shape == fitted_hw
    ((_, images),) = batches([frame], shapes, RULE)
    assert [prepare(image, RULE).shape for image in images] == [(1, 2, 96, 128)]


def test_batches_are_filled_up() -> None:
    frames = [GateFrame(str(index), FRAME.image) for index in range(3)]
    made = batches([*frames, GateFrame("big", np.zeros((200, 128), np.uint8))], any_size(RULE, 2), RULE)
    assert [([frame.name for frame in members], len(images)) for members, images in made] == [
        (["0", "1"], 2),
        (["2"], 2),
        (["big"], 2),
    ]
