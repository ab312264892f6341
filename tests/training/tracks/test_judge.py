from __future__ import annotations

import numpy as np
import pytest

from lpnet_rt.training.tracks.judge import judge_clip, summarise
from lpnet_rt.training.tracks.replay import TrackPath
from lpnet_rt.training.tracks.truth import ClipTruth


def _truth(frames: range, step: float = 2.0, ignored: dict[int, np.ndarray] | None = None) -> ClipTruth:
    """One target of 8x8 px that moves to the right."""
    boxes = {frame: np.array([[10.0 + step * frame, 20.0, 8.0, 8.0]]) for frame in frames}
    return ClipTruth(boxes, {frame: np.array([1]) for frame in frames}, ignored or {})


def _path(places: list[tuple[int, int, float, float]], frames: int, coasting: tuple[int, ...] = ()) -> TrackPath:
    """From (frame, track, x, y), in order of time."""
    columns = np.array(places, np.float64).reshape(-1, 4)
    frame = columns[:, 0].astype(np.int64)
    return TrackPath(frame, columns[:, 1].astype(np.int64), columns[:, 2:], np.isin(frame, coasting), frames)


def _on_target(frames: range, track: int = 1) -> list[tuple[int, int, float, float]]:
    return [(frame, track, 14.0 + 2.0 * frame, 24.0) for frame in frames]


def test_coverage_leaves_out_the_first_ten_frames_of_each_run() -> None:
    truth = ClipTruth(
        {frame: _truth(range(60)).boxes[frame] for frame in (*range(20), *range(30, 45))},
        {frame: np.array([1]) for frame in range(60)},
        {},
    )
    clip = judge_clip(_path(_on_target(range(15, 33)), 60), truth)
    assert clip.settled_frames == 10 + 5
    assert clip.covered_frames == 5
    assert clip.frames_to_confirm == (15,)
    assert clip.true_tracks == (1,)


def test_a_coasting_track_covers_but_is_not_judged_by_where_it_coasts() -> None:
    places = _on_target(range(20)) + [(frame, 1, 200.0, 200.0) for frame in range(20, 60)]
    clip = judge_clip(_path(places, 60, coasting=tuple(range(20, 60))), _truth(range(60)))
    assert clip.true_tracks == (1,)
    assert clip.false_tracks == ()


def test_a_track_outside_the_boxes_is_false() -> None:
    places = [(frame, 7, 150.0, 90.0) for frame in range(5, 15)]
    clip = judge_clip(_path(places, 40), _truth(range(40)))
    assert clip.false_tracks == (7,)
    assert clip.true_tracks == ()


def test_frames_without_a_box_speak_only_where_a_track_has_no_others() -> None:
    on_and_beyond = _on_target(range(10, 20)) + [(frame, 1, 100.0, 24.0) for frame in range(20, 60)]
    assert judge_clip(_path(on_and_beyond, 60), _truth(range(20))).true_tracks == (1,)
    beyond = [(frame, 1, 100.0, 24.0) for frame in range(20, 60)]
    assert judge_clip(_path(beyond, 60), _truth(range(20))).false_tracks == (1,)


def test_a_track_that_is_mostly_near_an_ignored_place_is_neither() -> None:
    ignored = {frame: np.array([[150.0, 90.0]]) for frame in range(5, 13)}
    places = [(frame, 7, 155.0, 95.0) for frame in range(5, 15)]
    clip = judge_clip(_path(places, 40), _truth(range(40), ignored=ignored))
    assert clip.false_tracks == clip.true_tracks == ()


def test_a_target_that_changes_its_track_is_a_switch_and_one_with_two_tracks_is_none() -> None:
    both = sorted(_on_target(range(20)) + _on_target(range(10, 40), track=2))
    assert judge_clip(_path(both, 40), _truth(range(40))).identity_switches == 1
    again = _on_target(range(15)) + _on_target(range(25, 40))
    assert judge_clip(_path(again, 40), _truth(range(40))).identity_switches == 0


def test_clips_add_up() -> None:
    good = judge_clip(_path(_on_target(range(4, 60)), 900), _truth(range(60)))
    bad = judge_clip(_path([(frame, 3, 200.0, 90.0) for frame in range(20)], 900), _truth(range(60)))
    measures = summarise([good, bad])
    assert measures.minutes == 1.0
    assert measures.coverage == pytest.approx(50 / 100)
    assert measures.false_per_minute == 1.0
    assert measures.false_per_hour == 60.0
    assert measures.median_frames_to_confirm == 4.0
    assert summarise([]).coverage is None
