from __future__ import annotations

import cv2
import numpy as np
import pytest

from lpnet_rt.tracking import CameraMotionEstimator
from lpnet_rt.tracking.camera_motion import NO_MOTION


def _scene(seed: int = 3, height: int = 600, width: int = 800) -> np.ndarray:
    rough = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 1, (height, width)), (0, 0), 4)
    return (rough - rough.min()) / np.ptp(rough)


def _cut(scene: np.ndarray, dx: float, dy: float, size_hw: tuple[int, int], noise: np.ndarray) -> np.ndarray:
    """The part of a scene that is seen after the picture moved by (dx, dy)."""
    height, width = size_hw
    at = np.float64([[1, 0, dx - 60], [0, 1, dy - 60]])
    return cv2.warpAffine(scene, at, (width, height), flags=cv2.INTER_LINEAR) + noise[:height, :width]


@pytest.mark.parametrize(("size_hw", "dtype", "counts"), [((256, 320), np.uint8, 160), ((512, 640), np.uint16, 9000)])
def test_shake_and_pan_are_told_to_a_fraction_of_a_pixel(
    size_hw: tuple[int, int], dtype: type[np.unsignedinteger], counts: int
) -> None:
    rng = np.random.default_rng(1)
    scene = _scene()
    estimator = CameraMotionEstimator()
    before = np.zeros(2)
    errors = []
    for frame in range(25):
        at = rng.normal(0, 3, 2) + np.array([2.0 * frame - 25.0, 0.0])
        noise = rng.normal(0, 0.01, (512, 640))
        image = (_cut(scene, float(at[0]), float(at[1]), size_hw, noise) * counts + counts / 10).clip(0).astype(dtype)
        motion = estimator.update(image)
        if frame:
            errors.append(np.abs((motion.dx, motion.dy) - (at - before)).max())
            assert motion.confidence > 0.5
        else:
            assert motion == NO_MOTION
        before = at
    assert np.median(errors) < 0.25
    assert max(errors) < 1.0


def test_an_empty_sky_is_no_motion_even_where_a_target_moves() -> None:
    rng = np.random.default_rng(2)
    estimator = CameraMotionEstimator()
    for frame in range(30):
        sky = rng.normal(100, 2, (256, 320))
        sky[100:104, 20 + 3 * frame : 24 + 3 * frame] += 100
        motion = estimator.update(sky.astype(np.uint8), np.array([[21.5 + 3 * frame, 101.5]]))
        assert abs(motion.dx) < 0.7
        assert abs(motion.dy) < 0.7


def test_a_noise_pattern_that_stays_does_not_hide_a_weak_majority_of_nothing() -> None:
    rng = np.random.default_rng(4)
    pattern = rng.normal(0, 1.5, (256, 320))
    scene = _scene(5, 256, 400)
    estimator = CameraMotionEstimator()
    total = 0.0
    for frame in range(20):
        image = 60.0 + pattern + rng.normal(0, 0.5, (256, 320))
        image[170:] += 120 * scene[170:, 40 - frame : 360 - frame]  # only the ground moves; the sky is fixed noise
        total += estimator.update(image.astype(np.uint8)).dx
    assert total == pytest.approx(19.0, abs=2.0)


def test_a_level_jump_is_no_motion() -> None:
    scene = _scene() * 100
    estimator = CameraMotionEstimator()
    noise = np.zeros((256, 320))
    estimator.update((_cut(scene, 0, 0, (256, 320), noise) + 20).astype(np.uint8))
    motion = estimator.update((_cut(scene, 0, 0, (256, 320), noise) + 90).astype(np.uint8))
    assert motion.confidence > 0.5
    assert (motion.dx, motion.dy) == (0.0, 0.0)


def test_after_a_reset_the_next_frame_is_the_first() -> None:
    scene, noise = _scene() * 200, np.zeros((256, 320))
    estimator = CameraMotionEstimator()
    estimator.update(_cut(scene, 0, 0, (256, 320), noise).astype(np.uint8))
    estimator.reset()
    assert estimator.update(_cut(scene, 4, 0, (256, 320), noise).astype(np.uint8)) == NO_MOTION


def test_a_very_small_frame_is_no_motion() -> None:
    estimator = CameraMotionEstimator()
    for _ in range(3):
        assert estimator.update(np.random.default_rng(0).integers(0, 255, (16, 16), np.uint8)).confidence == 0.0
