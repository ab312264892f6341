from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest

from lpnet_rt.errors import SettingsError
from lpnet_rt.settings import SourceSettings
from lpnet_rt.sources.demo import DemoScene, DemoSource


@pytest.fixture(scope="module")
def scene() -> DemoScene:
    return DemoScene(seed=0)


def test_a_frame_is_the_same_whatever_was_asked_before(scene: DemoScene) -> None:
    again = DemoScene(seed=0)
    for index in (7, 0, 100_003, 7):
        np.testing.assert_array_equal(scene.frame(index), again.frame(index))
    again.frame(3)
    np.testing.assert_array_equal(scene.frame(7), again.frame(7))
    assert not np.array_equal(scene.frame(7), scene.frame(8))
    assert not np.array_equal(scene.frame(7), DemoScene(seed=1).frame(7))


def test_counts_are_those_of_a_14_bit_camera(scene: DemoScene) -> None:
    image = scene.frame(5)
    assert (image.shape, image.dtype) == ((512, 640), np.uint16)
    assert image.min() > 6000
    assert image.max() < 9500
    low, high = np.percentile(image, (1, 99))
    assert 7000 < low < high < 8000


def test_noise_is_four_counts_and_differs_from_frame_to_frame() -> None:
    empty = DemoScene(seed=2, targets=0)
    difference = empty.frame(10).astype(float) - empty.frame(11)
    assert difference.std() / np.sqrt(2) == pytest.approx(4.0, abs=0.3)


def test_the_ground_is_warmer_than_the_sky(scene: DemoScene) -> None:
    image = scene.frame(0).astype(float)
    assert np.median(image[450:]) > np.median(image[:350]) + 100


def test_clouds_drift_and_the_ground_stays() -> None:
    empty = DemoScene(seed=0, targets=0)
    first, later = (cv2.GaussianBlur(empty.frame(index).astype(np.float32), (0, 0), 3) for index in (0, 150))
    moved = np.abs(first - later)
    assert moved[:380].max() > 12
    assert moved[460:].max() < 5


def test_dead_pixels_stay_where_they_are(scene: DemoScene) -> None:
    x, y = scene.dead_xy.T
    assert 2 <= len(x) <= 40
    np.testing.assert_array_equal(scene.frame(0)[y, x], scene.frame(333)[y, x])
    around = cv2.medianBlur(scene.frame(0), 5)[y, x].astype(int)
    off = scene.frame(0)[y, x].astype(int) - around
    assert (np.abs(off) > 100).all()
    assert (off > 0).any()
    assert (off < 0).any()


@pytest.mark.parametrize("seed", [0, 3])
def test_targets_are_where_the_truth_says(seed: int) -> None:
    """The mean difference of frames with targets and the same frames without them is the target alone."""
    scene, empty = DemoScene(seed=seed), DemoScene(seed=seed, targets=0)
    for index in (0, 77, 501):
        added = scene.frame(index).astype(float) - empty.frame(index)
        truth = scene.truth(index)
        assert len(truth) >= 1
        for (x, y), extent_px, peak in zip(truth.centroid_xy, truth.extent_px, truth.peak, strict=True):
            near = np.hypot(np.arange(640)[None] - x, np.arange(512)[:, None] - y)
            apart = np.sort(np.hypot(*(truth.centroid_xy - (x, y)).T))[1:2]
            if 3 * extent_px > min(x, y, 640 - x, 512 - y) or (apart < 40).any():
                continue
            blob = np.where(near <= max(extent_px, 3), added, 0.0)
            assert blob.max() == pytest.approx(peak, abs=1.1)
            ys, xs = np.nonzero(blob)
            centroid = np.average(np.stack((xs, ys), axis=1), axis=0, weights=blob[ys, xs])
            np.testing.assert_allclose(centroid, (x, y), atol=0.25)
            assert added[near <= max(extent_px / 2, 1.2)].sum() > 0.7 * blob.sum()
        far = np.min([np.hypot(np.arange(640)[None] - x, np.arange(512)[:, None] - y) for x, y in truth.centroid_xy], 0)
        assert np.count_nonzero(np.abs(added[far > 30]) > 1) < 200  # only what lies just outside the border


@pytest.mark.parametrize("seed", range(5))
def test_targets_are_small_dim_and_move_as_promised(seed: int) -> None:
    scene = DemoScene(seed=seed)
    tracks: dict[int, list[tuple[int, float, float]]] = {}
    for index in range(0, 900, 2):
        truth = scene.truth(index)
        assert ((truth.extent_px >= 2) & (truth.extent_px <= 12)).all()
        assert ((truth.peak >= 4 * 4.9) & (truth.peak <= 4 * 56)).all()
        assert ((truth.centroid_xy >= -0.5) & (truth.centroid_xy <= (639.5, 511.5))).all()
        for number, (x, y) in zip(truth.target.tolist(), truth.centroid_xy.tolist(), strict=True):
            tracks.setdefault(number, []).append((index, x, y))
    assert 3 <= len(tracks) <= 6
    for track in tracks.values():
        table = np.array(track)
        steps = np.diff(table, axis=0)
        speed_px = np.hypot(steps[:, 1], steps[:, 2])[steps[:, 0] == 2] / 2
        assert speed_px.min() > 0.29
        assert speed_px.max() < 3.05


def test_targets_enter_and_leave(scene: DemoScene) -> None:
    counts = {len(scene.truth(index)) for index in range(0, 3000, 50)}
    assert len(counts) > 1


def test_no_targets_and_other_sizes() -> None:
    scene = DemoScene(seed=1, size_hw=(96, 128), targets=0)
    assert scene.size_hw == (96, 128)
    assert scene.frame(0).shape == (96, 128)
    assert len(scene.truth(0)) == 0
    assert scene.truth(0).centroid_xy.shape == (0, 2)
    assert DemoScene(seed=1, size_hw=(1024, 1280), targets=9).frame(2).shape == (1024, 1280)


def test_values_out_of_range() -> None:
    with pytest.raises(SettingsError, match="at least 64"):
        DemoScene(size_hw=(63, 640))
    with pytest.raises(SettingsError, match="0 to 64 targets"):
        DemoScene(targets=65)


def test_the_source_delivers_the_scene(clock) -> None:
    source = DemoSource(SourceSettings(frames=3, seed=5), clock)
    assert (source.name, source.live, source.frame_count, source.rate_hz) == ("demo", False, 3, 30.0)
    frames = list(source)
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert [frame.bit_depth for frame in frames] == [14, 14, 14]
    assert frames[2].pts_s == pytest.approx(2 / 30)
    np.testing.assert_array_equal(frames[2].image, DemoScene(5).frame(2))
    assert clock.naps_s == []


def test_the_default_length_and_realtime(clock) -> None:
    small = DemoScene(size_hw=(64, 64))
    source = DemoSource(SourceSettings(realtime=True), clock, small)
    assert source.live
    start_ns = clock.now_ns
    due = [(frame.t_read_ns - start_ns) / 1e9 for frame in source]
    assert len(due) == source.frame_count == 600
    np.testing.assert_allclose(due, np.arange(600) / 30, atol=1e-6)


def test_close_ends_the_source() -> None:
    source = DemoSource(SourceSettings(), scene=DemoScene(size_hw=(64, 64)))
    frames = iter(source)
    next(frames)
    source.close()
    source.close()
    assert list(frames) == []


def test_in_realtime_a_limit_is_left_to_the_reader(clock) -> None:
    """A live reader misses frames, and the limit counts those that it handles."""
    source = DemoSource(SourceSettings(realtime=True, frames=3), clock, DemoScene(size_hw=(64, 64)))
    assert source.frame_count == 3
    assert [frame.index for frame in itertools.islice(source, 7)] == list(range(7))
