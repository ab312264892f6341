from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from lpnet_rt.clock import SYSTEM_CLOCK
from lpnet_rt.detections import Detections, detect
from lpnet_rt.frames import Frame
from lpnet_rt.pipeline.guard import PictureGuard
from lpnet_rt.pipeline.track_stage import TrackStage
from lpnet_rt.reports import Latency, Report
from lpnet_rt.settings import MinState, SourceSettings
from lpnet_rt.sources.demo import DemoSource
from lpnet_rt.sources.states import StateLog
from lpnet_rt.tracking import Tracker, TrackerSettings, TrackState, packaged_profile

SIZE_HW = (96, 128)


def report(index: int, score: float = 0.95, **frame: object) -> Report:
    """A target that crosses noise at a pixel per frame, and a weak one that stands still."""
    rng = np.random.default_rng(index)
    image = rng.normal(80, 3, SIZE_HW).astype(np.uint8)
    scores = np.zeros(SIZE_HW, np.float32)
    x = 10 + index % 100
    image[40:43, x : x + 3], scores[40:43, x : x + 3] = 200, score
    image[70:73, 100:103], scores[70:73, 100:103] = 120, 0.2
    found = detect(scores, image, 0.1)
    strong = found.score >= 0.74
    values = {"source": "clip", "pts_s": index / 30, "t_capture_us": 1, "t_read_ns": 1, "index": index}
    made = Frame(image=image, **(values | frame))  # type: ignore[arg-type]
    return Report(made, found.rows(strong), Latency(0, 0, 0, 0, 0), scores, weak=found.rows(~strong))


def make(min_state: MinState = "none", **settings: object) -> TrackStage:
    guard = PictureGuard(DemoSource(SourceSettings()), StateLog(), 2.5, SYSTEM_CLOCK)
    tracker = Tracker(packaged_profile(), TrackerSettings(**settings))  # type: ignore[arg-type]
    return TrackStage(tracker, guard, SYSTEM_CLOCK, min_state)


def run(stage: TrackStage, *reports: Report) -> list[Report]:
    return [stage.track(stage._guard.check(each)) for each in reports]


def events(reports: list[Report]) -> list[tuple[int, str, int]]:
    return [
        (each.frame.index, event.kind, event.track_id)
        for each in reports
        if each.tracks is not None
        for event in each.tracks.events
    ]


def test_a_target_becomes_one_track_that_is_confirmed_once() -> None:
    tracked = run(make(), *(report(index) for index in range(60)))
    assert [(kind, number) for _, kind, number in events(tracked)] == [("started", 1), ("confirmed", 1)]
    update = tracked[-1].tracks
    assert update is not None
    assert update.detection_track_id.tolist() == [1, 0], "what is only weak started a track"
    assert update.tracks.velocity_xy[0, 0] == pytest.approx(30, abs=2)


def test_only_detections_of_confirmed_tracks_are_left_where_that_is_asked_for() -> None:
    tracked = run(make("confirmed"), *(report(index) for index in range(60)))
    confirmed = next(frame for frame, kind, _ in events(tracked) if kind == "confirmed")
    assert [len(each.detections) for each in tracked] == [int(index >= confirmed) for index in range(60)]
    assert all(
        len(each.tracks.detection_track_id) == len(each.detections) + len(each.weak) for each in tracked if each.tracks
    )
    assert len(run(make("tentative"), report(0))[0].detections) == 1


@pytest.mark.parametrize("change", [{"reconnects": 1}, {"epoch": 1}, {"pts_s": 0.0}])
def test_a_new_connection_other_pictures_or_a_jump_back_in_time_end_all_tracks(change: dict[str, object]) -> None:
    stage = make()
    tracked = run(
        stage, *(report(index) for index in range(40)), report(40, **change), report(41, **change | {"pts_s": 2.0})
    )
    assert events(tracked)[2:] == [(40, "ended", 1), (40, "started", 2)]


def test_nothing_is_confirmed_while_the_camera_calibrates() -> None:
    still = report(0)
    frozen = [
        dataclasses.replace(report(index), frame=dataclasses.replace(report(0).frame, pts_s=index / 30, index=index))
        for index in range(1, 45)
    ]
    tracked = run(make(), still, *frozen)
    assert "confirmed" not in [kind for frame, kind, _ in events(tracked) if frame > 10]
    assert tracked[-1].tracks is not None
    assert TrackState.CONFIRMED not in tracked[-1].tracks.tracks.state


def test_failed_frames_and_single_images_are_passed_over() -> None:
    stage = make()
    failed = dataclasses.replace(report(0), error="damaged", detections=Detections.empty())
    image = report(1, file="a.png")
    assert run(stage, failed, image) == [failed, image]


def test_what_never_moves_is_remembered_from_run_to_run(tmp_path: Path) -> None:
    path = tmp_path / "state" / "clip-clutter.npz"
    path.parent.mkdir()
    stage = make(clutter_file=str(path))
    run(stage, *(report(index) for index in range(5)))
    stage.close()
    assert path.exists()
    assert len(run(make(clutter_file=str(path)), report(0))) == 1
