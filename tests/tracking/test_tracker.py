from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenes import FRAME_S, IMAGE, SIZE_HW, found, mean_score_profile

from lpnet_rt.detections import Detections
from lpnet_rt.tracking import Tracker, TrackerSettings, TrackState, TrackUpdate
from lpnet_rt.tracking.camera_motion import CameraMotion, StillCamera


class _Pan:
    """A camera that is known to pan."""

    def __init__(self, dx: float) -> None:
        self._step = CameraMotion(dx, 0.0, 1.0)

    def update(self, image: object, targets_xy: object = None) -> CameraMotion:
        return self._step

    def reset(self) -> None:
        pass


def _tracker(**lifecycle: float) -> Tracker:
    return Tracker(mean_score_profile(**lifecycle), camera=StillCamera())


def _run(tracker: Tracker, frames: list[Detections], first: int = 0) -> list[TrackUpdate]:
    return [tracker.update(IMAGE, one, (first + index) * FRAME_S) for index, one in enumerate(frames)]


def _line(count: int, x: float = 20.0, y: float = 40.0, step: float = 2.0, score: float = 0.9) -> list[Detections]:
    return [found([(x + step * index, y)], score) for index in range(count)]


def test_a_track_walks_through_its_life() -> None:
    tracker = _tracker(coast_s=0.2, tentative_gap_s=0.1)
    updates = _run(tracker, _line(6) + [Detections.empty()] * 8)
    states = [update.tracks.state.tolist() for update in updates]
    assert states[:3] == [[TrackState.TENTATIVE]] * 3
    assert states[3:6] == [[TrackState.CONFIRMED]] * 3
    assert states[6:12] == [[TrackState.COASTING]] * 6
    assert states[12:] == [[]] * 2
    assert [int(update.tracks.hits[0]) for update in updates[:12]] == [1, 2, 3, 4, 5, 6, 6, 6, 6, 6, 6, 6]
    assert [int(update.tracks.age_frames[0]) for update in updates[:12]] == list(range(1, 13))
    assert updates[5].tracks.age_s[0] == pytest.approx(5 * FRAME_S)
    assert [update.detection_track_id.tolist() for update in updates[:6]] == [[1]] * 6
    assert [update.detection_state.tolist() for update in updates[:6]] == states[:6]
    events = [event for update in updates for event in update.events]
    assert [event.kind for event in events] == ["started", "confirmed", "ended"]
    started, confirmed, ended = events
    assert not started.confirmed
    assert confirmed.chip is not None
    assert confirmed.chip.shape == (64, 64)
    assert confirmed.t_s == pytest.approx(3 * FRAME_S)
    assert ended.t_s == pytest.approx(5 * FRAME_S)
    assert ended.duration_s == pytest.approx(5 * FRAME_S)
    assert (ended.first_xy, ended.last_xy) == ((20.0, 40.0), (30.0, 40.0))
    assert ended.best_score == pytest.approx(0.9)


def test_a_tentative_track_ends_sooner_than_a_confirmed_one() -> None:
    updates = _run(_tracker(tentative_gap_s=0.1), _line(2) + [Detections.empty()] * 5)
    assert [len(update.tracks) for update in updates] == [1, 1, 1, 1, 1, 0, 0]
    assert [event.kind for event in updates[5].events] == ["ended"]
    assert not updates[5].events[0].confirmed


def test_a_coasting_track_takes_up_its_target_again() -> None:
    frames = _line(40)
    for gap in range(10, 25):
        frames[gap] = Detections.empty()
    updates = _run(_tracker(), frames)
    assert updates[24].tracks.state.tolist() == [TrackState.COASTING]
    np.testing.assert_allclose(updates[24].tracks.xy[0], (68.0, 40.0), atol=1.0)
    assert updates[39].tracks.state.tolist() == [TrackState.CONFIRMED]
    assert updates[39].tracks.id.tolist() == [1]


def test_the_time_step_is_the_one_between_the_frames() -> None:
    tracker = _tracker()
    times = np.cumsum([0.02, 0.05, 0.03, 0.1, 0.02, 0.25, 0.04, 0.03, 0.3, 0.02])
    for t_s in times:
        update = tracker.update(IMAGE, found([(20.0 + 60.0 * t_s, 40.0)]), float(t_s))
    assert update.tracks.id.tolist() == [1]
    np.testing.assert_allclose(update.tracks.velocity_xy[0], (60.0, 0.0), atol=3.0)


def test_weak_detections_extend_tracks_and_start_none() -> None:
    updates = _run(_tracker(), _line(6, score=0.2))
    assert all(len(update.tracks) == 0 for update in updates)
    updates = _run(_tracker(), _line(4, score=0.95) + _line(20, x=28.0, score=0.2))
    assert updates[-1].tracks.id.tolist() == [1]
    assert updates[-1].tracks.hits.tolist() == [24]


def test_a_strong_detection_goes_before_a_nearer_weak_one() -> None:
    tracker = _tracker()
    _run(tracker, _line(6))
    update = tracker.update(IMAGE, found([(32.0, 40.0), (33.5, 40.0)], [0.2, 0.9]), 6 * FRAME_S)
    assert update.detection_track_id.tolist() == [0, 1]


def test_the_halves_of_a_broken_target_are_one_track() -> None:
    updates = _run(_tracker(), [found([(40.0, 40.0), (44.0, 40.0)], [0.9, 0.8], side_px=3)] * 6)
    assert updates[-1].tracks.id.tolist() == [1]


def test_the_camera_s_motion_is_taken_out_of_the_velocity() -> None:
    tracker = Tracker(mean_score_profile(), camera=_Pan(-2.0))
    updates = _run(tracker, _line(30, x=120.0, step=-2.0))  # stands still in the scene
    np.testing.assert_allclose(updates[-1].tracks.velocity_xy[0], (0.0, 0.0), atol=0.5)
    np.testing.assert_allclose(updates[-1].tracks.xy[0], (62.0, 40.0), atol=0.5)
    assert tracker.table()["reach_px"][0] < 1.0


def test_a_track_that_leaves_the_frame_ends_at_once() -> None:
    updates = _run(_tracker(), _line(8, x=140.0, step=2.5) + [Detections.empty()] * 3)
    assert len(updates[-1].tracks) == 0


def test_during_a_calibration_tracks_coast_and_nothing_starts() -> None:
    rng = np.random.default_rng(3)
    scene = [rng.integers(90, 110, SIZE_HW, np.uint8) for _ in range(50)]
    tracker = _tracker(coast_s=0.2)
    for index in range(8):
        tracker.update(scene[index], found([(40.0, 40.0)]), index * FRAME_S)
    tracker.calibrating(True)
    for index in range(8, 28):  # two thirds of a second: longer than a track may coast
        update = tracker.update(scene[7], found([(40.0, 40.0), (90.0, 90.0)]), index * FRAME_S)
        assert update.tracks.state.tolist() == [TrackState.COASTING]
        assert update.detection_track_id.tolist() == [0, 0]
    tracker.calibrating(False)
    states = []
    for index in range(28, 50):
        update = tracker.update(scene[index] + np.uint8(60), found([(40.0, 40.0), (90.0, 90.0)]), index * FRAME_S)
        states.append(update.tracks.state.tolist())
        assert update.tracks.id[0] == 1
    assert states[:5] == [[TrackState.CONFIRMED]] * 5  # the first frame and four that agree with the one before
    assert states[5] == [TrackState.CONFIRMED, TrackState.TENTATIVE]
    assert states[-1] == [TrackState.CONFIRMED, TrackState.CONFIRMED]


def test_frames_must_agree_again_before_a_track_starts() -> None:
    rng = np.random.default_rng(3)
    tracker = _tracker()
    tracker.calibrating(True)
    tracker.calibrating(False)
    for index in range(20):  # the level still jumps, and then the picture stands
        image = rng.integers(90, 110, SIZE_HW, np.uint8) + np.uint8(30 * (index % 2)) if index < 10 else IMAGE
        assert len(tracker.update(image, found([(40.0, 40.0)]), index * FRAME_S).tracks) == 0


def test_for_two_seconds_after_a_calibration_more_evidence_is_asked_for() -> None:
    rng = np.random.default_rng(3)
    tracker = _tracker()
    tracker.calibrating(True)
    tracker.calibrating(False)
    states = []
    for index in range(80):
        image = rng.integers(90, 110, SIZE_HW, np.uint8)
        places = found([(40.0, 40.0), (90.0, 90.0)], [0.55, 0.9])
        states.append(tracker.update(image, places, index * FRAME_S).tracks.state.tolist())
    assert states[15] == [TrackState.TENTATIVE, TrackState.TENTATIVE]
    assert states[16] == [TrackState.CONFIRMED, TrackState.TENTATIVE]  # the stronger one is the older
    assert states[55] == [TrackState.CONFIRMED, TrackState.TENTATIVE]
    assert states[70] == [TrackState.CONFIRMED, TrackState.CONFIRMED]


def test_a_reset_ends_all_tracks_and_no_number_comes_back() -> None:
    tracker = _tracker()
    _run(tracker, _line(5))
    ended = tracker.reset()
    assert [(event.kind, event.track_id) for event in ended] == [("ended", 1)]
    update = _run(tracker, _line(1))[0]  # earlier times are allowed again
    assert update.tracks.id.tolist() == [2]
    assert update.epoch == 1


@pytest.mark.parametrize("t_s", [0.5, 0.4, float("nan")])
def test_time_goes_forward(t_s: float) -> None:
    tracker = _tracker()
    tracker.update(IMAGE, Detections.empty(), 0.5)
    with pytest.raises(ValueError, match=r"t_s: expected a time after the last frame's, 0\.5"):
        tracker.update(IMAGE, Detections.empty(), t_s)


@pytest.mark.parametrize("t_s", [float("nan"), float("inf")])
def test_the_first_time_is_a_number(t_s: float) -> None:
    with pytest.raises(ValueError, match="t_s: expected a finite time, found"):
        _tracker().update(IMAGE, Detections.empty(), t_s)


def test_a_source_may_come_back_with_another_size() -> None:
    tracker = _tracker()
    _run(tracker, _line(5))
    tracker.reset()
    tracker.update(np.zeros((64, 64), np.uint8), found([(30.0, 30.0)]), 0.0)
    assert tracker.clutter is not None
    assert tracker.clutter.size_hw == (64, 64)


def test_a_frame_of_another_size_is_refused() -> None:
    tracker = _tracker()
    tracker.update(IMAGE, Detections.empty(), 0.0)
    with pytest.raises(ValueError, match="expected the size of the frames before"):
        tracker.update(np.zeros((8, 8), np.uint8), Detections.empty(), 1.0)


def test_a_lamp_is_learned_within_a_minute_and_known_after_a_restart(tmp_path: Path) -> None:
    settings = TrackerSettings(clutter_file=str(tmp_path / "clutter.npz"))
    tracker = Tracker(mean_score_profile(), settings, camera=StillCamera())
    for index in range(600):
        tracker.update(IMAGE, found([(80.0, 40.0)]), index / 10.0)
    tracker.save_clutter()
    again = Tracker(mean_score_profile(), settings, camera=StillCamera())
    again.update(IMAGE, found([(80.0, 40.0)]), 0.0)
    assert again.table()["clutter_s"][0] > 45.0


def test_what_has_moved_before_it_hovers_is_not_learned_as_clutter() -> None:
    tracker = _tracker()
    _run(tracker, _line(20) + [found([(58.0, 40.0)])] * 300)
    assert tracker.clutter is not None
    assert tracker.clutter.picture().max() < 0.2


def _moved(update: TrackUpdate) -> np.ndarray:
    return np.concatenate((update.tracks.xy, update.tracks.velocity_xy), axis=1)


@st.composite
def _clips(draw: st.DrawFn) -> list[list[tuple[float, float, float]]]:
    """(x, y, score) of each detection of each frame: a few targets with noise, misses and false detections."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    targets, frames = draw(st.integers(1, 5)), draw(st.integers(2, 15))
    place, step = rng.uniform(20, 100, (targets, 2)), rng.normal(0, 2, (targets, 2))
    clip = []
    for _ in range(frames):
        place = place + step
        seen = place[rng.random(targets) > 0.2] + rng.normal(0, 0.3, 2)
        xy = np.concatenate((seen, rng.uniform(0, 118, (rng.integers(0, 3), 2))))
        clip.append([(float(x), float(y), float(rng.uniform(0.1, 1.0))) for x, y in xy])
    return clip


def _tracked(clip: list[list[tuple[float, float, float]]], transpose: bool = False) -> list[TrackUpdate]:
    tracker = Tracker(mean_score_profile(), camera=StillCamera())
    image = np.zeros((160, 160), np.uint8)
    updates = []
    for index, places in enumerate(clip):
        xy = [(y, x) if transpose else (x, y) for x, y, _ in places]
        updates.append(tracker.update(image, found(xy, [score for *_, score in places]), index * FRAME_S))
    return updates


@given(clip=_clips())
def test_a_transposed_picture_gives_transposed_tracks(clip: list[list[tuple[float, float, float]]]) -> None:
    for plain, turned in zip(_tracked(clip), _tracked(clip, transpose=True), strict=True):
        assert plain.tracks.id.tolist() == turned.tracks.id.tolist()
        assert plain.tracks.state.tolist() == turned.tracks.state.tolist()
        np.testing.assert_allclose(_moved(plain), _moved(turned)[:, (1, 0, 3, 2)], atol=1e-9)


@given(clip=_clips(), seed=st.integers(0, 2**32 - 1))
def test_the_order_of_the_detections_makes_no_difference(
    clip: list[list[tuple[float, float, float]]], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    shuffled = [[places[index] for index in rng.permutation(len(places))] for places in clip]
    for one, other in zip(_tracked(clip), _tracked(shuffled), strict=True):
        order, other_order = (np.lexsort(_moved(update).round(6).T) for update in (one, other))
        np.testing.assert_allclose(_moved(one)[order], _moved(other)[other_order], atol=1e-6)
        assert one.tracks.state[order].tolist() == other.tracks.state[other_order].tolist()


@given(clip=_clips())
def test_numbers_are_given_once_and_every_track_that_started_is_alive_or_has_ended(
    clip: list[list[tuple[float, float, float]]],
) -> None:
    updates = _tracked(clip)
    events = [event for update in updates for event in update.events]
    started = [event.track_id for event in events if event.kind == "started"]
    ended = [event.track_id for event in events if event.kind == "ended"]
    assert started == list(range(1, len(started) + 1))
    assert sorted(ended + updates[-1].tracks.id.tolist()) == started
    for update, places in zip(updates, clip, strict=True):
        given_ids = update.detection_track_id[update.detection_track_id > 0].tolist()
        assert len(set(given_ids)) == len(given_ids)
        assert len(update.detection_track_id) == len(update.detection_state) == len(places)


def test_nothing_of_an_update_changes_with_the_next_one() -> None:
    tracker = _tracker()
    first = _run(tracker, _line(5))[-1]
    kept = {field.name: getattr(first.tracks, field.name).copy() for field in fields(first.tracks)}
    _run(tracker, _line(5, x=30.0), first=5)
    for name, values in kept.items():
        np.testing.assert_array_equal(getattr(first.tracks, name), values)
