"""Synthetic targets of known SNR: how they are laid, where, and how what is found is judged."""

from __future__ import annotations

import numpy as np
import pytest

from lpnet_rt.benchmarks.dim_targets import FRAMES, Laid, Path2D, judge, lay_target, main, pick_path
from lpnet_rt.detections import Detections
from lpnet_rt.training.tracks.recording import Recording
from lpnet_rt.training.tracks.truth import ClipTruth

NO_TRUTH = ClipTruth({}, {}, {})


def _sky(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(1000, 20, (120, 160)).clip(0, 65535).astype(np.uint16)


def test_a_target_has_the_snr_asked_for() -> None:
    image, xy = _sky(), np.array([60.0, 50.0])
    laid = lay_target(image, xy, 1.2, 5.0)
    added = laid.astype(float) - image
    assert added[50, 60] == pytest.approx(5.0 * image[40:61, 50:71].std(), abs=1.0)
    assert np.count_nonzero(added) < 60


def test_a_path_keeps_to_even_sky_and_away_from_boxes() -> None:
    image = np.full((120, 160), 100, np.uint8)
    image[70:] = np.random.default_rng(1).integers(0, 255, (50, 160))
    boxes = {frame: np.array([[100.0, 10.0, 10.0, 10.0]]) for frame in range(30)}
    path = pick_path([image] * 30, ClipTruth(boxes, {}, {}), np.random.default_rng(0))
    assert path is not None
    assert path.xy[:, 1].max() < 64
    assert not ((path.xy >= (80, -10)) & (path.xy <= (130, 40))).all(axis=1).any()
    noisy = np.random.default_rng(2).integers(0, 255, (120, 160)).astype(np.uint8)
    assert pick_path([noisy] * 30, NO_TRUTH, np.random.default_rng(0)) is None


def test_what_is_found_is_judged_at_the_rate_of_false_detections() -> None:
    path = Path2D(40.0 + np.arange(FRAMES)[:, None] * (1.0, 0.2), 1.0)
    lamp = np.tile((120.0, 20.0), (FRAMES, 1))
    xy = np.stack((path.xy, lamp), axis=1).reshape(-1, 2).astype(np.float32)
    # The target scores 0.6 on its first half and 0.2 on its second; the lamp always 0.3.
    score = np.stack((np.where(np.arange(FRAMES) < FRAMES // 2, 0.6, 0.2), np.full(FRAMES, 0.3)), axis=1).reshape(-1)
    corner = np.round(xy).astype(np.int32) - 2
    found = Detections(
        centroid_xy=xy,
        box_xyxy=np.concatenate((corner, corner + 4), axis=1),
        score=score.astype(np.float32),
        area_px=np.full(len(xy), 9, np.int32),
        peak=np.full(len(xy), 100, np.int32),
        snr=np.full(len(xy), 6.0, np.float32),
    )
    motion = np.tile((0.0, 0.0, 1.0), (FRAMES, 1))
    recording = Recording("a", (120, 160), np.arange(FRAMES) / 30.0, np.full(FRAMES, 2), found, motion)
    sky = Laid(recording, path, NO_TRUTH, [np.ones(2, np.bool_)] * FRAMES)
    strict = judge([sky], 5.0, 0.01, "lpnet-rt", 0.65)
    assert (strict.pd, strict.pd_packaged) == (0.5, 0.0)
    assert strict.threshold == pytest.approx(0.3, abs=1e-6)
    assert judge([sky], 5.0, 1.0, "lpnet-rt", 0.65).pd == 1.0
    # A lamp on the ground says nothing of the sky.
    ground = Laid(recording, path, NO_TRUTH, [np.array([True, False])] * FRAMES)
    assert judge([ground], 5.0, 0.01, "lpnet-rt", 0.15).pd_packaged == 1.0
    assert judge([ground], 5.0, 0.01, "lpnet-rt", 0.15).pd == 1.0


def test_ratios_are_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", ".", "--snr", "2,x"]) == 2
    assert "--snr 2,x: expected numbers over 0" in capsys.readouterr().err
