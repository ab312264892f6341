from __future__ import annotations

import msgspec
import numpy as np
import pytest
import torch

from lpnet_rt import Detector
from lpnet_rt.detections import detect
from lpnet_rt.engines import Choice, choose_engine
from lpnet_rt.engines.tiled import score_in_tiles
from lpnet_rt.models import find_model
from lpnet_rt.models.card import LPNetRTShape
from lpnet_rt.networks.lpnet_rt.network import LPNetRT, LPNetRTConfig
from lpnet_rt.preprocessing.frame_and_local import model_input
from lpnet_rt.settings import DetectorSettings


def reach_px(config: dict[str, object]) -> int:
    return msgspec.convert(config, LPNetRTShape).reach_px


REACH_PX = reach_px(find_model("lpnet-rt").card.config)


class Network:
    """A network of random weights whose local view says nothing, so that the global view alone is looked at."""

    name, precision = "torch", "f32"

    def __init__(self, config: LPNetRTConfig = LPNetRTConfig(scene=24)) -> None:  # noqa: B008
        torch.manual_seed(2)
        self._network = LPNetRT(config).eval()
        with torch.no_grad():
            for parameter in self._network.global_view.scene.parameters():
                parameter.normal_(0, 0.3)
            self._network.global_view.head.weight.mul_(20)
        self.shapes: list[tuple[int, ...]] = []

    @torch.inference_mode()
    def score(self, batch: np.ndarray) -> np.ndarray:
        self.shapes.append(batch.shape)
        return torch.sigmoid(self._network(torch.from_numpy(batch))[0]).numpy()


def test_a_tiled_frame_has_the_scores_of_the_whole_one() -> None:
    network = Network()
    image = np.random.default_rng(4).normal(0, 1, (1, 2, 1040, 1200)).astype(np.float32)
    whole = network.score(image)
    network.shapes.clear()
    found = score_in_tiles(network.score, image, REACH_PX, tile_px=800)
    assert len(network.shapes) == 3 * 4
    assert len(set(network.shapes)) == 1
    assert whole.std() > 0.05
    np.testing.assert_allclose(found, whole, rtol=0, atol=1e-5)
    # With less around it a seam would show: the overlap is no larger than it must be.
    short = score_in_tiles(network.score, image, 128, tile_px=800)
    assert np.abs(short - whole).max() > 1e-4


@pytest.mark.parametrize(
    "config",
    [LPNetRTConfig(scene=24), LPNetRTConfig(blocks=(1, 3, 5), scene=24), LPNetRTConfig(blocks=(2, 1, 1))],
)
def test_the_global_view_sees_no_further_than_it_is_said_to(config: LPNetRTConfig) -> None:
    network, seen = Network(config), reach_px(config.as_dict())
    assert reach_px(LPNetRTConfig(scene=24).as_dict()) == REACH_PX == 320
    image = np.random.default_rng(4).normal(0, 1, (1, 2, 64, 1280)).astype(np.float32)
    for column in (640, 647, 655):
        before = network.score(image)
        disturbed = image.copy()
        disturbed[:, :, 20, column] += 50.0
        reached = np.flatnonzero(np.abs(network.score(disturbed) - before)[0, 0].max(0) > 1e-7)
        assert seen / 2 < max(column - reached.min(), reached.max() - column) <= seen


def test_every_detection_of_the_whole_frame_is_found_in_tiles() -> None:
    rng = np.random.default_rng(7)
    ys, xs = np.mgrid[0:1100, 0:1500]
    frame = 90 + 0.02 * ys + rng.normal(0, 2, (1100, 1500))
    places = [(x, y) for x in (120, 480, 740, 1010, 1380) for y in (90, 540, 1000)]
    for x, y in places:
        frame[y - 9 : y + 10, x - 9 : x + 10] += 75 * np.exp(
            -0.5 * ((xs[y - 9 : y + 10, x - 9 : x + 10] - x) ** 2 + (ys[y - 9 : y + 10, x - 9 : x + 10] - y) ** 2) / 2
        )
    image = frame.clip(0, 255).astype(np.uint8)
    model = find_model("lpnet-rt")
    engine = choose_engine(model, DetectorSettings(engine="openvino", precision="f32")).engine
    batch = model_input(image, model.card.input.multiple, model.card.input.min_side_px)
    whole = detect(engine.score(batch)[0, 0, :1100, :1500].copy(), image, 0.5)
    found = detect(score_in_tiles(engine.score, batch, REACH_PX, tile_px=800)[0, 0, :1100, :1500], image, 0.5)
    assert len(whole) >= len(places)
    for centroid, score in zip(whole.centroid_xy, whole.score, strict=True):
        distance = np.hypot(*(found.centroid_xy - centroid).T)
        assert distance.min() <= 0.25
        assert abs(float(found.score[distance.argmin()]) - float(score)) <= 0.02


def test_a_detector_tiles_what_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network()
    detector = Detector(find_model("lpnet-rt").card, Choice(network, "test"), 0.5)
    assert detector.score_map(np.zeros((64, 80), np.uint8)).shape == (64, 80)
    assert network.shapes == [(1, 2, 64, 80)]
    monkeypatch.setattr(network, "score", lambda batch: np.zeros((1, 1, *batch.shape[2:]), np.float32))
    assert detector.score_map(np.zeros((4100, 4100), np.uint8)).shape == (4100, 4100)


def test_tiles_that_keep_nothing_are_refused() -> None:
    batch = np.zeros((1, 2, 64, 64), np.float32)
    with pytest.raises(ValueError, match="expected multiples of 16 and tile > 2"):
        score_in_tiles(Network().score, batch, REACH_PX, tile_px=640)
    with pytest.raises(ValueError, match="expected multiples of 16"):
        score_in_tiles(Network().score, batch, REACH_PX, tile_px=1001)
