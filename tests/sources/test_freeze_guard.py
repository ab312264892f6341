from __future__ import annotations

import os
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from lpnet_rt.settings import SourceSettings
from lpnet_rt.sources import open_source
from lpnet_rt.sources.freeze import FreezeGuard, Verdict

_RATE_HZ = 30.0
_SIZE_HW = (128, 160)
_DATA = Path(os.environ.get("LPNET_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
_CLIPS = _DATA / "irvideo/clips"


def _scene(dtype: type = np.uint8, speed_px: int = 2, seed: int = 0) -> Iterator[NDArray[np.generic]]:
    """Clouds that drift, with noise: no two pictures are alike."""
    rng = np.random.default_rng(seed)
    clouds = cv2.GaussianBlur(rng.normal(0, 1, _SIZE_HW), (0, 0), 12, borderType=cv2.BORDER_REFLECT)
    clouds = clouds / clouds.std()
    middle, spread, noise = (110, 25, 2) if dtype == np.uint8 else (7000, 150, 8)
    for index in range(100_000):
        counts = middle + spread * np.roll(clouds, speed_px * index, 1) + rng.normal(0, noise, _SIZE_HW)
        yield np.clip(counts, 0, np.iinfo(dtype).max).astype(dtype)


class _Watch:
    """A guard and the time at which each picture comes."""

    def __init__(self, frozen_after_s: float = 2.5) -> None:
        self.guard = FreezeGuard(frozen_after_s)
        self.index = 0

    def see(self, images: Iterator[NDArray[np.generic]] | list[NDArray[np.generic]]) -> list[Verdict]:
        verdicts = []
        for image in images:
            verdicts.append(self.guard.update(image, self.index / _RATE_HZ))  # type: ignore[arg-type]
            self.index += 1
        return verdicts


@pytest.mark.parametrize("speed_px", [0, 2, 15])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_scene_that_moves_is_live(dtype: type, speed_px: int) -> None:
    assert set(_Watch().see(islice(_scene(dtype, speed_px), 150))) == {"live"}


def test_pictures_that_encoders_repeat_are_live() -> None:
    repeated = [image for image in islice(_scene(), 40) for _ in range(5)]
    assert set(_Watch().see(repeated)) == {"live"}


def test_a_slow_camera_that_is_recorded_fast_is_live() -> None:
    watch = _Watch()
    verdicts = [watch.guard.update(image, index / 9.0) for index, image in enumerate(islice(_scene(), 40))]  # type: ignore[arg-type]
    assert set(verdicts) == {"live"}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_calibration_is_one_from_a_quarter_of_a_second_on_until_the_pictures_agree(dtype: type) -> None:
    watch, scene = _Watch(), _scene(dtype)
    before = list(islice(scene, 30))
    assert set(watch.see(before)) == {"live"}
    still = watch.see([before[-1].copy() for _ in range(45)])
    assert still[:7] == ["live"] * 7
    assert set(still[8:]) == {"calibrating"}
    spread = float(before[-1].std())
    after = watch.see([(image + spread).astype(dtype) for image in islice(scene, 60)])
    assert set(after[:10]) == {"calibrating"}
    assert set(after[20:]) == {"live"}


def test_a_still_picture_is_frozen_after_so_long_and_live_once_it_moves() -> None:
    watch, scene = _Watch(frozen_after_s=1.0), _scene()
    before = list(islice(scene, 30))
    watch.see(before)
    still = watch.see([before[-1].copy() for _ in range(60)])
    assert set(still[:29]) == {"live", "calibrating"}
    assert set(still[30:]) == {"frozen"}
    after = watch.see(islice(scene, 60))
    assert after[-1] == "live"
    assert "frozen" not in after[20:]


def test_a_still_picture_that_key_frames_refresh_is_still() -> None:
    watch, scene = _Watch(), _scene()
    before = list(islice(scene, 30))
    watch.see(before)
    refreshed = [before[-1] + np.uint8(1) * np.uint8(index % 50 >= 47) for index in range(200)]
    assert watch.see(refreshed)[-1] == "frozen"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(("level", "gain"), [(0.5, 1.0), (-0.5, 1.0), (0.0, 1.4), (0.0, 0.7), (0.3, 1.2)])
def test_a_jump_of_level_or_gain(dtype: type, level: float, gain: float) -> None:
    watch, scene = _Watch(), _scene(dtype)
    before = list(islice(scene, 20))
    watch.see(before)
    mean, spread = float(before[-1].mean()), float(before[-1].std())
    top = np.iinfo(dtype).max
    after = watch.see(
        [np.clip((image - mean) * gain + mean + level * spread, 0, top).astype(dtype) for image in islice(scene, 30)]
    )
    assert after[:5] == ["calibrating"] * 5
    assert set(after[5:]) == {"live"}


def test_the_grey_of_a_shutter() -> None:
    watch, scene, rng = _Watch(), _scene(), np.random.default_rng(1)
    watch.see(islice(scene, 20))
    grey = watch.see([rng.normal(110, 1.5, _SIZE_HW).astype(np.uint8) for _ in range(30)])
    assert set(grey) == {"calibrating"}
    after = watch.see(islice(scene, 30))
    assert after[0] == "calibrating"
    assert set(after[10:]) == {"live"}


def test_a_lens_that_is_covered_for_good_is_what_there_is_to_see() -> None:
    watch, scene, rng = _Watch(), _scene(), np.random.default_rng(1)
    watch.see(islice(scene, 20))
    grey = watch.see([rng.normal(110, 1.5, _SIZE_HW).astype(np.uint8) for _ in range(120)])
    assert (grey[0], grey[-1]) == ("calibrating", "live")


def test_another_scene_is_no_jump_of_level_or_gain() -> None:
    watch = _Watch()
    watch.see(islice(_scene(seed=1), 20))
    assert set(watch.see(islice(_scene(seed=2), 20))) == {"live"}


def test_other_pictures_start_again() -> None:
    watch, scene = _Watch(), _scene()
    image = next(scene)
    assert watch.see([image] * 30)[-1] == "calibrating"
    assert watch.see([image[:64]]) == ["live"]
    assert watch.see([image[:64].astype(np.uint16)]) == ["live"]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_time_that_a_picture_takes(dtype: type) -> None:
    images = np.random.default_rng(0).integers(60, 200, (20, 512, 640)).astype(dtype)
    for shown in (list(images), [images[0].copy() for _ in images]):
        guard, spent_ns = FreezeGuard(), []
        for index, image in enumerate(shown):
            begun_ns = time.perf_counter_ns()
            guard.update(image, index / _RATE_HZ)
            spent_ns.append(time.perf_counter_ns() - begun_ns)
        assert min(spent_ns[1:]) < 100_000


def _clips(step: int) -> list[Path]:
    paths = sorted(_CLIPS.glob("*.mp4"))
    if not paths:
        pytest.skip(f"needs the clips in {_CLIPS}")
    return paths[::step]


def _shown(path: Path, frames: int | None = None) -> list[NDArray[np.generic]]:
    return [frame.image for frame in open_source(SourceSettings(spec=str(path), frames=frames))]


def _calibrated(
    images: list[NDArray[np.generic]], start: int, frames: int, rng: np.random.Generator
) -> list[NDArray[np.generic]]:
    """Close the shutter over a clip for some frames; what comes after has another level and gain."""
    mean, spread = float(images[start].mean()), max(float(images[start].std()), 4.0)
    level, gain = rng.choice([-1, 1]) * rng.uniform(0.3, 1.0) * spread, rng.uniform(0.8, 1.25)
    shutter = [images[start - 1].copy() for _ in range(frames)]
    if rng.uniform() < 0.3:
        shutter = [rng.normal(mean, 1.5, images[0].shape).clip(0, 255).astype(np.uint8) for _ in range(frames)]
    after = [((image - mean) * gain + mean + level).clip(0, 255).astype(np.uint8) for image in images[start + frames :]]
    return [*images[:start], *shutter, *after]


@pytest.mark.data
@pytest.mark.parametrize(
    ("step", "each"),
    [pytest.param(60, 2, id="ten in five clips"), pytest.param(15, 5, id="hundred in twenty", marks=pytest.mark.slow)],
)
def test_every_calibration_in_real_clips(step: int, each: int) -> None:
    rng = np.random.default_rng(0)
    for path in _clips(step):
        images = _shown(path, 130)
        for _ in range(each):
            start, frames = int(rng.integers(20, 60)), int(rng.uniform(0.5, 2.0) * _RATE_HZ)
            verdicts = _Watch().see(_calibrated(images, start, frames, rng))
            assert set(verdicts[start + 8 : start + frames + 1]) == {"calibrating"}, (path.name, start, frames)
            assert "frozen" not in verdicts


@pytest.mark.data
@pytest.mark.parametrize(
    "step", [pytest.param(60, id="five clips"), pytest.param(6, id="every sixth clip", marks=pytest.mark.slow)]
)
def test_no_frame_of_real_clips_is_taken_for_a_calibration(step: int) -> None:
    for path in _clips(step):
        if path.stem not in _REPEATING | _GAIN_STEPS:
            assert set(_Watch().see(_shown(path))) == {"live"}, path.name


# Clips whose recording itself repeats a picture 12 to 21 times, and clips whose camera changes its gain at once.
_REPEATING = {"IR_AIRPLANE_004", "IR_BIRD_034", "IR_DRONE_012", "IR_DRONE_128", "IR_DRONE_147"}
_GAIN_STEPS = {"IR_BIRD_023", "IR_HELICOPTER_002", "IR_HELICOPTER_004"}


@pytest.mark.data
@pytest.mark.parametrize("name", sorted(_REPEATING | _GAIN_STEPS))
def test_the_clips_that_do_stand_still_or_jump(name: str) -> None:
    path = _CLIPS / f"{name}.mp4"
    if not path.exists():
        pytest.skip(f"needs {path}")
    verdicts = _Watch().see(_shown(path))
    assert 5 <= sum(verdict == "calibrating" for verdict in verdicts) < 40
    assert "frozen" not in verdicts
